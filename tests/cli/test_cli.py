"""The command line does what Python does, and answers in exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from spatialdata import read_zarr
from typer.testing import CliRunner

import histodecon as hd
from histodecon.cli import main
from histodecon.cli._app import EXIT_CODES, app

SMALL = {"n_rows": 6, "n_cols": 6, "mpp": 1.0}
QUICK = ["--param", "n_networks=1", "--param", "max_epochs=3", "--param", "hidden=8"]


def call(*arguments: object, code: int = 0) -> str:
    """Run a command; the standard output."""
    result = CliRunner().invoke(app, [str(one) for one in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.stdout


def facts(*arguments: object, code: int = 0) -> dict[str, Any]:
    """Run a command with --json."""
    return json.loads(call(*arguments, "--json", code=code))


@pytest.fixture(scope="module")
def drawn() -> Any:
    return hd.datasets.toy_slide(n_patients=3, **SMALL)


@pytest.fixture
def store(drawn: Any, tmp_path: Path) -> Path:
    """A cohort as SpatialData."""
    hd.write(drawn, tmp_path / "cohort.zarr")
    return tmp_path / "cohort.zarr"


def test_the_whole_journey_gives_the_numbers_of_python(drawn: Any, store: Path, tmp_path: Path) -> None:
    assert facts("tile", store)["n_spots"] == drawn["table"].n_obs
    assert facts("embed", store, "color_stats")["embeddings"] == {"X_color_stats": 119}
    table = tmp_path / "cells.csv"
    hd.get.abundance(drawn["table"], layers={"cells": "true_abundance"}).to_df().to_csv(table)
    assert facts("targets", store, table)["kind"] == "abundance"
    scores = facts(
        "crossval", store, "--use-rep", "X_color_stats", "--learner", "ridge", "--scores", tmp_path / "cv.csv"
    )
    model = tmp_path / "model.safetensors"
    told = facts("train", store, "--use-rep", "X_color_stats", "--learner", "ridge", "--model", model)
    assert told["n_spots"] == drawn["table"].n_obs
    assert facts("predict", store, model)["unit"] == "cells per spot"
    evaluated = facts("evaluate", store)["scores"]
    pairs = facts("colocalize", store, "--pairs", tmp_path / "pairs.csv")["pairs"]

    sdata = hd.datasets.toy_slide(n_patients=3, **SMALL)
    adata = sdata["table"]
    hd.pp.tile_spots(sdata)
    hd.pp.embed_tiles(sdata, "color_stats", show_progress_bar=False)
    hd.tl.set_targets(adata, "true_abundance")
    how = {"use_rep": "X_color_stats", "learner": "ridge", "show_progress_bar": False}
    expected = hd.tl.cross_validate(adata, **how)
    hd.tl.train_regressor(adata, **how)
    hd.tl.predict_abundance(adata)
    hd.tl.colocalization(adata)
    found = read_zarr(store)["table"]
    for key in ("X_color_stats", "predicted_abundance"):
        np.testing.assert_allclose(np.asarray(found.obsm[key]), np.asarray(adata.obsm[key]), atol=1e-6)
    np.testing.assert_allclose([row["l1"] for row in scores["scores"]], expected["l1"].to_numpy(), rtol=1e-9)
    assert pd.read_csv(tmp_path / "cv.csv").shape == expected.shape
    assert [row["cc"] for row in evaluated] == pytest.approx(hd.tl.evaluate(adata)["cc"].tolist(), abs=1e-6)
    R = pd.DataFrame(adata.uns["colocalization"]["pooled"]["R"], *2 * [adata.uns["colocalization"]["names"]])
    assert all(row["R"] == pytest.approx(R.loc[row["a"], row["b"]], abs=1e-6) for row in pairs)
    assert len(pd.read_csv(tmp_path / "pairs.csv")) == len(pairs) == 15


def test_real_tissue_gives_the_numbers_of_python(shared_data: Path, tmp_path: Path) -> None:
    """Two sections of two patients, from their files to colocalization; every ninth spot, to be quick."""
    folder, stores, model = shared_data / "her2st", [], tmp_path / "m.safetensors"
    for section, patient in (("B4", "B"), ("C2", "C")):
        counts = pd.read_csv(folder / "counts" / f"{section}.tsv.gz", sep="\t", index_col=0).iloc[::9, :50]
        counts.to_csv(tmp_path / f"{section}.tsv", sep="\t")
        (image,) = (folder / "images").glob(f"{section}__*.jpg")
        spots = folder / "spotfiles" / f"{section}_selection.tsv"
        stores.append(tmp_path / f"{section}.zarr")
        files = [tmp_path / f"{section}.tsv", spots, image]
        call("read-st", *files, "--output", stores[-1], "--library-id", section, "--patient", patient)
        call("tile", stores[-1])
        call("embed", stores[-1], "color_stats")
    tables = []
    for store, section, patient in zip(stores, ("B4", "C2"), ("B", "C"), strict=True):
        (image,) = (folder / "images").glob(f"{section}__*.jpg")
        spots = folder / "spotfiles" / f"{section}_selection.tsv"
        sdata = hd.io.read_st(tmp_path / f"{section}.tsv", spots, image, library_id=section, patient=patient)
        hd.pp.tile_spots(sdata)
        hd.pp.embed_tiles(sdata, "color_stats", show_progress_bar=False)
        adata = sdata["table"]
        own = np.asarray(adata.obsm["X_color_stats"], dtype=float)[:, :4]
        drawn = pd.DataFrame(1 + np.abs(own), adata.obs_names, ["T", "B", "CAFs MSC/iCAF-like", "M"])
        drawn.to_csv(tmp_path / "cells.csv")
        call("targets", store, tmp_path / "cells.csv")
        hd.tl.set_targets(adata, drawn)
        tables.append(adata)
    how = ["--use-rep", "X_color_stats", "--learner", "ridge"]
    told = facts("crossval", *stores, *how, "--scores", tmp_path / "cv.csv")
    facts("train", *stores, *how, "--model", model)
    for store in stores:
        call("predict", store, model)
        call("colocalize", store)
    both = hd.concat(tables, index_unique="-")
    same = {"use_rep": "X_color_stats", "learner": "ridge", "show_progress_bar": False}
    expected = hd.tl.cross_validate(both, **same)
    np.testing.assert_allclose([row["l1"] for row in told["scores"]], expected["l1"].to_numpy(), rtol=1e-9)
    trained = hd.tl.train_regressor(both, **same)
    for store, adata in zip(stores, tables, strict=True):
        hd.tl.predict_abundance(adata, trained)
        hd.tl.colocalization(adata)
        found = read_zarr(store)["table"]
        for key in ("X_color_stats", "predicted_abundance"):
            np.testing.assert_allclose(np.asarray(found.obsm[key]), np.asarray(adata.obsm[key]), atol=1e-6)
        there, here = (table.uns["colocalization"]["pooled"]["R"] for table in (found, adata))
        np.testing.assert_allclose(there, here, atol=1e-6)


def test_tables_without_images_are_stores_too(drawn: Any, tmp_path: Path) -> None:
    adata = drawn["table"].copy()
    adata.uns.pop("spatial")
    adata.obsm["X_own"] = hd.get.abundance(adata, layers={"c": "true_abundance"}).to_df().to_numpy()[:, :3] + 1.0
    hd.tl.set_targets(adata, "true_abundance")
    one, other = (tmp_path / name for name in ("one.h5ad", "two.zarr"))
    first = (adata.obs["patient"] == "P1").to_numpy()
    hd.write(adata[first].copy(), one)
    hd.write(adata[~first].copy(), other)
    model = tmp_path / "m.safetensors"
    told = facts("train", one, other, "--use-rep", "X_own", "--learner", "mlp", *QUICK, "--model", model)
    assert told["n_spots"] == adata.n_obs, "several stores are one cohort"
    call("predict", one, model, "--output", tmp_path / "out.h5ad")
    assert "predicted_abundance" in ad.read_h5ad(tmp_path / "out.h5ad").obsm
    assert "predicted_abundance" not in ad.read_h5ad(one).obsm, "the store itself stays"


@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
def test_joined_slides_are_deconvolved_in_one_run(drawn: Any, suffix: str, tmp_path: Path) -> None:
    whole = drawn["table"].copy()
    names = sorted(set(whole.obs["library_id"].astype(str)))
    stores = [tmp_path / f"{name}.h5ad" for name in names]
    for name, path in zip(names, stores, strict=True):
        part = whole[whole.obs["library_id"] == name].copy()
        part.uns["spatial"] = {name: part.uns["spatial"][name]}
        hd.write(part, path)
    reference = hd.datasets.toy_reference()
    hd.write(reference, tmp_path / "reference.h5ad")
    cohort = tmp_path / f"cohort.{suffix}"
    assert list(facts("join", *stores, "--output", cohort)["slides"]) == names
    call("deconvolve", cohort, tmp_path / "reference.h5ad", "--labels-key", "cell_type", "--method", "nnls")
    hd.tl.deconvolve(whole, reference, labels_key="cell_type", method="nnls")
    found = getattr(ad, f"read_{suffix}")(cohort)
    expected = whole.obsm["cell_abundance"].loc[found.obs_names].to_numpy()
    np.testing.assert_allclose(found.obsm["cell_abundance"].to_numpy(), expected, rtol=1e-6)


def test_a_slide_without_spots(drawn: Any, tmp_path: Path) -> None:
    import tifffile

    pixels = np.moveaxis(drawn["toy_1_image"].values, 0, 2)
    tifffile.imwrite(tmp_path / "biopsy.tif", pixels, photometric="rgb")
    store = tmp_path / "biopsy.zarr"
    assert facts("read-slide", tmp_path / "biopsy.tif", "--mpp", 1.0, "--output", store)["images"] == ["biopsy_image"]
    assert facts("tile", store, "--grid", "--spacing-um", 150)["n_spots"] > 5
    assert facts("embed", store, "color_stats")["embeddings"]


@pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet"])
def test_export(drawn: Any, suffix: str, tmp_path: Path) -> None:
    hd.write(drawn["table"], tmp_path / "a.h5ad")
    path = tmp_path / f"cells.{suffix}"
    call("export", tmp_path / "a.h5ad", "--key", "true_abundance", "--output", path)
    table = pd.read_parquet(path) if suffix == "parquet" else pd.read_csv(path, sep="\t" if suffix == "tsv" else ",")
    assert list(table["barcode"]) == list(drawn["table"].obs_names)
    assert {"library_id", "patient", "x_px", "y_px", "T-cells", "CAFs MSC/iCAF-like"} <= set(table.columns)


def test_export_for_qupath_and_report(drawn: Any, tmp_path: Path) -> None:
    sdata = drawn
    hd.pp.tile_spots(sdata)
    hd.tl.set_targets(sdata["table"], "true_abundance")
    hd.write(sdata["table"], tmp_path / "a.h5ad")
    options = ["--key", "cell_abundance", "--library-id", "toy_2"]
    call("export", tmp_path / "a.h5ad", *options, "--output", tmp_path / "a.geojson")
    assert json.loads((tmp_path / "a.geojson").read_text())["type"] == "FeatureCollection"
    call("report", tmp_path / "a.h5ad", tmp_path / "a.html", "--max-slides", 0)
    assert (tmp_path / "a.html").read_text().startswith("<!doctype html>")


@pytest.mark.parametrize("name", ["encoders", "learners", "methods"])
def test_lists(name: str) -> None:
    assert len(facts(name)[name]) > 2
    assert call(name)


def test_doctor() -> None:
    rows = facts("doctor", "color_stats", "uni", "--n-tiles", 10)["encoders"]
    assert len(rows) == 2


def test_demo(tmp_path: Path) -> None:
    told = facts("demo", tmp_path)
    assert told["cc"] > 0.8
    assert {"abundance.png", "model.safetensors", "scores.csv"} <= set(told["files"])


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["tile"], 2),
        (["no-such-command"], 2),
        (["train", "{store}", "--use-rep", "X_own", "--model", "m.safetensors", "--param", "broken"], 2),
        (["predict", "{store}"], 3),
        (["evaluate", "{store}"], 3),
        (["embed", "{store}", "no_such_encoder"], 3),
        (["tile", "absent.h5ad"], 5),
        (["tile", "{folder}"], 5),
        (["predict", "{store}", "absent.safetensors"], 5),
    ],
)
def test_exit_codes(arguments: list[str], code: int, drawn: Any, tmp_path: Path) -> None:
    store = tmp_path / "a.h5ad"
    adata = drawn["table"][:, :3].copy()
    adata.obsm["X_own"] = np.ones((adata.n_obs, 2))
    hd.write(adata, store)
    before = store.read_bytes()
    call(*[one.format(store=store, folder=tmp_path) for one in arguments], code=code)
    assert store.read_bytes() == before
    assert code in EXIT_CODES


def test_errors_for_machines(drawn: Any, tmp_path: Path) -> None:
    hd.write(drawn["table"][:, :3].copy(), tmp_path / "a.h5ad")
    told = facts("predict", tmp_path / "a.h5ad", code=3)
    assert told["id"] == "BI-88"
    assert told["error"] == "MissingKeyError"
    assert told["exit_code"] == 3


def test_ctrl_c_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(hd.models, "list_learners", stop, raising=False)
    call("learners", code=130)


def test_help_is_quick_and_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from histodecon.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit as stop:\n    assert not stop.code\n"
        "heavy = {'torch', 'timm', 'scanpy', 'squidpy', 'spatialdata'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "predict" in run.stdout


def test_version(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert not stop.value.code
    assert capsys.readouterr().out.strip() == hd.__version__
