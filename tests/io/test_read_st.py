"""Real her2st slides, and files that are broken in the ways real files are."""

from __future__ import annotations

import gzip
import warnings

import numpy as np
import pandas as pd
import pytest

import histodecon as hd
from histodecon import (
    AlignmentError,
    DroppedSpotsWarning,
    GeometryError,
    HistodeconError,
    ImageError,
    InputError,
    NamingError,
    ResolutionError,
    ResolutionWarning,
    TargetError,
)

GENES = ["A1BG", "KRT8", "ENSG01", "CD3E"]


def files(seed: int = 0) -> dict:
    """Counts, spots and image of 6 × 5 spots of 200 µm at 2 µm per pixel; the orders differ on purpose."""
    rng = np.random.default_rng(seed)
    places = pd.DataFrame([(x, y) for x in range(3, 9) for y in range(10, 15)], columns=["x", "y"])
    places["pixel_x"] = 100.0 * places["x"] - 250 + rng.normal(0, 3, 30)
    places["pixel_y"] = 100.0 * places["y"] - 950 + rng.normal(0, 3, 30)
    places["selected"] = 1
    ids = [f"{x}x{y}" for x, y in places[["x", "y"]].to_numpy()]
    counts = pd.DataFrame(rng.integers(0, 9, (30, 4)), index=ids, columns=GENES)
    image = np.full((550, 650, 3), 240, dtype=np.uint8)
    return {"counts": counts.sample(frac=1, random_state=1), "spots": places, "image": image}


def read(parts: dict, **kwargs):
    return hd.io.read_st(parts["counts"], parts["spots"], parts["image"], library_id="S1", **kwargs)["table"]


def save(parts: dict, folder) -> dict:
    parts["counts"].to_csv(folder / "counts.tsv.gz", sep="\t")
    parts["spots"].to_csv(folder / "spots.tsv", sep="\t", index=False)
    return {**parts, "counts": folder / "counts.tsv.gz", "spots": str(folder / "spots.tsv")}


def test_rows_are_joined_by_id():
    parts = files()
    adata = read(parts, patient="P")
    assert list(adata.obs_names) == list(parts["counts"].index)
    np.testing.assert_array_equal(adata.X.toarray(), parts["counts"].to_numpy())
    where = parts["spots"].set_index(parts["spots"]["x"].astype(str) + "x" + parts["spots"]["y"].astype(str))
    np.testing.assert_array_equal(adata.obsm["spatial"], where.loc[adata.obs_names, ["pixel_x", "pixel_y"]])
    np.testing.assert_array_equal(adata.obs["array_col"], where.loc[adata.obs_names, "x"])
    np.testing.assert_array_equal(adata.obs["array_row"], where.loc[adata.obs_names, "y"])
    assert (adata.obs["patient"] == "P").all()
    assert adata.uns["histodecon"]["slides"]["S1"]["mpp"] == pytest.approx(2, rel=0.01)
    assert "patient" not in read(files()).obs


def test_files_and_frames_agree(tmp_path):
    one, two = read(files()), read(save(files(), tmp_path))
    np.testing.assert_array_equal(one.X.toarray(), two.X.toarray())
    np.testing.assert_allclose(one.obsm["spatial"], two.obsm["spatial"])
    assert list(one.obs_names) == list(two.obs_names)
    parts = files()
    parts["counts"].to_csv(tmp_path / "plain.csv")
    ids = parts["spots"]["x"].astype(str) + "x" + parts["spots"]["y"].astype(str)
    stnet = parts["spots"][["pixel_x", "pixel_y"]].set_axis(["X", "Y"], axis=1).set_index(ids)
    stnet.to_csv(tmp_path / "stnet.csv.gz")
    three = read({**parts, "counts": tmp_path / "plain.csv", "spots": tmp_path / "stnet.csv.gz"})
    four = read({**parts, "spots": stnet})
    for other in (three, four):
        np.testing.assert_allclose(one.obsm["spatial"], other.obsm["spatial"])
        np.testing.assert_array_equal(one.X.toarray(), other.X.toarray())


@pytest.mark.parametrize("form", ["{0}.0x{1}.0", "{0}_{1}", "{0}X{1}", " {0}x{1} "])
def test_forms_of_ids(form):
    parts = files()
    parts["counts"].index = [form.format(*name.split("x")) for name in parts["counts"].index]
    adata = read(parts)
    assert set(adata.obs_names) == set(files()["counts"].index)


def test_array_places_as_floats():
    parts = files()
    parts["spots"][["x", "y"]] = parts["spots"][["x", "y"]].astype(float)
    np.testing.assert_allclose(read(parts).obsm["spatial"], read(files()).obsm["spatial"])


