"""Bounds from draws: quantiles as numpy makes them, missing draws, too few groups."""

from __future__ import annotations

import numpy as np
import pytest

from histodecon import stats


def test_percentiles_are_those_of_numpy() -> None:
    drawn = np.random.default_rng(0).normal(size=(501, 3, 2))
    for level in (0.5, 0.9, 0.95):
        low, high = stats.percentile_interval(drawn, level=level)
        expected = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0)
        np.testing.assert_allclose([low, high], expected, atol=1e-12)


def test_undefined_draws_are_left_out_up_to_a_tenth() -> None:
    drawn = np.random.default_rng(0).normal(size=(200, 3))
    drawn[:20, 0] = drawn[:21, 1] = np.nan
    low, high = stats.percentile_interval(drawn)
    assert low[0] == pytest.approx(np.nanquantile(drawn[:, 0], 0.025))
    assert high[0] == pytest.approx(np.nanquantile(drawn[:, 0], 0.975))
    np.testing.assert_array_equal(np.isnan(low), [False, True, False])
    assert np.isnan(stats.percentile_interval(np.full((5, 1), np.nan))[0]).all()


def test_few_groups_widen_and_fewer_have_no_interval() -> None:
    drawn = np.random.default_rng(0).normal(size=(9999, 4))
    low, high = stats.group_interval(drawn, [2, 5, 6, 1000])
    np.testing.assert_array_equal(np.isnan(low), [True, True, False, False])
    assert high[2] - low[2] > 1.2 * (high[3] - low[3])
    plain = stats.percentile_interval(drawn[:, 3:])
    assert low[3] == pytest.approx(plain[0][0], abs=0.02)


def test_how_many_groups_an_interval_takes() -> None:
    assert [stats.least_groups(level) for level in (0.5, 0.75, 0.9, 0.95, 0.99)] == [2, 3, 5, 6, 8]


@pytest.mark.parametrize("level", [0.0, 1.0, 95])
def test_levels_are_shares(level: float) -> None:
    for call in (
        lambda: stats.percentile_interval(np.zeros((3, 1)), level=level),
        lambda: stats.group_interval(np.zeros((3, 1)), 8, level=level),
        lambda: stats.least_groups(level),
    ):
        with pytest.raises(ValueError, match="level"):
            call()
