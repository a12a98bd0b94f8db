"""The Mantel test: by hand over all orders, uniform when maps have nothing in common, missing pairs."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from histodecon.stats import mantel_test


def random_map(seed: int, k: int) -> np.ndarray:
    values = np.random.default_rng(seed).normal(size=(k, k))
    return values + values.T


def test_p_is_that_of_all_orders() -> None:
    a = random_map(0, 5)
    b = a + random_map(1, 5)
    upper = np.triu_indices(5, k=1)
    observed = np.corrcoef(a[upper], b[upper])[0, 1]
    every = [np.corrcoef(a[np.ix_(o, o)][upper], b[upper])[0, 1] for o in map(list, permutations(range(5)))]
    r, p = mantel_test(a, b, permutations=4000)
    assert r == pytest.approx(observed)
    assert p == pytest.approx(np.mean(np.array(every) >= observed - 1e-12), abs=0.03)


def test_maps_with_nothing_in_common_are_found_five_times_in_a_hundred() -> None:
    found = [mantel_test(random_map(2 * i, 8), random_map(2 * i + 1, 8), permutations=99)[1] for i in range(400)]
    assert 0.02 < np.mean(np.array(found) <= 0.05) < 0.09


def test_types_that_are_missing_are_left_out() -> None:
    a, b = random_map(0, 7), random_map(1, 7)
    gone = a.copy()
    gone[3] = gone[:, 3] = np.nan
    rest = [0, 1, 2, 4, 5, 6]
    assert mantel_test(gone, b, permutations=99) == mantel_test(
        a[np.ix_(rest, rest)], b[np.ix_(rest, rest)], permutations=99
    )
    one = a.copy()
    one[0, 1] = one[1, 0] = np.nan
    assert np.isfinite(mantel_test(one, b, permutations=9)).all()
    assert np.isnan(mantel_test(a[:3, :3], b[:3, :3])).all()
    assert np.isnan(mantel_test(np.ones((5, 5)), np.ones((5, 5)))).all()
    with pytest.raises(ValueError, match="square"):
        mantel_test(a, b[:3])