def test_selected_spots_without_counts_are_noted():
    parts = files()
    parts["counts"] = parts["counts"].drop(["3x10", "8x14"])
    with warnings.catch_warnings():
        warnings.simplefilter("error", hd.HistodeconWarning)
        adata = read(parts)
    assert adata.n_obs == 28
    assert adata.uns["histodecon"]["slides"]["S1"]["n_without_counts"] == 2


def test_spots_that_are_not_selected():
    parts = files()
    parts["spots"].loc[[0, 1], "selected"] = 0
    with pytest.warns(DroppedSpotsWarning, match=r"2 spots.*not select.*'3x1"):
        adata = read(parts)
    assert adata.n_obs == 28
    assert not {"3x10", "3x11"} & set(adata.obs_names)


def test_counts_without_position():
    parts = files()
    parts["spots"] = parts["spots"].drop([0, 1])
    with pytest.raises(AlignmentError, match=r"BI-03.*2 of 30.*drop_unplaced=True"):
        read(parts)
    with pytest.warns(DroppedSpotsWarning, match="2 spots"):
        adata = read(parts, drop_unplaced=True)
    assert adata.n_obs == 28


def mutate(**changes):
    def change(parts: dict) -> None:
        for key, function in changes.items():
            parts[key] = function(parts[key])

    return change


def normalized(counts: pd.DataFrame) -> pd.DataFrame:
    return counts / counts.sum(axis=1).to_numpy()[:, None]


def with_value(value: object):
    def change(counts: pd.DataFrame) -> pd.DataFrame:
        counts = counts.astype(object if isinstance(value, str) else float)
        counts.iloc[7, 2] = value
        return counts

    return change


BROKEN = {
    "x and y exchanged": (
        mutate(counts=lambda c: c.rename(index=lambda n: "x".join(n.split("x")[::-1]))),
        AlignmentError,
        "BI-07.*exchanged",
    ),
    "another section": (
        mutate(counts=lambda c: c.rename(index=lambda n: "9" + n)),
        AlignmentError,
        r"BI-07.*30 of 30: '9.*'3x10'",
    ),
    "barcodes": (
        mutate(counts=lambda c: c.set_axis([f"ACGT{i}" for i in range(30)])),
        AlignmentError,
        "BI-07.*not ids.*30 of 30",
    ),
    "numbers": (mutate(counts=lambda c: c.reset_index(drop=True)), AlignmentError, r"BI-07.*: 0, 1, 2"),
    "genes in rows": (mutate(counts=lambda c: c.T), AlignmentError, "BI-07.*'A1BG'.*genes are columns"),
    "a spot twice": (mutate(counts=lambda c: pd.concat([c, c.iloc[:1]])), AlignmentError, "BI-04.*counts"),
    "a place twice": (mutate(spots=lambda s: pd.concat([s, s.iloc[:1]])), AlignmentError, "BI-04.*spot file"),
    "normalized": (mutate(counts=normalized), TargetError, r"BI-54.*of 120.*raw counts"),
    "negative": (mutate(counts=with_value(-1.0)), TargetError, "BI-54.*1 of 120.*'ENSG01'"),
    "NaN": (mutate(counts=with_value(np.nan)), TargetError, "BI-54.*nan"),
    "text": (mutate(counts=with_value("many")), TargetError, "BI-55.*many"),
    "a gene twice": (mutate(counts=lambda c: c.set_axis(["a", "b", "b", "c"], axis=1)), TargetError, "BI-57.*'b'"),
    "no genes": (mutate(counts=lambda c: c.iloc[:, :0]), InputError, "BI-31"),
    "no spots": (mutate(counts=lambda c: c.iloc[:0]), InputError, "BI-31"),
    "no pixels": (mutate(spots=lambda s: s.drop(columns="pixel_x")), InputError, "BI-06.*'pixel_y'"),
    "an empty pixel": (
        mutate(spots=lambda s: s.assign(pixel_x=s["pixel_x"].where(s["x"] > 3))),
        GeometryError,
        "BI-98.*5 of 30",
    ),
    "small picture": (mutate(image=lambda i: i[::4, ::4]), GeometryError, "BI-12"),
    "pixels exchanged": (
        mutate(
            spots=lambda s: s.rename(columns={"pixel_x": "pixel_y", "pixel_y": "pixel_x"}).assign(x=s["x"]),
            image=lambda i: i[:500],
        ),
        GeometryError,
        "BI-10",
    ),
    "grey": (mutate(image=lambda i: i[:, :, 0]), ImageError, "BI-22"),
    "no grid": (
        mutate(
            spots=lambda s: s.assign(
                pixel_x=np.random.default_rng(0).uniform(0, 600, 30),
                pixel_y=np.random.default_rng(1).uniform(0, 500, 30),
            )
        ),
        ResolutionError,
        r"BI-14.*mpp=",
    ),
}


