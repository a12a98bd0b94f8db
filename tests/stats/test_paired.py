"""Sign flips against a plain loop over all patterns, the size of the test, and what few units cannot show."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histodecon.stats import paired_test


def by_hand(d: np.ndarray, alternative: str) -> float:
    side = {"two-sided": abs, "greater": lambda x: x, "less": lambda x: -x}[alternative]
    sums = [side(float(np.dot(signs, d))) for signs in product([1, -1], repeat=len(d))]
    return float(np.mean([value >= side(float(d.sum())) - 1e-9 for value in sums]))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 8), alternative=st.sampled_from(["two-sided", "greater", "less"]))
def test_p_is_the_share_of_sign_patterns(seed: int, n: int, alternative: str) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(2, n, 3)).round(1)  # ties on purpose
    a[rng.random((n, 3)) < 0.15] = np.nan
    found = paired_test(a, b, alternative=alternative)
    for k in range(3):
        known = np.isfinite(a[:, k])
        d = (a - b)[known, k]
        assert found.n[k] == len(d)
        if not len(d):
            assert np.isnan([found.p[k], found.difference[k], found.smallest_p[k]]).all()
            continue
        assert found.p[k] == pytest.approx(by_hand(d, alternative))
        assert found.difference[k] == pytest.approx(d.mean())
        assert found.p[k] >= found.smallest_p[k] - 1e-12


def test_two_patients_show_nothing() -> None:
    a, b = np.array([0.9, 0.8]), np.array([0.0, 0.1])
    assert paired_test(a, b).p[0] == 0.5
    assert paired_test(a, b, alternative="greater").p[0] == 0.25
    assert paired_test(a, b).smallest_p[0] == 0.5
    assert paired_test(a[:1], b[:1]).p[0] == 1.0


def test_order_of_units_and_sides() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 9))
    p = paired_test(a, b).p[0]
    assert paired_test(a[::-1], b[::-1]).p[0] == p
    assert paired_test(b, a).p[0] == p
    assert paired_test(a, b, alternative="greater").p[0] == paired_test(b, a, alternative="less").p[0]
    assert paired_test(a, a).p[0] == 1.0


@pytest.mark.parametrize("units", [6, 8, 20])
def test_the_size_is_what_it_says(units: int) -> None:
    rng = np.random.default_rng(units)
    shape = (units, 1500)
    hard = rng.normal(size=(units, 1))  # patients differ, predictions do not
    a, b = hard + rng.gamma(1, size=shape), hard + rng.gamma(1, size=shape)
    p = paired_test(a, b, permutations=999).p
    for level in (0.05, 0.1, 0.25):
        assert (p <= level).mean() <= level + 2.6 * np.sqrt(level * (1 - level) / 1500)
    assert (p <= 0.25).mean() > 0.18


def test_it_sees_a_difference() -> None:
    rng = np.random.default_rng(0)
    hard = rng.normal(size=(8, 1))
    a, b = hard + 0.4 + 0.2 * rng.normal(size=(8, 200)), hard + 0.2 * rng.normal(size=(8, 200))
    assert (paired_test(a, b).p <= 0.05).mean() > 0.7


def test_random_patterns_are_close_to_all_of_them_and_follow_the_seed() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(2, 12, 4))
    every = paired_test(a, b)
    some = paired_test(a, b, permutations=3000)
    np.testing.assert_allclose(some.p, every.p, atol=0.04)
    np.testing.assert_array_equal(some.p, paired_test(a, b, permutations=3000).p)
    assert (some.smallest_p >= 1 / 3001).all()


def test_bad_options_are_refused() -> None:
    with pytest.raises(ValueError, match="one shape"):
        paired_test([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="alternative"):
        paired_test([1.0], [2.0], alternative="better")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="permutations"):
        paired_test([1.0], [2.0], permutations=0)
