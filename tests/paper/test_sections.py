"""Sections of real layouts: embedded once, joined, and told about where they are absent."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import PIL.Image
import pytest

if not (Path(__file__).parents[2] / "paper").is_dir():
    pytest.skip("not a checkout", allow_module_level=True)

from paper._bench import Bench
from paper._config import Cohort, read_config
from paper._sections import Absent, Sections, encoder_of, read_section, section_names

import histodecon as hd

TOML = """
title = "STNet"
cache = "{folder}/cache"
device = "cpu"

[cohorts.stnet]
dataset = "stnet"
folder = "{folder}/raw"
tile_px = 100
targets_file = "{folder}/targets.h5ad"

[encoders.color_stats]

[encoder_sets]
color_stats = ["color_stats"]
"""
NAMES = ("BC23287_C1", "BC23450_D2", "BC23450_E1")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three sections of two patients in the published layout, and targets of two of them."""
    (tmp_path / "raw").mkdir()
    rng = np.random.default_rng(0)
    tables = []
    for name in NAMES:
        ids = [f"{x}x{y}" for x in range(2, 8) for y in range(2, 7)]
        spots = pd.DataFrame([[100 * int(part) for part in one.split("x")] for one in ids], ids, columns=["X", "Y"])
        spots.to_csv(tmp_path / "raw" / f"spots_BT{name[2:]}.csv.gz")
        counts = pd.DataFrame(rng.integers(0, 9, (len(ids), 3)), index=ids, columns=["ENSG1", "ENSG2", "ENSG3"])
        counts.to_csv(tmp_path / "raw" / f"{name}_stdata.tsv.gz", sep="\t")
        pixels = rng.integers(90, 230, (800, 900, 3), dtype=np.uint8)
        PIL.Image.fromarray(pixels).save(tmp_path / "raw" / f"HE_BT{name[2:]}.jpg")
        tables.append(pd.DataFrame(rng.random((len(ids), 2)), [f"{one}-{name}" for one in ids], columns=["T", "B"]))
    targets = pd.concat(tables[:2])
    import anndata as ad

    adata = ad.AnnData(obs=pd.DataFrame(index=targets.index))
    hd.tl.set_targets(adata, targets, kind="abundance")
    adata.write_h5ad(tmp_path / "targets.h5ad")
    (tmp_path / "config.toml").write_text(TOML.format(folder=tmp_path.as_posix()))
    return tmp_path


def bench_of(folder: Path) -> Bench:
    return Bench(read_config(folder / "config.toml"), folder / "out", folder / "config.toml")


def test_stnet_from_its_folder(folder, monkeypatch):
    adata = bench_of(folder).cohort("stnet", "color_stats")
    assert sorted(set(adata.obs["library_id"])) == list(NAMES[:2])  # the third has no targets
    assert sorted(set(adata.obs["patient"])) == ["BC23287", "BC23450"]
    record = adata.uns["histodecon"]["embeddings"]["X_color_stats"]
    assert set(record["mpp"]) == set(NAMES)
    sdata = hd.datasets.stnet(folder / "raw", sections=NAMES[1])
    hd.pp.tile_spots(sdata, size_px=100)
    hd.pp.embed_tiles(sdata, "color_stats", device="cpu", show_progress_bar=False)
    own = adata[adata.obs["library_id"] == NAMES[1]]
    rows = sdata["table"].obs_names.get_indexer([name.removesuffix(f"-{NAMES[1]}") for name in own.obs_names])
    np.testing.assert_array_equal(own.obsm["X_color_stats"], sdata["table"].obsm["X_color_stats"][rows])
    monkeypatch.setattr(hd.pp, "embed_tiles", None)
    assert bench_of(folder).cohort("stnet", "color_stats").n_obs == 60


def test_a_section_that_lost_a_file_is_told_and_the_rest_is_used(folder):
    (folder / "raw" / "HE_BT23287_C1.jpg").unlink()
    bench = bench_of(folder)
    adata = bench.cohort("stnet", "color_stats")
    assert set(adata.obs["library_id"]) == {NAMES[1]}
    assert "1 of 3 sections are not there (BC23287_C1): 1 of 1 sections lack files" in bench.missing["stnet"].replace(
        "[HD-BI-01] ", ""
    )


def test_an_encoder_of_another_recipe_is_not_joined(folder):
    bench = bench_of(folder)
    bench.cohort("stnet", "color_stats")
    import anndata as ad

    path = next(bench.cache.glob(f"embeddings/*/{NAMES[0]}/color_stats*.h5ad"))
    part = ad.read_h5ad(path)
    part.uns["histodecon"]["embeddings"]["X_color_stats"]["fingerprint"] = "another"
    part.write_h5ad(path)
    with pytest.raises(hd.InputError, match="different recipes"):
        bench.cohort("stnet", "color_stats")


def test_what_is_absent_is_named(tmp_path, monkeypatch):
    her2st = Cohort(name="her2st", dataset="her2st", folder=str(tmp_path), tile_px=224, targets="stereoscope")
    assert len(section_names(her2st)) == 36
    with pytest.raises(Absent, match=r"counts/B4\.tsv\.gz"):
        read_section(her2st, "B4")
    stnet = Cohort(name="stnet", dataset="stnet", folder=str(tmp_path), tile_px=224, targets_file="t.h5ad")
    with pytest.raises(Absent, match="holds no section of STNet"):
        section_names(stnet)
    with pytest.raises(Absent, match="no weights: there is no"):
        encoder_of("own", {"timm": "resnet18", "weights": str(tmp_path / "w.safetensors")})
    sections = Sections(stnet, {"color_stats": {}}, tmp_path, "cpu")
    sections.prepare()
    assert set(sections.absent) == {"stnet"}
    with pytest.raises(Absent, match="nothing to work on"):
        sections.load(("color_stats",))


def test_gated_weights_are_asked_for_once(folder, monkeypatch):
    asked = []

    def refuse(*_args, **_kwargs):
        asked.append(1)
        msg = "consent is needed"
        raise hd.GatedError(msg, fix="ask on its page")

    monkeypatch.setattr(hd.pp, "embed_tiles", refuse)
    bench = bench_of(folder)
    assert bench.cohort("stnet", "color_stats") is None
    assert "ask on its page" in bench.missing["color_stats"]
    assert len(asked) == 1
