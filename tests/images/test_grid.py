"""Grids are exact, centered and inside; tissue is looked for where it may be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from histodecon import ImageError, InputError, images
from histodecon.images._grid import grid_centers, may_hold_tissue, overview

STAIN = (170, 90, 160)


@given(st.floats(50, 3000), st.floats(50, 3000), st.floats(20, 400), st.sampled_from(["hex", "square"]))
def test_grid_is_inside_and_centered(width, height, spacing, layout):
    grid = grid_centers(width, height, spacing, layout)
    low, high = grid.xy.min(axis=0), grid.xy.max(axis=0)
    if spacing <= min(width, height):
        assert (low >= -1e-9).all()
        assert (high <= np.array([width, height]) + 1e-9).all()
    np.testing.assert_allclose(low + high, [width, height], atol=1e-6 * max(width, height))
    assert len({*zip(grid.row.tolist(), grid.column.tolist(), strict=True)}) == len(grid.xy)


@pytest.mark.parametrize(("layout", "neighbors"), [("hex", 6), ("square", 4)])
def test_neighbors_are_at_the_spacing(layout, neighbors):
    grid = grid_centers(2000, 1500, 123.4, layout)
    tree = cKDTree(grid.xy)
    counts = np.array([len(found) - 1 for found in tree.query_ball_point(grid.xy, 123.4 * 1.001)])
    inner = ((grid.xy > 200) & (grid.xy < [1800, 1300])).all(axis=1)
    assert (counts[inner] == neighbors).all()
    distance, _ = tree.query(grid.xy, k=2)
    np.testing.assert_allclose(distance[:, 1], 123.4)


@pytest.mark.parametrize("layout", ["hex", "square"])
def test_places_are_those_of_an_array(layout):
    grid = grid_centers(2000, 1500, 100, layout)
    pitch = images.lattice_pitch(grid.xy, grid.row, grid.column)
    assert pitch.layout == layout
    assert pitch.pixels == pytest.approx(100)
    if layout == "hex":
        assert ((grid.row + grid.column) % 2 == 0).all()


@pytest.mark.parametrize(
    "arguments", [(100, 100, 0.0, "hex"), (100, 100, np.nan, "hex"), (100, 100, 10, "ring"), (1e6, 1e6, 10, "square")]
)
def test_impossible_grids(arguments):
    with pytest.raises(InputError):
        grid_centers(*arguments)


def test_an_area_smaller_than_the_spacing_has_its_middle():
    assert grid_centers(50, 30, 100).xy.tolist() == [[25.0, 15.0]]


def test_no_tile_with_tissue_is_left_out():
    rng = np.random.default_rng(0)
    pixels = np.full((3000, 4000, 3), 245, dtype=np.uint8)
    for x, y in rng.integers(0, 2900, (25, 2)):
        pixels[y : y + 40, x : x + 40] = STAIN
    image = images.open_image(pixels)
    grid = grid_centers(4000, 3000, 100)
    near = may_hold_tissue(*overview(image, 1.0), grid.xy, 112)
    share = np.empty(len(grid.xy))
    for rows, tiles in images.iter_tiles(image, grid.xy, 112, 112):
        share[rows] = images.tissue_fraction(tiles)
    assert near[share >= 0.02].all()
    assert near.mean() < 0.35  # and glass is


def test_overview_has_eight_um_or_a_thousand_pixels():
    image = images.SlideImage(lambda a, b, c, d: np.zeros((b - a, d - c, 3), np.uint8), 40_000, 20_000)
    image.set_levels([images.open_image(np.zeros((1250, 2500, 3), np.uint8))])
    for mpp in (0.25, 1.0):
        picture, scale = overview(image, mpp)
        assert 700 <= picture.shape[1] <= 1300 * mpp / 0.25
        assert picture.shape[1] == pytest.approx(40_000 * scale, rel=0.01)


def test_a_fluorescence_image_is_no_tissue():
    pixels = np.zeros((300, 400, 3), dtype=np.uint8)
    pixels[100:200, 100:300] = (10, 20, 90)
    with pytest.raises(ImageError, match="HD-BI-30"):
        may_hold_tissue(pixels, 1.0, np.array([[100.0, 100.0]]), 50)
