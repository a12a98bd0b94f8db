"""Tiles lie where the spots are, at the scale the sources agree on, and nothing is written on an error."""

from __future__ import annotations

import warnings

import anndata as ad
import numpy as np
import pandas as pd
import PIL.Image
import pytest
from tests_support import state_of

import histodecon as hd
from histodecon import (
    GeometryError,
    ImageError,
    InputError,
    MissingKeyError,
    NamingError,
    ResolutionError,
    ResolutionWarning,
    images,
)

PITCH = 40.0
WIDTH, HEIGHT = 640, 400
STAIN = (170, 90, 160)


def slide(
    n_rows: int = 8, n_cols: int = 12, *, library: str = "A", layout: str = "hex"
) -> tuple[ad.AnnData, np.ndarray]:
    """Spots of 40 px pitch, and a white image with a stained block that just holds their centers."""
    row, col = (index.ravel() for index in np.indices((n_rows, n_cols)))
    if layout == "hex":
        array_col = 2 * col + row % 2
        xy = np.column_stack([60 + array_col * PITCH / 2, 60 + row * PITCH * np.sqrt(3) / 2])
    else:
        array_col = col
        xy = np.column_stack([60 + col * PITCH, 60 + row * PITCH])
    obs = pd.DataFrame(
        {"library_id": library, "array_row": row, "array_col": array_col}, index=[f"s{i}" for i in range(len(xy))]
    )
    adata = ad.AnnData(np.zeros((len(xy), 1), dtype=np.float32), obs=obs)
    adata.obsm["spatial"] = xy
    image = np.full((HEIGHT, WIDTH, 3), 245, dtype=np.uint8)
    image[50 : int(xy[:, 1].max()) + 10, 50 : int(xy[:, 0].max()) + 10] = STAIN
    return adata, image


def record(adata: ad.AnnData, library: str = "A") -> dict:
    return adata.uns["histodecon"]["tiles"][library]


def unchanged(adata: ad.AnnData, error: type[Exception], match: str, **kwargs) -> None:
    before = state_of(adata)
    with pytest.raises(error, match=match):
        hd.pp.tile_spots(adata, **kwargs)
    assert state_of(adata) == before


def test_values_against_a_slow_loop():
    adata, image = slide()
    adata.obsm["spatial"] += np.random.default_rng(0).normal(0, 3, adata.obsm["spatial"].shape)
    adata.obsm["spatial"][:3] = [[12, 60], [60, 5], [639, 300]]
    hd.pp.tile_spots(adata, image=image, size_px=64, mpp=2.5)
    assert record(adata)["size_um"] == 160
    padded = np.pad(image, ((100, 100), (100, 100), (0, 0)), constant_values=255)
    inside = np.pad(np.ones((HEIGHT, WIDTH)), 100)
    for name, (x, y) in zip(adata.obs_names, adata.obsm["spatial"], strict=True):
        a, b = int(np.floor(y - 32 + 0.5)) + 100, int(np.floor(x - 32 + 0.5)) + 100
        tile = padded[a : a + 64, b : b + 64]
        expected = (tile == STAIN).all(axis=2).mean()  # size_px = 64: measured without a resample
        assert adata.obs.loc[name, "tissue_fraction"] == pytest.approx(expected)
        assert adata.obs.loc[name, "tile_padding"] == pytest.approx(1 - inside[a : a + 64, b : b + 64].mean())
        assert adata.obs.loc[name, "in_tissue_tile"] == (expected >= 0.1)
    assert record(adata)["n_padded"] == (adata.obs["tile_padding"] > 0).sum() == 3  # BI-13
    assert record(adata)["n_tissue"] == adata.obs["in_tissue_tile"].sum()
    assert record(adata)["image_digest"] == images.open_image(image).digest()


@pytest.mark.parametrize(("layout", "expected", "tile"), [("hex", 100 / PITCH, 45), ("square", None, None)])
def test_scale_from_the_array(layout, expected, tile):
    adata, image = slide(layout=layout)
    if expected is None:  # 200 µm legacy ST at 40 px would be 5 µm per pixel
        unchanged(adata, ResolutionError, r"BI-14.*5 µm.*mpp=", image=image)
        return
    hd.pp.tile_spots(adata, image=image)
    assert record(adata)["mpp"] == pytest.approx(expected)
    assert record(adata)["mpp_source"] == "array fit"
    assert record(adata)["size_px"] == tile
    assert record(adata)["size_um"] == 112


