"""Sums on a lattice equal those over all pairs of spots."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from histodecon.stats import gaussian_sums, on_lattice
from histodecon.stats._lattice import find_lattice, lattice_sums

Array = NDArray[np.float64]


def lattice(kind: str, rows: int = 18, columns: int = 25) -> Array:
    row, column = (index.ravel() for index in np.indices((rows, columns)))
    if kind == "hex":
        return np.column_stack([100.0 * column + 50.0 * (row % 2), 100 * np.sqrt(3) / 2 * row])
    side = 8.0 if kind == "bins" else 200.0
    return np.column_stack([side * column, side * row])


def assert_same(coords: Array, v: Array, length: float, *, include_self: bool, fft: bool) -> None:
    found = find_lattice(coords)
    assert found is not None
    slow = gaussian_sums(coords, v, length, include_self=include_self)
    fast = lattice_sums(found, v, length, include_self=include_self, fft=fft)
    for name in ("product", "row_sums", "total", "sum_of_squares"):
        np.testing.assert_allclose(getattr(fast, name), getattr(slow, name), rtol=1e-11, atol=1e-11, err_msg=name)
    assert fast.self_weight == slow.self_weight


@pytest.mark.parametrize("fft", [False, True])
@pytest.mark.parametrize("include_self", [False, True])
@pytest.mark.parametrize("pitches", [0.2, 1.5, 40.0])
@pytest.mark.parametrize("kind", ["square", "hex", "bins"])
def test_equals_all_pairs(kind: str, pitches: float, include_self: bool, fft: bool) -> None:
    rng = np.random.default_rng(0)
    coords = lattice(kind) + np.array([1e6, -1e6])
    coords = coords[rng.permutation(len(coords))[: int(0.7 * len(coords))]]
    length = pitches * (8 if kind == "bins" else 100)
    assert_same(coords, rng.normal(size=(len(coords), 3)), length, include_self=include_self, fft=fft)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    rows=st.integers(1, 9),
    columns=st.integers(2, 70),
    length=st.floats(0.05, 30),
    fft=st.booleans(),
)
def test_any_shape_with_holes_and_spots_that_share_a_site(
    seed: int, rows: int, columns: int, length: float, fft: bool
) -> None:
    rng = np.random.default_rng(seed)
    n = max(2, rows * columns // 2)
    sites = np.column_stack([rng.integers(0, columns, n), rng.integers(0, rows, n)])
    known = [[0, 0], [1, min(1, rows - 1)], [columns - 1, rows - 1]]  # the first two show the pitch
    coords = np.vstack([sites, known]).astype(float)
    assert_same(coords, rng.normal(size=(len(coords), 2)), length, include_self=True, fft=fft)


def test_float32_is_close() -> None:
    rng = np.random.default_rng(1)
    coords, v = lattice("hex"), rng.normal(size=(450, 4))
    found = find_lattice(coords)
    slow = gaussian_sums(coords, v, 150.0)
    fast = lattice_sums(found, v.astype(np.float32), 150.0)
    assert fast.product.dtype == np.float32
    np.testing.assert_allclose(fast.product, slow.product, atol=2e-5)
    assert fast.total == pytest.approx(slow.total, rel=1e-12)


def test_what_is_a_lattice() -> None:
    coords = lattice("hex")
    found = find_lattice(coords)
    assert found.shape == (18, 50)
    np.testing.assert_allclose(found.pitch, [100 * np.sqrt(3) / 2, 50])
    rng = np.random.default_rng(2)
    turned = coords @ np.array([[0.8, -0.6], [0.6, 0.8]])
    for other in (coords + rng.normal(0, 0.01, coords.shape), turned, coords[:1], np.zeros((5, 3))):
        assert find_lattice(other) is None
    assert find_lattice(coords + rng.uniform(-1e-8, 1e-8, coords.shape)) is not None
    assert find_lattice(np.array([[0.0, 0.0], [1.0, 0.0], [1000.0, 1000.0]])) is None  # a million sites for three spots
    assert find_lattice(np.array([[0.0, 7.0], [3.0, 7.0], [6.0, 7.0]])).shape == (1, 3)


def test_what_is_on_a_lattice() -> None:
    assert on_lattice(lattice("hex"))
    assert not on_lattice(np.random.default_rng(0).uniform(size=(200, 2)))
