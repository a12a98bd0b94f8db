"""Products of all columns."""

from __future__ import annotations

import numpy as np
import pytest

from histodecon.stats._gram import gram, mirrored, symmetric_gram


@pytest.mark.parametrize("n", [0, 5, 700])
@pytest.mark.parametrize("k", [1, 2, 7])
def test_products_of_all_columns(n: int, k: int) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(n, k)), rng.normal(size=(n, 3))
    np.testing.assert_allclose(gram(a, b), a.T @ b, atol=1e-12)
    np.testing.assert_allclose(symmetric_gram(a, 2 * a), 2 * a.T @ a, atol=1e-12)


def test_float32_is_summed_in_float64() -> None:
    ones = np.full((2_000_000, 1), 0.1, dtype=np.float32)
    found = gram(ones, ones)
    assert found.dtype == np.float64
    assert found[0, 0] == pytest.approx(2e4, rel=1e-6)


def test_what_is_above_the_diagonal_is_copied_below_it() -> None:
    np.testing.assert_array_equal(mirrored(np.array([[1.0, 2.0], [9.0, 3.0]])), [[1.0, 2.0], [2.0, 3.0]])
