"""The descriptor without weights: named, finite, fast, and blind to what it should not see."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from histodecon.encoders import color_stats_names, get_encoder_card
from histodecon.encoders._color_stats import color_stats

NAMES = color_stats_names()


def column(values: np.ndarray, name: str) -> np.ndarray:
    return values[:, NAMES.index(name)]


@pytest.fixture(scope="module")
def toy():
    """Tiles of three drawn patients, and the cells of their spots."""
    import histodecon as hd

    sdata = hd.datasets.toy_slide(n_patients=3, n_rows=8, n_cols=8, mpp=0.5)
    adata = sdata["table"]
    tiles = np.empty((adata.n_obs, 224, 224, 3), dtype=np.uint8)
    for library in adata.obs["library_id"].unique():
        rows = np.flatnonzero(adata.obs["library_id"] == library)
        image = hd.images.open_image(sdata.images[f"{library}_image"])
        for part, cut in hd.images.iter_tiles(image, adata.obsm["spatial"][rows], 224, 224):
            tiles[rows[part]] = cut
    return tiles, adata.obsm["true_abundance"].to_numpy(), adata.obs["patient"].to_numpy()


def test_names_are_fixed():
    assert len(NAMES) == len(set(NAMES)) == get_encoder_card("color_stats").dim
    assert all(name.replace("_", "").isalnum() for name in NAMES)


@pytest.mark.parametrize(
    "color", [(255, 255, 255), (0, 0, 0), (200, 120, 170), (1, 1, 1), (254, 255, 255), (0, 255, 0)]
)
def test_constant_tiles_are_finite_without_a_warning(color):
    tiles = np.full((2, 224, 224, 3), color, dtype=np.uint8)
    with np.errstate(divide="raise", invalid="raise", over="raise"):
        values = color_stats(tiles)
    assert np.isfinite(values).all()
    np.testing.assert_array_equal(values[0], values[1])
    assert column(values, "nuclear_area")[0] == 0
    assert np.abs(values).max() < 20


@given(hnp.arrays(np.uint8, (1, 28, 28, 3), elements=st.integers(0, 255)))
@settings(max_examples=15, deadline=None)
def test_any_tile_is_finite(small):
    assert np.isfinite(color_stats(small.repeat(8, axis=1).repeat(8, axis=2))).all()


def test_rows_do_not_depend_on_their_neighbors(toy):
    tiles = toy[0][:20]
    together = color_stats(tiles)
    np.testing.assert_array_equal(np.concatenate([color_stats(tile[None]) for tile in tiles]), together)
    np.testing.assert_array_equal(color_stats(tiles[::-1])[::-1], together)


def test_turned_tiles_are_alike(toy):
    """No direction is preferred: a turn by 90° changes a column by far less than tiles differ."""
    tiles = toy[0][::4]
    straight, turned = color_stats(tiles), color_stats(np.rot90(tiles, axes=(1, 2)))
    difference = np.sqrt(((straight - turned) ** 2).mean(axis=0))
    # the ring of a local binary pattern is interpolated between pixels, and not alike in all directions
    allowed = np.array([0.4 if name.startswith("pattern_") else 0.15 for name in NAMES])
    far = difference > allowed * straight.std(axis=0) + 1e-4
    assert not far.any(), [name for name, bad in zip(NAMES, far, strict=True) if bad]


def test_a_stronger_stain_moves_color_not_shape(toy):
    """Every density a fifth stronger: relative columns stay, colors follow."""
    tiles = toy[0][::4]
    density = -np.log(np.maximum(tiles, 1) / 255)
    strong = np.clip(255 * np.exp(-1.2 * density), 0, 255).round().astype(np.uint8)
    before, after = color_stats(tiles), color_stats(strong)
    shift = np.abs(after.mean(axis=0) - before.mean(axis=0)) / before.std(axis=0)
    relative = [i for i, name in enumerate(NAMES) if name.startswith(("nuclei_", "blob_", "fiber_", "detail_"))]
    assert np.median(shift[relative]) < 0.15
    assert shift[NAMES.index("od_green_mean")] > 0.5


def test_no_column_is_dead_or_wild(toy):
    values = color_stats(toy[0])
    assert (values.std(axis=0) > 0.005).all(), [n for n, s in zip(NAMES, values.std(axis=0), strict=True) if s <= 0.005]
    assert np.abs(values).max() < 20


def test_ridge_reads_the_cells_of_a_patient_it_never_saw(toy):
    tiles, truth, patient = toy
    values = color_stats(tiles).astype(np.float64)
    scores = []
    for held_out in np.unique(patient):
        train = patient != held_out
        mean, scale = values[train].mean(axis=0), values[train].std(axis=0) + 1e-6
        x = (values - mean) / scale
        center = truth[train].mean(axis=0)
        weight = np.linalg.solve(x[train].T @ x[train] + 100 * np.eye(len(NAMES)), x[train].T @ (truth[train] - center))
        predicted = x[~train] @ weight
        scores += [np.corrcoef(predicted[:, k], truth[~train][:, k])[0, 1] for k in range(truth.shape[1])]
    assert np.mean(scores) > 0.8
