"""STNet from a folder laid out as the published one, and as that of the authors' code."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import PIL.Image
import pytest

import histodecon as hd
from histodecon import AlignmentError, InputError

SECTIONS = {"BC23287_C1": ("BT", "HER2_luminal"), "BC23209_D1": ("BC", "TNBC")}
UNDER_TISSUE = [(x, y) for x in range(3, 9) for y in range(4, 9)]


def tables(name: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Counts of the whole array, and the spots under tissue in another order."""
    rng = np.random.default_rng(len(name))
    whole = [f"{x}x{y}" for x in range(1, 20) for y in range(1, 20)]
    counts = pd.DataFrame(rng.integers(0, 9, (len(whole), 3)), index=whole, columns=["ENSG1", "ENSG2", f"ENSG_{name}"])
    spots = pd.DataFrame(
        [(50.0 * x, 50.0 * y) for x, y in UNDER_TISSUE], columns=["X", "Y"], index=[f"{x}x{y}" for x, y in UNDER_TISSUE]
    )
    return counts, spots.sample(frac=1, random_state=1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = []
    for name, (prefix, kind) in SECTIONS.items():
        counts, spots = tables(name)
        own = prefix + name[2:]
        counts.to_csv(tmp_path / f"{name}_stdata.tsv.gz", sep="\t")
        spots.to_csv(tmp_path / f"spots_{own}.csv.gz")
        PIL.Image.new("RGB", (600, 500), (200, 120, 190)).save(tmp_path / f"HE_{own}.jpg")
        with gzip.open(tmp_path / f"{name}_Coords.tsv.gz", "wt", newline="") as handle:
            handle.write("xcoord\tycoord\tlab\ttumor\rC1_3_4\t3\t4\tL1\ttumor\r")
        patient, replicate = name.split("_")
        rows.append({"type": kind, "patient": patient, "replicate": replicate, "count_matrix": f"{name}_stdata.tsv.gz"})
    pd.DataFrame(rows).to_csv(tmp_path / "metadata.csv", index=False)
    return tmp_path


def test_published_layout(folder):
    sdata = hd.datasets.stnet(folder)
    adata = sdata["table"]
    assert set(sdata.images) == {f"{name}_image" for name in SECTIONS}
    assert adata.n_obs == 2 * len(UNDER_TISSUE)
    assert dict(adata.obs.groupby("patient", observed=True)["subtype"].first()) == {
        "BC23209": "TNBC",
        "BC23287": "HER2_luminal",
    }
    for name in SECTIONS:
        counts, spots = tables(name)
        own = adata[adata.obs["library_id"] == name]
        ids = [barcode.removesuffix(f"-{name}") for barcode in own.obs_names]
        np.testing.assert_array_equal(own.obsm["spatial"], spots.loc[ids].to_numpy())
        np.testing.assert_array_equal(own[:, counts.columns].X.toarray(), counts.loc[ids].to_numpy())
        assert own.obs["array_col"].tolist() == [int(spot.split("x")[0]) for spot in ids]
        assert adata.uns["histodecon"]["slides"][name]["mpp"] == pytest.approx(4.0)
        assert adata.uns["histodecon"]["slides"][name]["n_without_counts"] == 0


def test_one_section_sorted_into_folders_and_unzipped(folder):
    (folder / "count_matrix").mkdir()
    counts, _ = tables("BC23287_C1")
    counts.to_csv(folder / "count_matrix" / "BC23287_C1_stdata.tsv", sep="\t")
    (folder / "BC23287_C1_stdata.tsv.gz").unlink()
    (folder / "metadata.csv").unlink()
    adata = hd.datasets.stnet(folder, sections="BC23287_C1")["table"]
    assert adata.n_obs == len(UNDER_TISSUE)
    assert "subtype" not in adata.obs
    assert adata.obs_names[0].count("-") == 0


def test_layout_of_the_authors_code(tmp_path):
    name = "BC23287_C1"
    place = tmp_path / "HER2_luminal" / "BC23287"
    place.mkdir(parents=True)
    counts, spots = tables(name)
    counts.to_csv(place / f"{name}.tsv.gz", sep="\t")
    spots = spots.rename(columns={"X": "pixel_x", "Y": "pixel_y"})
    spots[["x", "y"]] = [[int(part) for part in spot.split("x")] for spot in spots.index]
    spots.to_csv(place / f"{name}.spots.txt", sep="\t", index=False)
    PIL.Image.new("RGB", (600, 500), (200, 120, 190)).save(place / f"{name}.jpg")
    adata = hd.datasets.stnet(tmp_path)["table"]
    assert adata.obs["library_id"].tolist() == [name] * len(UNDER_TISSUE)
    np.testing.assert_array_equal(adata.X.toarray(), counts.loc[adata.obs_names].to_numpy())


def test_spots_of_another_section_are_refused(folder):
    counts, _ = tables("BC23287_C1")
    counts.iloc[:40].to_csv(folder / "BC23287_C1_stdata.tsv.gz", sep="\t")
    with pytest.raises(AlignmentError, match="hardly of one slide"):
        hd.datasets.stnet(folder, sections="BC23287_C1")


@pytest.mark.parametrize(
    ("sections", "match"),
    [
        ("BT23287_C1", "did you mean 'BC23287_C1'"),
        ([], "No section was named"),
        (["BC23287_C1"] * 2, "named twice"),
    ],
)
def test_unknown_sections(folder, sections, match):
    with pytest.raises(InputError, match=match):
        hd.datasets.stnet(folder, sections=sections)


def test_missing_files_are_named(folder, tmp_path):
    (folder / "HE_BT23287_C1.jpg").unlink()
    with pytest.raises(InputError, match=r"1 of 2 sections lack files.*BC23287_C1 has no image.*HE_BT23287_C1\.jpg"):
        hd.datasets.stnet(folder)
    assert hd.datasets.stnet(folder, sections="BC23209_D1")["table"].n_obs == len(UNDER_TISSUE)
    with pytest.raises(InputError, match="no such folder"):
        hd.datasets.stnet(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no section of STNet"):
        hd.datasets.stnet(tmp_path / "empty")


def test_metadata_of_something_else(folder):
    (folder / "metadata.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match=r"metadata\.csv is not that of STNet"):
        hd.datasets.stnet(folder)