def test_scale_in_order_of_trust(tmp_path):
    import tifffile

    adata, image = slide()
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="rgb", description="Aperio |MPP = 2.5")
    path = tmp_path / "a.tif"
    lost = adata.copy()
    lost.obsm["spatial"] = np.random.default_rng(0).uniform([60, 60], [540, 340], (lost.n_obs, 2))
    hd.pp.tile_spots(lost, image=path)
    assert (record(lost)["mpp"], record(lost)["mpp_source"]) == (pytest.approx(2.5), "image file")
    del adata.obs["array_row"]
    adata.uns["spatial"] = {"A": {"scalefactors": {"spot_diameter_fullres": 26.0}}}
    hd.pp.tile_spots(adata, image=path)
    assert (record(adata)["mpp"], record(adata)["mpp_source"]) == (pytest.approx(2.5), "spot pitch")
    lost.uns["spatial"] = adata.uns["spatial"]
    hd.pp.tile_spots(lost, image=path)
    assert (record(lost)["mpp"], record(lost)["mpp_source"]) == (2.5, "spot diameter")
    adata.uns["histodecon"]["slides"] = {"A": {"mpp": 2.5, "mpp_source": "drawn"}}
    hd.pp.tile_spots(adata, image=path)
    assert record(adata)["mpp_source"] == "drawn"
    hd.pp.tile_spots(adata, image=path, mpp={"A": 2.45})
    assert (record(adata)["mpp"], record(adata)["mpp_source"]) == (2.45, "user")


def test_agreement_is_silent_and_disagreement_is_told():
    adata, image = slide()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        hd.pp.tile_spots(adata, image=image, mpp=2.45)
    with pytest.warns(ResolutionWarning, match=r"BI-15.*mpp = 2 \(user\).*array fit 2.5"):
        hd.pp.tile_spots(adata, image=image, mpp=2)
    assert record(adata)["mpp"] == 2


@pytest.mark.parametrize(
    ("mpp", "match"), [(0.25, "factor of 10"), (25, "plausible"), (0.01, "plausible"), (np.nan, "number")]
)
def test_unit_slips(mpp, match):
    adata, image = slide()
    unchanged(adata, ResolutionError, f"BI-15.*{match}", image=image, mpp=mpp)


def test_unknown_scale():
    adata, image = slide()
    adata.obsm["spatial"] = np.random.default_rng(0).uniform([60, 60], [540, 340], (adata.n_obs, 2))
    unchanged(adata, ResolutionError, r"BI-14.*mpp=", image=image)


def test_swapped_coordinates_outside():
    adata, image = slide(7, 14)
    adata.obsm["spatial"] = adata.obsm["spatial"][:, ::-1].copy()
    unchanged(adata, GeometryError, r"BI-10.*exchanged.*swap_xy=True", image=image)


def test_swapped_coordinates_inside():
    adata, _ = slide(8, 12)
    image = np.full((900, 900, 3), 245, dtype=np.uint8)
    adata.obsm["spatial"] += [300, 0]
    low, high = adata.obsm["spatial"].min(axis=0).astype(int), adata.obsm["spatial"].max(axis=0).astype(int)
    image[low[1] : high[1], low[0] : high[0]] = STAIN
    hd.pp.tile_spots(adata, image=image)
    assert adata.obs["in_tissue_tile"].all()
    adata.obsm["spatial"] = adata.obsm["spatial"][:, ::-1].copy()
    unchanged(adata, GeometryError, "BI-10.*do not lie on tissue.*exchanged", image=image)


def test_two_scales_mixed_up():
    adata, image = slide()
    small = images.open_image(image).thumbnail(160)[0]
    adata.uns["spatial"] = {"A": {"scalefactors": {"tissue_hires_scalef": 0.25}}}
    unchanged(adata, ResolutionError, r"BI-11.*scaled by 0\.25", image=small)
    adata.obsm["spatial"] = adata.obsm["spatial"] / 4 - 5
    image[:] = 245
    image[100:340, 100:560] = STAIN
    with pytest.warns(ResolutionWarning):
        unchanged(adata, ResolutionError, r"BI-11.*divided by 0\.25", image=image, mpp=2.5 * 4 / 2.6)


