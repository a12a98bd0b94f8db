"""Weights follow their formula, do not depend on units, and never let a few rows decide alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import histodecon as hd
from histodecon.models import TRANSFORMS, posterior_weights
from histodecon.models._weights import checked_weights, weights_summary


def task(n: int = 60, k: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.gamma(2.0, 2.0, (n, k)), rng.gamma(1.0, 1.0, (n, k))


def test_the_formula() -> None:
    y, s = task()
    expected = np.empty_like(y)
    for k in range(3):
        v = np.var(y[:, k])
        floor = max(0.5 * (v - np.mean(s[:, k] ** 2)), 0.1 * v)
        w = [1 / (value**2 + floor) for value in s[:, k]]
        expected[:, k] = np.array(w) / np.mean(w)
    np.testing.assert_allclose(posterior_weights(y, s), expected)


def test_equal_uncertainty_is_equal_weight() -> None:
    y, s = task()
    np.testing.assert_allclose(posterior_weights(y, s * 0), 1)
    np.testing.assert_allclose(posterior_weights(y, s * 0 + 7.0), 1)


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 30), st.integers(0, 99), st.floats(1e-6, 1e6), st.sampled_from(TRANSFORMS))
def test_they_are_positive_bounded_and_free_of_units(n: int, seed: int, unit: float, transform: str) -> None:
    y, s = task(n, 2, seed)
    s[0] = 0.0
    found = posterior_weights(y, s, transform=transform)
    assert (found > 0).all()
    np.testing.assert_allclose(found.mean(axis=0), 1)
    if transform in {"none", "proportion"}:
        np.testing.assert_allclose(posterior_weights(y * unit, s * unit, transform=transform), found, rtol=1e-6)
    if transform == "none":
        assert (found.max(axis=0) <= 1.0 + (s**2).max(axis=0) / (0.1 * y.var(axis=0))).all()


@pytest.mark.parametrize(
    ("transform", "slope"), [("log1p", lambda y: 1 / (1 + y)), ("sqrt", lambda y: 0.5 / np.sqrt(y))]
)
def test_small_errors_go_to_another_scale_by_its_slope(transform: str, slope) -> None:
    y, s = task()
    y, s = y + 1, s * 1e-3
    there = {"log1p": np.log1p, "sqrt": np.sqrt}[transform](y)
    np.testing.assert_allclose(
        posterior_weights(y, s, transform=transform), posterior_weights(there, s * slope(y)), rtol=1e-4
    )


def test_errors_of_proportions_are_those_over_the_sum() -> None:
    y, s = task()
    sums = y.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(posterior_weights(y, s, transform="proportion"), posterior_weights(y / sums, s / sums))


def test_a_constant_type_weighs_alike() -> None:
    y, s = task()
    y[:, 1] = 0.0
    assert np.isfinite(posterior_weights(y, s)).all()
    np.testing.assert_allclose(posterior_weights(y, s * 0)[:, 1], 1)


@pytest.mark.parametrize("spoil", [lambda s: -s, lambda s: s * np.nan, lambda s: s[1:], lambda s: s[:, :1]])
def test_senseless_deviations_are_refused(spoil) -> None:
    y, s = task()
    with pytest.raises(hd.InputError, match="BI-6"):
        posterior_weights(y, spoil(s))


def test_weights_are_brought_to_mean_one() -> None:
    np.testing.assert_allclose(checked_weights([2.0, 6.0], (2, 3)), [[0.5] * 3, [1.5] * 3])
    summary = weights_summary(checked_weights([1.0, 1.0, 1.0, 1.0], (4, 1)))
    assert summary == {"smallest": 1.0, "largest": 1.0, "effective_rows": 4.0}
    assert weights_summary(checked_weights([1.0, 1e-9], (2, 1)))["effective_rows"] == pytest.approx(1.0)


@pytest.mark.parametrize("weights", [[1.0], [1.0, 0.0], [1.0, -1.0], [1.0, np.inf], [[1.0], [1.0]], [[0.0] * 3] * 2])
def test_senseless_weights_are_refused(weights: list) -> None:
    with pytest.raises(hd.InputError, match="BI-72"):
        checked_weights(weights, (2, 3))
