"""Half-widths against slow oracles: quantiles of relative errors, widened by what whole groups need."""

from __future__ import annotations

import numpy as np

from histodecon.models._half_widths import BINS, LEVELS, half_widths


def by_hand(truth: np.ndarray, predicted: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """The same with loops over sorted copies, groups of equal size."""
    error = np.abs(truth - predicted)
    parts = np.array_split(np.argsort(predicted, kind="stable"), BINS)
    knots = [predicted[part].mean() for part in parts]
    local = [max(error[part].mean(), 0.25 * error.mean()) for part in parts]
    relative = error / np.interp(predicted, knots, local)

    def quantile(values: np.ndarray, level: float) -> float:
        ordered = sorted(values)
        return next(value for i, value in enumerate(ordered) if (i + 1) / len(ordered) >= level - 1e-9)

    out = []
    for level in LEVELS:
        missing = [relative[i] / quantile(relative[codes != codes[i]], level) for i in range(len(truth))]
        out.append(quantile(relative, level) * max(1.0, quantile(np.array(missing), level)))
    return np.maximum.accumulate(out)


def test_equals_the_slow_way() -> None:
    rng = np.random.default_rng(0)
    codes = np.arange(120) % 4
    predicted = rng.gamma(2, 2, size=120)
    truth = predicted + rng.normal(size=120) * (1 + codes)
    half, knots, local = half_widths(truth, predicted, codes, np.ones(120))
    np.testing.assert_allclose(half, by_hand(truth, predicted, codes), rtol=1e-12)
    assert (np.diff(knots) > 0).all()
    assert (local > 0).all()


def test_groups_count_alike_whatever_their_size() -> None:
    rng = np.random.default_rng(0)
    truth, codes = rng.normal(size=300), np.arange(300) % 3
    rows = np.concatenate([np.arange(300), np.tile(np.flatnonzero(codes == 0), 6)])
    weights = 1 / np.bincount(codes[rows])[codes[rows]]
    once = half_widths(truth, np.zeros(300), codes, np.full(300, 1 / 100))[0]
    again = half_widths(truth[rows], np.zeros(len(rows)), codes[rows], weights)[0]
    scale = np.abs(truth).mean() / np.abs(truth[rows]).mean()  # the local error is that of spots
    np.testing.assert_allclose(once * scale, again, rtol=1e-9)


def test_where_other_groups_never_err_the_largest_error_counts() -> None:
    truth = np.zeros(40)
    truth[:10] = np.linspace(1, 2, 10)  # one of four groups
    half, _, local = half_widths(truth, np.zeros(40), np.repeat(np.arange(4), 10), np.ones(40))
    assert half[-1] * local[0] == 2


def test_no_errors_no_width() -> None:
    half, _, local = half_widths(np.ones(8), np.ones(8), np.arange(8) % 2, np.ones(8))
    assert not half.any()
    assert np.isfinite(local).all()


def test_fewer_spots_than_bins() -> None:
    half, knots, local = half_widths(np.array([1.0, 3.0]), np.array([2.0, 1.0]), np.array([0, 1]), np.ones(2))
    assert knots.shape == local.shape == (BINS,)
    assert (np.diff(knots) >= 0).all()
    assert np.isfinite(half).all()