def test_outside():
    adata, image = slide(20, 12)
    image = np.concatenate([image, image])
    adata.obsm["spatial"][5] = [-1000, 50]
    adata.obsm["spatial"][7] = [50, 3000]
    hd.pp.tile_spots(adata, image=image, mpp=2.5)  # 2 of 240
    assert adata.obs["tile_padding"].iloc[[5, 7]].tolist() == [1, 1]
    assert not adata.obs["in_tissue_tile"].iloc[[5, 7]].any()
    assert adata.n_obs == 240
    adata.obsm["spatial"][9] = [5000, 50]
    unchanged(adata, GeometryError, r"BI-12.*3 of 240: 's5', 's7', 's9'", image=image, mpp=2.5)


def test_no_tissue():
    adata, image = slide()
    unchanged(adata, InputError, r"BI-40.*0% of 96", image=np.full_like(image, 240))
    unchanged(adata, ImageError, "BI-22", image=image[:, :, 0])


@pytest.mark.parametrize(
    ("kwargs", "match"),
    [
        ({"size_px": 0}, "size_px"),
        ({"size_px": 3.5}, "size_px"),
        ({"size_um": -1}, "size_um"),
        ({"size_um": np.nan}, "size_um"),
        ({"tissue_threshold": 2}, "tissue_threshold"),
    ],
)
def test_bad_sizes(kwargs, match):
    adata, image = slide()
    unchanged(adata, InputError, match, image=image, **kwargs)


def test_missing_things():
    adata, image = slide()
    unchanged(adata, MissingKeyError, "BI-106")
    unchanged(adata[:0].copy(), InputError, "BI-31", image=image)
    bare = adata.copy()
    del bare.obsm["spatial"]
    unchanged(bare, MissingKeyError, "spatial", image=image)


def test_two_slides_are_apart_and_their_faults_come_together():
    (one, image), (two, _) = slide(library="A"), slide(library="B/2")
    two.obs_names = [f"t{i}" for i in range(two.n_obs)]
    two.obsm["spatial"] += 20
    adata = ad.concat([one, two], merge="same")
    shuffled = adata[np.random.default_rng(0).permutation(adata.n_obs)].copy()
    pictures = {"A": image, "B/2": np.roll(image, (20, 20), axis=(0, 1))}
    hd.pp.tile_spots(shuffled, image=pictures)
    assert set(shuffled.uns["histodecon"]["tiles"]) == {"A", "B_2"}
    for part, library in ((one, "A"), (two, "B/2")):
        hd.pp.tile_spots(part, image=pictures[library])
        pd.testing.assert_series_equal(shuffled.obs.loc[part.obs_names, "tissue_fraction"], part.obs["tissue_fraction"])
    before = state_of(adata)
    with pytest.raises(ResolutionError, match=r"(?s)2 problems.*'A'.*'B/2'"):
        hd.pp.tile_spots(adata, image=pictures, mpp=0.001)
    assert state_of(adata) == before
    adata.obs["library_id"] = np.where(adata.obs["library_id"] == "A", "B_2", "B/2")
    with pytest.raises(NamingError, match="one key"):
        hd.pp.tile_spots(adata, image=pictures)


def test_every_container_gives_the_same(tmp_path):
    adata, image = slide()
    PIL.Image.fromarray(image).save(tmp_path / "a.png")
    results = []
    for source in (image, np.moveaxis(image, 2, 0), tmp_path / "a.png", str(tmp_path / "a.png"), {"A": image}):
        hd.pp.tile_spots(adata, image=source)
        results.append((adata.obs["tissue_fraction"].tolist(), record(adata)["image_digest"]))
    assert all(result == results[0] for result in results)


