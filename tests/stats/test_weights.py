"""Sums of Gaussian weights equal the sums of the whole matrix, whatever the tiles."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from histodecon.stats import gaussian_sums


@pytest.mark.parametrize("block_size", [1, 7, 30, 64])
@pytest.mark.parametrize("include_self", [True, False])
def test_tiles_sum_to_the_whole_matrix(block_size: int, include_self: bool) -> None:
    rng = np.random.default_rng(0)
    coords, v = rng.uniform(0, 5, (30, 3)), rng.normal(size=(30, 2))
    distance = np.sqrt(((coords[:, None] - coords[None]) ** 2).sum(axis=2))
    w = np.exp(-(distance**2) / (2 * 1.3**2))
    if not include_self:
        np.fill_diagonal(w, 0)
    sums = gaussian_sums(coords, v, 1.3, include_self=include_self, block_size=block_size)
    np.testing.assert_allclose(sums.product, w @ v, rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(sums.row_sums, w.sum(axis=1), rtol=1e-13)
    assert sums.total == pytest.approx(w.sum(), rel=1e-13)
    assert sums.sum_of_squares == pytest.approx((w**2).sum(), rel=1e-13)
    assert sums.self_weight == w[0, 0]


def test_memory_stays_within_the_stated_bound() -> None:
    n, block = 4000, 256
    rng = np.random.default_rng(0)
    coords, v = rng.uniform(0, 60, (n, 2)), rng.normal(size=(n, 2))
    tracemalloc.start()
    gaussian_sums(coords, v, 1.0, block_size=block)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * (4 * block**2 + 8 * n)  # n x n would be 128 MB


def test_far_spots_underflow_to_zero_without_a_floating_point_error() -> None:
    with np.errstate(all="raise"):
        sums = gaussian_sums(np.array([[0.0, 0.0], [1e6, 0.0]]), np.ones((2, 1)), 1.0)
    assert sums.total == 2.0