@pytest.mark.parametrize("name", list(BROKEN))
def test_broken_files(name):
    change, error, match = BROKEN[name]
    parts = files()
    change(parts)
    with pytest.raises(error, match=match):
        read(parts)


@pytest.mark.parametrize(
    ("part", "content", "match"),
    [
        ("counts", None, "BI-02.*counts.tsv.gz is absent.*'spots.tsv'"),
        ("counts", b"", "BI-29"),
        ("counts", b"<html>login</html>", "BI-29.*not a table.*html"),
        ("counts", gzip.compress(b"\tA\tB\n3x10\t1\t2\n", mtime=0)[:20], "BI-29.*cannot be read"),
        ("spots", b"\x00\xff\xfe\x80", "BI-29"),
        ("spots", b"version https://git-lfs.github.com/spec/v1", "BI-29"),
    ],
)
def test_broken_bytes(tmp_path, part, content, match):
    parts = save(files(), tmp_path)
    path = tmp_path / ("counts.tsv.gz" if part == "counts" else "spots.tsv")
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(InputError, match=match):
        read(parts)


def test_a_gene_twice_in_a_file(tmp_path):
    (tmp_path / "c.tsv").write_text("\tA\tB\tA\n3x10\t1\t2\t3\n")
    with pytest.raises(TargetError, match=r"BI-57.*'A'"):
        read({**files(), "counts": tmp_path / "c.tsv"})


def test_mpp_against_the_grid():
    assert (
        read(files(), mpp=2.04).uns["histodecon"]["slides"]["S1"] | {"mpp": 2.04, "mpp_source": "user"}
        == (read(files(), mpp=2.04).uns["histodecon"]["slides"]["S1"])
    )
    assert read(files(), pitch_um=100.0).uns["histodecon"]["slides"]["S1"]["mpp"] == pytest.approx(1, rel=0.01)
    with pytest.warns(ResolutionWarning, match="array fit"):
        read(files(), mpp=1.5)
    with pytest.raises(ResolutionError, match=r"BI-15.*factor of"):
        read(files(), mpp=0.2)
    with pytest.raises(HistodeconError, match="pitch_um"):
        read(files(), pitch_um=0)


def test_library_ids_name_elements():
    with pytest.raises(NamingError, match="BI-67"):
        hd.io.read_st(*files().values(), library_id="a/b")


def test_spot_circles_have_their_true_size():
    sdata = hd.io.read_st(*files().values(), library_id="S1", mpp=2.0)
    assert (sdata.shapes["S1_spots"]["radius"] == 25).all()
    assert sdata["table"].uns["spatial"]["S1"]["scalefactors"]["spot_diameter_fullres"] == 50


@pytest.fixture(scope="module")
def her2st_paths(shared_data):
    folder = shared_data / "her2st"

    def paths(section: str):
        image = next((folder / "images").glob(f"{section}__*.jpg"))
        return folder / "counts" / f"{section}.tsv.gz", folder / "spotfiles" / f"{section}_selection.tsv", image

    return paths


@pytest.mark.parametrize(("section", "n", "without"), [("B4", 283, 1), ("C2", 187, 0)])
def test_real_slides(her2st_paths, section, n, without):
    sdata = hd.io.read_st(*her2st_paths(section), library_id=section, patient=section[0])
    adata = sdata["table"]
    assert adata.n_obs == n
    slide = adata.uns["histodecon"]["slides"][section]
    assert slide["n_without_counts"] == without
    assert slide["mpp"] == pytest.approx(0.687, rel=0.01)
    spots = pd.read_csv(her2st_paths(section)[1], sep="\t").set_index(["x", "y"])
    for name in adata.obs_names[[0, 100, -1]]:
        x, y = map(int, name.split("x"))
        expected = spots.loc[(x, y), ["pixel_x", "pixel_y"]].to_numpy()
        np.testing.assert_allclose(adata[name].obsm["spatial"][0], expected)
    hd.pp.tile_spots(sdata)
    assert adata.obs["in_tissue_tile"].all()
    assert adata.uns["histodecon"]["tiles"][section]["size_px"] == 163


def test_a_real_slide_of_another_section_is_refused(her2st_paths):
    counts, _, image = her2st_paths("B4")
    with pytest.raises(AlignmentError, match="BI-07"):
        hd.io.read_st(counts, her2st_paths("C2")[1], image, library_id="B4")
