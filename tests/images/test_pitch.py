"""The pitch of drawn and of real grids."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from histodecon import images
from histodecon.images._pitch import lattice_axes


def square(pitch: float, jitter: float = 0.0, angle: float = 0.0):
    rng = np.random.default_rng(0)
    row, col = (a.ravel() for a in np.mgrid[:18, :14])
    return _turned(np.column_stack([col, row]) * pitch, jitter, angle, rng), row, col


def hexagonal(pitch: float, jitter: float = 0.0, angle: float = 0.0):
    rng = np.random.default_rng(0)
    row, col = (a.ravel() for a in np.mgrid[:20, :30])
    even = (row + col) % 2 == 0
    row, col = row[even], col[even]
    return _turned(np.column_stack([col / 2, row * np.sqrt(3) / 2]) * pitch, jitter, angle, rng), row, col


def _turned(xy, jitter, angle, rng):
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return xy @ turn.T + rng.normal(0, jitter, xy.shape) + 500


@pytest.mark.parametrize(("grid", "layout"), [(square, "square"), (hexagonal, "hex")])
@pytest.mark.parametrize("angle", [0.0, 0.3])
@pytest.mark.parametrize("jitter", [0.0, 15.0])
def test_drawn_grids(grid, layout, angle, jitter):
    xy, row, col = grid(290.0, jitter, angle)
    for pitch, tolerance in ((images.spot_pitch(xy), 0.02), (images.lattice_pitch(xy, row, col), 0.005)):
        assert pitch.layout == layout
        assert pitch.pixels == pytest.approx(290, rel=tolerance if jitter else 1e-9)


def test_half_of_the_spots_missing():
    xy, row, col = square(290.0, 15.0)
    kept = np.random.default_rng(1).random(len(xy)) < 0.5
    assert images.spot_pitch(xy[kept]).pixels == pytest.approx(290, rel=0.02)
    assert images.lattice_pitch(xy[kept], row[kept], col[kept]).pixels == pytest.approx(290, rel=0.01)


def test_no_grid_no_pitch():
    rng = np.random.default_rng(0)
    cloud = rng.uniform(0, 1000, (400, 2))
    assert images.spot_pitch(cloud) is None
    assert images.spot_pitch(cloud[:5]) is None
    assert images.spot_pitch(np.ones((50, 2))) is None
    row, col = rng.integers(0, 20, (2, 400))
    assert images.lattice_pitch(cloud, row, col) is None
    assert images.lattice_pitch(cloud, np.zeros(400), np.arange(400)) is None
    xy, row, col = square(290.0)
    assert images.lattice_pitch(xy * [1, 1.2], row, col) is None


def test_mpp():
    assert images.SpotPitch(200.0, "hex").mpp() == 0.5
    assert images.SpotPitch(200.0, "square").mpp() == 1.0


def test_her2st(shared_data):
    """200 µm pitch: about 0.687 µm/px in patients B to H, 0.917 in A, from either way within 1 %."""
    for path in sorted((shared_data / "her2st" / "spotfiles").glob("*_selection.tsv")):
        spots = pd.read_csv(path, sep="\t")
        xy = spots[["pixel_x", "pixel_y"]].to_numpy()
        expected = 0.917 if path.name.startswith("A") else 0.687
        assert images.spot_pitch(xy).mpp() == pytest.approx(expected, rel=0.01), path.name
        assert images.lattice_pitch(xy, spots["y"], spots["x"]).mpp() == pytest.approx(expected, rel=0.01), path.name


def test_steps_of_the_array():
    row, col = (index.ravel() for index in np.indices((5, 7)))
    steps = np.array([[3.0, 1.0], [-1.0, 3.0]])
    xy = np.column_stack([col, row]) @ steps + [100, 50]
    np.testing.assert_allclose(lattice_axes(xy, row, col), steps, atol=1e-12)
