"""Intervals cover patients that nobody saw, in groups that differ, and keep to the range of the targets."""

from __future__ import annotations

import numpy as np
import pytest

import histodecon as hd
from histodecon.models import ConformalIntervals
from histodecon.models._conformal import held_out_coverage
from histodecon.models._half_widths import LEVELS


def drawn(
    rng: np.random.Generator, n_groups: int, shift: float, n: int = 80
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Abundances, predictions that err more where there is more, and a shift for each group."""
    groups = np.repeat(np.arange(n_groups), n)
    predicted = rng.gamma(2, 2, size=(len(groups), 1))
    error = (0.3 + 0.3 * predicted) * (
        rng.normal(size=predicted.shape) + shift * rng.normal(size=n_groups)[groups, None]
    )
    return predicted + error, predicted, groups


@pytest.mark.parametrize("level", [0.8, 0.9])
@pytest.mark.parametrize("n_groups", [4, 8])
@pytest.mark.parametrize("shift", [0.0, 0.7])
def test_new_groups_are_covered(level: float, n_groups: int, shift: float) -> None:
    rng = np.random.default_rng(n_groups)
    shares = []
    for _ in range(60):
        intervals = ConformalIntervals.fit(*drawn(rng, n_groups, shift))
        truth, predicted, _ = drawn(rng, 20, shift)
        lower, upper = intervals.interval(np.clip(predicted, 0, None), level)
        shares.append(((np.maximum(lower, predicted - (upper - predicted)) <= truth) & (truth <= upper)).mean())
    assert abs(np.mean(shares) - level) < 0.03


def test_spots_with_more_get_wider_intervals() -> None:
    intervals = ConformalIntervals.fit(*drawn(np.random.default_rng(0), 6, 0.0, n=300))
    lower, upper = intervals.interval(np.array([[1.0], [8.0]]))
    assert (upper - lower)[1, 0] > 2 * (upper - lower)[0, 0]


def test_more_coverage_is_wider_and_contains_less() -> None:
    intervals = ConformalIntervals.fit(*drawn(np.random.default_rng(0), 5, 0.5))
    at = np.linspace(0, 12, 7)[:, None]
    previous = intervals.interval(at, 0.5)
    for level in (0.66, 0.9, 0.93, 0.99):
        current = intervals.interval(at, level)
        assert (current[0] <= previous[0]).all()
        assert (current[1] >= previous[1]).all()
        previous = current


def test_bounds_keep_to_the_range_and_nan_stays() -> None:
    rng = np.random.default_rng(0)
    predicted = rng.dirichlet(np.ones(3), size=90)
    truth = rng.dirichlet(np.ones(3), size=90)
    given = np.array([[0.0, 1.0, np.nan]])
    for kind, highest in (("proportion", 1.0), ("abundance", np.inf)):
        intervals = ConformalIntervals.fit(truth, predicted, np.arange(90) % 3, kind=kind)
        lower, upper = intervals.interval(given)
        assert lower[0, 0] == 0
        assert (upper[0, 1] == 1) == (highest == 1)
        assert np.isnan(lower[0, 2])
        assert np.isnan(upper[0, 2])


def test_held_out_coverage_sees_groups_that_others_do_not_explain() -> None:
    rng = np.random.default_rng(0)
    truth, predicted, groups = drawn(rng, 6, 0.0)
    fair = held_out_coverage(truth, predicted, groups, 0.9)
    odd = truth + 50.0 * (groups == 0)[:, None]
    assert abs(fair[0] - 0.9) < 0.05
    assert held_out_coverage(odd, predicted, groups, 0.9)[0] < fair[0]


def test_rows_without_targets_take_no_part() -> None:
    truth, predicted, groups = drawn(np.random.default_rng(0), 3, 0.0)
    whole = ConformalIntervals.fit(truth[:200], predicted[:200], groups[:200])
    truth[200:] = np.nan
    part = ConformalIntervals.fit(truth, predicted, groups)
    np.testing.assert_array_equal(part.half_widths, whole.half_widths)
    assert part.facts_["n_rows"] == 200
    assert "200 held-out spots of 3 groups" in repr(part)


def test_parts_bring_back_the_same_numbers() -> None:
    intervals = ConformalIntervals.fit(*drawn(np.random.default_rng(0), 3, 0.2))
    back = ConformalIntervals.from_parts(intervals.facts(), intervals.arrays())
    at = np.linspace(0, 9, 5)[:, None]
    for one, other in zip(intervals.interval(at), back.interval(at), strict=True):
        np.testing.assert_array_equal(one, other)
    assert back.facts() == intervals.facts()


@pytest.mark.parametrize("fault", ["missing", "shape", "order", "negative", "levels", "extra", "target"])
def test_damaged_parts_are_refused(fault: str) -> None:
    intervals = ConformalIntervals.fit(*drawn(np.random.default_rng(0), 3, 0.2))
    facts, arrays = intervals.facts(), {name: array.copy() for name, array in intervals.arrays().items()}
    if fault == "missing":
        del arrays["errors"]
    elif fault == "shape":
        arrays["errors"] = arrays["errors"][1:]
    elif fault == "order":
        arrays["half_widths"] = arrays["half_widths"][::-1]
    elif fault == "negative":
        arrays["errors"][0] = -1
    elif fault == "levels":
        facts["levels"] = list(LEVELS[:-1])
    elif fault == "extra":
        arrays["other"] = np.zeros(1)
    else:
        facts["target"] = "counts"
    with pytest.raises(hd.IntegrityError, match="BI-82"):
        ConformalIntervals.from_parts(facts, arrays)


@pytest.mark.parametrize("coverage", [0.2, 0.995, 1, "much", float("nan")])
def test_a_coverage_nobody_knows_is_refused(coverage: object) -> None:
    intervals = ConformalIntervals.fit(*drawn(np.random.default_rng(0), 3, 0.2))
    with pytest.raises(hd.InputError, match="BI-91"):
        intervals.interval(np.ones((2, 1)), coverage)
    with pytest.raises(hd.InputError, match="BI-64"):
        intervals.interval(np.ones((2, 2)))


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(hd.InputError, match="BI-61"):
        ConformalIntervals.fit(np.ones((4, 1)), np.ones((4, 1)), np.arange(4), kind="counts")
