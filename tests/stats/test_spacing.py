"""The pitch of spots."""

from __future__ import annotations

import numpy as np
import pytest

from histodecon.stats import nearest_neighbor_pitch


def test_hexagonal_lattice_with_jitter_a_hole_and_duplicates() -> None:
    rows, columns = np.divmod(np.arange(400), 20)
    coords = 100 * np.c_[columns + 0.5 * (rows % 2), rows * np.sqrt(3) / 2]
    assert nearest_neighbor_pitch(coords) == pytest.approx(100)
    coords = np.delete(coords, slice(150, 170), axis=0)
    coords = np.r_[coords, coords[:5]]
    assert nearest_neighbor_pitch(coords + np.random.default_rng(0).normal(size=coords.shape)) > 90
    assert nearest_neighbor_pitch(coords) == pytest.approx(100)


@pytest.mark.parametrize("coords", [np.zeros((0, 2)), np.zeros((1, 2)), np.ones((5, 2))])
def test_fewer_than_two_positions_have_no_pitch(coords: np.ndarray) -> None:
    assert np.isnan(nearest_neighbor_pitch(coords))


@pytest.mark.parametrize("coords", [np.array([[0.0, np.nan]]), np.arange(3.0)])
def test_bad_coordinates_are_refused(coords: np.ndarray) -> None:
    with pytest.raises(ValueError, match="finite"):
        nearest_neighbor_pitch(coords)