def test_spatialdata_squares_and_copy():
    sdata = hd.datasets.toy_slide(n_rows=6, n_cols=6)
    before = state_of(sdata["table"])
    copied = hd.pp.tile_spots(sdata, size_px=50, copy=True)
    assert state_of(sdata["table"]) == before
    assert "toy_1_tiles" not in sdata.shapes
    assert hd.pp.tile_spots(sdata, size_px=50) is None
    for one in (copied, sdata):
        squares = one.shapes["toy_1_tiles"]
        assert squares.index.tolist() == one["table"].obs["spot_id"].tolist()
        assert (squares.area == 2500).all()
        middle = np.column_stack([squares.centroid.x, squares.centroid.y])
        assert np.abs(middle - one["table"].obsm["spatial"]).max() <= 0.5
    hd.pp.tile_spots(sdata, size_px=20)
    assert (sdata.shapes["toy_1_tiles"].area == 400).all()


def test_small_picture_is_used_and_told():
    adata = hd.datasets.toy_slide(n_rows=6, n_cols=6)["table"].copy()
    hires = adata.uns["spatial"]["toy_1"]
    hires["images"]["hires"], factor = images.open_image(hires["images"]["hires"]).thumbnail(250)
    hires["scalefactors"]["tissue_hires_scalef"] *= factor
    with pytest.warns(ResolutionWarning, match="full-resolution image"):
        hd.pp.tile_spots(adata)
    assert record(adata, "toy_1")["image_scale"] == hires["scalefactors"]["tissue_hires_scalef"]
    assert record(adata, "toy_1")["size_px"] == 112
    assert adata.obs["in_tissue_tile"].mean() > 0.8


def test_written_records_survive_files(tmp_path):
    adata, image = slide()
    hd.pp.tile_spots(adata, image=image)
    adata.write_h5ad(tmp_path / "a.h5ad")
    back = ad.read_h5ad(tmp_path / "a.h5ad")
    assert {key: type(value)(value) for key, value in record(back).items()} == record(adata)


@pytest.mark.parametrize("dtype", [int, bool, float, str, "category"])
def test_spots_outside_the_tissue_are_counted_and_not_flagged(dtype):
    adata, image = slide()
    inside = np.ones(adata.n_obs, dtype=int)
    inside[[3, 5]] = 0
    adata.obs["in_tissue"] = inside.astype(dtype) if dtype != "category" else pd.Categorical(inside)
    with pytest.warns(hd.DroppedSpotsWarning, match=r"BI-39.*2 of 96.*'s3', 's5'"):
        hd.pp.tile_spots(adata, image=image)
    assert not adata.obs["in_tissue_tile"].iloc[[3, 5]].any()
    assert adata.obs["in_tissue_tile"].sum() == record(adata)["n_tissue"] == 94
    assert record(adata)["n_outside_tissue"] == 2
    assert adata.n_obs == 96


def test_a_fluorescence_picture_is_refused() -> None:  # BI-30
    adata, image = slide()
    dark = np.zeros_like(image)
    dark[..., 2] = np.where(image[..., 1] < 230, 70, 0)
    unchanged(adata, ImageError, "BI-30", image=dark)


def test_swapped_coordinates_are_put_right() -> None:  # BI-10
    adata, image = slide()
    right = adata.obsm["spatial"].copy()
    straight = adata.copy()
    hd.pp.tile_spots(straight, image=image)
    adata.obsm["spatial"] = right[:, ::-1].copy()
    unchanged(adata, GeometryError, "BI-10.*swap_xy=True", image=image)
    unchanged(adata, InputError, "BI-104.*'Z'", image=image, swap_xy=["Z"])
    hd.pp.tile_spots(adata, image=image, swap_xy=["A"])
    assert state_of(adata) == state_of(straight)
    unchanged(adata, GeometryError, "BI-10", image=image, swap_xy=True)  # once more would be wrong, and is noticed


def test_tiles_over_the_border() -> None:  # BI-12, BI-13
    adata, image = slide()
    adata.obsm["spatial"] = adata.obsm["spatial"] - 40
    unchanged(adata, GeometryError, r"BI-13.*'s0'.*lies outside.*pad_white", image=image, edge="error")
    unchanged(adata, InputError, r"BI-12.*never dropped.*tile_padding", image=image, edge="drop")
    hd.pp.tile_spots(adata, image=image)
    whole = adata[adata.obs["tile_padding"] == 0].copy()
    assert 0 < whole.n_obs < adata.n_obs
    hd.pp.tile_spots(whole, image=image, edge="error")
