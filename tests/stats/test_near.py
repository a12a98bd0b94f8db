"""Sums over near pairs equal those over all pairs of spots."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histodecon.stats import gaussian_sums
from histodecon.stats._near import near_sums


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    n=st.integers(1, 700),
    wide=st.floats(0.01, 100),
    length=st.floats(0.01, 20),
    include_self=st.booleans(),
)
def test_equals_all_pairs(seed: int, n: int, wide: float, length: float, include_self: bool) -> None:
    rng = np.random.default_rng(seed)
    coords, v = rng.uniform(0, 10, (n, 2)) * [wide, 1.0] + [1e4, -1e4], rng.normal(size=(n, 3))
    slow = gaussian_sums(coords - coords.mean(axis=0), v, length, include_self=include_self)
    fast = near_sums(coords - coords.mean(axis=0), v, length, include_self=include_self)
    for name in ("product", "row_sums", "total", "sum_of_squares"):
        np.testing.assert_allclose(getattr(fast, name), getattr(slow, name), rtol=1e-9, atol=1e-9, err_msg=name)


def test_spots_on_one_line_one_place_and_the_border_of_a_strip() -> None:
    rng = np.random.default_rng(0)
    reach = np.sqrt(-2 * np.log(1e-13))
    for coords in (
        np.column_stack([np.arange(400.0), np.zeros(400)]),
        np.column_stack([np.zeros(400), np.arange(400.0)]),
        np.zeros((5, 2)),
        np.column_stack([rng.uniform(0, 50, 300), reach * rng.integers(0, 6, 300)]),
    ):
        v = rng.normal(size=(len(coords), 2))
        slow, fast = gaussian_sums(coords, v, 1.0), near_sums(coords, v, 1.0)
        np.testing.assert_allclose(fast.product, slow.product, atol=1e-10)
        assert fast.sum_of_squares == pytest.approx(slow.sum_of_squares, rel=1e-10)


def test_what_is_left_out_is_bounded_by_the_tolerance() -> None:
    rng = np.random.default_rng(3)
    coords, v = rng.uniform(0, 60, (3000, 2)), rng.normal(size=(3000, 2))
    whole = gaussian_sums(coords, v, 1.0)
    for tolerance in (1e-4, 1e-8):
        part = near_sums(coords, v, 1.0, tolerance=tolerance)
        assert 0 <= 1 - part.total / whole.total <= tolerance
    assert part.total < whole.total  # something was left out
    single = near_sums(coords, v.astype(np.float32), 1.0)
    assert single.product.dtype == np.float32
    np.testing.assert_allclose(single.product, whole.product, atol=2e-5)
