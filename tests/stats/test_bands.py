"""Banded products over many rows, in parts of rows and of columns."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from histodecon.stats import _bands, gaussian_sums
from histodecon.stats._bands import neighbors_by_bands, smooth_by_bands
from histodecon.stats._lattice import Lattice, find_lattice, lattice_sums

Array = NDArray[np.float64]


def spots(kind: str, rows: int = 150, columns: int = 9) -> Array:
    row, column = (index.ravel() for index in np.indices((rows, columns)))
    if kind == "square":
        return np.column_stack([column, row]).astype(float)
    late = row + (kind == "hexagons that begin late")
    return np.column_stack([column + 0.5 * (late % 2), np.sqrt(0.75) * row])


def lattice_of(coords: Array) -> Lattice:
    found = find_lattice(coords)
    assert found is not None
    return found


@pytest.mark.parametrize("left", [1.0, 0.7])
@pytest.mark.parametrize("kind", ["square", "hexagons", "hexagons that begin late"])
def test_rows_and_columns_in_parts(monkeypatch: pytest.MonkeyPatch, kind: str, left: float) -> None:
    rng = np.random.default_rng(0)
    coords = spots(kind)
    if left < 1:
        coords = coords[rng.permutation(len(coords))[: int(left * len(coords))]]
    v = rng.normal(size=(len(coords), 7))
    slow = gaussian_sums(coords, v, 1.5)
    whole = smooth_by_bands(lattice_of(coords), v, 1.5)
    np.testing.assert_allclose(whole, slow.product, atol=1e-12)
    np.testing.assert_allclose(neighbors_by_bands(lattice_of(coords), 1.5), slow.row_sums, rtol=1e-13)
    monkeypatch.setattr(_bands, "_WINDOW_BYTES", 1)
    monkeypatch.setattr(_bands, "_FEWEST", 3)
    monkeypatch.setattr(_bands, "_HEIGHT", 7)
    np.testing.assert_allclose(smooth_by_bands(lattice_of(coords), v, 1.5), slow.product, atol=1e-12)
    single = smooth_by_bands(lattice_of(coords), v.astype(np.float32), 1.5)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, slow.product, atol=5e-5)


@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize("include_self", [True, False])
def test_products_of_all_pairs_need_no_weighed_values(
    monkeypatch: pytest.MonkeyPatch, include_self: bool, parts: int
) -> None:
    rng = np.random.default_rng(1)
    coords = spots("hexagons")
    coords = coords[rng.permutation(len(coords))[:900]]
    v = rng.normal(size=(900, 7))
    if parts > 1:
        monkeypatch.setattr(_bands, "_WINDOW_BYTES", 1)
        monkeypatch.setattr(_bands, "_FEWEST", 3)
    found = lattice_sums(lattice_of(coords), v, 1.5, include_self=include_self, gram=True)
    slow = gaussian_sums(coords, v, 1.5, include_self=include_self)
    assert found.product.shape == (900, 0)
    assert found.gram is not None
    np.testing.assert_allclose(found.gram, v.T @ slow.product, rtol=1e-11, atol=1e-9)
    np.testing.assert_array_equal(found.gram, found.gram.T)
    assert found.total == pytest.approx(slow.total, rel=1e-13)


def test_hexagons_are_laid_out_without_their_empty_sites() -> None:
    for kind, turns in (("square", 1), ("hexagons", 2), ("hexagons that begin late", 2)):
        rows = _bands._Rows(lattice_of(spots(kind)))
        assert rows.turns == turns
        assert rows.count * rows.slots == 150 * 9


def test_values_are_taken_as_they_lie_where_no_site_is_empty() -> None:
    coords = spots("hexagons")
    rows, v = _bands._Rows(lattice_of(coords)), np.ones((len(coords), 2))
    buffer = np.empty((5, 9, 2))
    assert np.shares_memory(rows.laid(v, 3, 8, buffer), v)
    holes = _bands._Rows(lattice_of(np.delete(coords, 40, axis=0)))
    laid = holes.laid(v[1:], 3, 8, buffer)
    assert np.shares_memory(laid, buffer)
    assert laid.sum() == 2 * (5 * 9 - 1)


def test_no_columns_and_no_values_leave_nothing() -> None:
    coords = spots("square", 4, 4)
    assert smooth_by_bands(lattice_of(coords), np.empty((16, 0)), 1.0).shape == (16, 0)
