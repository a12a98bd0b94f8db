"""Slides as observations: the mean by hand, and how often it errs."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from histodecon.stats import MoranResult, across_slides, morans_r, pool_morans_r


def slide(r: float, sd: float) -> MoranResult:
    one = np.full((2, 2), np.nan)
    value, spread = one.copy(), one.copy()
    value[0, 1] = value[1, 0] = r
    spread[0, 1] = spread[1, 0] = sd
    return MoranResult(value, np.where(np.isnan(value), np.nan, 0.0), spread, one, one, one, 100, 1.0, 6.0)


def test_equal_slides_are_a_t_test() -> None:
    r = np.array([0.1, 0.3, 0.2, 0.05])
    found = across_slides([slide(value, 0.01) for value in r])
    assert found.r[0, 1] == pytest.approx(r.mean())
    assert found.p[0, 1] == pytest.approx(ttest_1samp(r, 0).pvalue, rel=1e-9)
    assert found.slides[0, 1] == 4
    between = r.var(ddof=1) - 0.01**2
    assert found.tau[0, 1] == pytest.approx(np.sqrt(between))
    low, high = ttest_1samp(r, 0).confidence_interval(0.95)
    assert (found.lower[0, 1], found.upper[0, 1]) == pytest.approx((low, high))
    assert np.isnan(found.p[0, 0])


def test_slides_that_differ_no_more_than_chance_count_by_their_precision() -> None:
    found = across_slides([slide(0.10, 0.05), slide(0.12, 0.05), slide(0.11, 0.5)])
    assert found.tau[0, 1] == 0.0
    weight = 1 / np.array([0.05, 0.05, 0.5]) ** 2
    assert found.r[0, 1] == pytest.approx(np.average([0.10, 0.12, 0.11], weights=weight))


def test_one_slide_says_nothing_about_slides() -> None:
    found = across_slides([slide(0.4, 0.1)])
    assert np.isnan(found.p).all()
    with pytest.raises(ValueError, match="nothing to pool"):
        across_slides([])


def test_it_errs_five_times_in_a_hundred_where_slides_scatter_more_than_their_sd() -> None:
    rng = np.random.default_rng(0)
    wrong = [across_slides([slide(r, 0.01) for r in rng.normal(0, 0.1, 5)]).p[0, 1] < 0.05 for _ in range(1500)]
    assert 0.035 < np.mean(wrong) < 0.065


def test_the_smooth_null_is_pooled_with_its_freedom() -> None:
    rng = np.random.default_rng(0)
    xy = np.stack(np.meshgrid(np.arange(12.0), np.arange(12.0)), axis=-1).reshape(-1, 2)
    maps = [morans_r(np.cumsum(rng.normal(size=(144, 3)), axis=0), xy, 1.0, null="smooth") for _ in range(2)]
    one = pool_morans_r(maps[:1])
    np.testing.assert_allclose(one.p, maps[0].p, rtol=1e-9)
    both = pool_morans_r(maps)
    assert both.effective_n is not None
    assert maps[0].effective_n is not None
    off = ~np.eye(3, dtype=bool)
    assert np.isfinite(both.p).all()
    assert (both.effective_n[off] > maps[0].effective_n[off] * 0.5).all()
    np.testing.assert_allclose(both.sd[off], np.sqrt(maps[0].sd[off] ** 2 + maps[1].sd[off] ** 2) / 2)


@pytest.mark.parametrize(("r", "sd"), [(0.9, np.nan), (np.nan, 0.05), (0.9, 0.0)])
def test_a_slide_that_says_nothing_of_a_pair_is_left_out(r: float, sd: float) -> None:
    known = [slide(0.10, 0.05), slide(0.3, 0.02), slide(0.2, 0.04)]
    found, plain = across_slides([*known, slide(r, sd)]), across_slides(known)
    for name in ("r", "tau", "p", "lower", "upper", "slides"):
        assert getattr(found, name)[0, 1] == pytest.approx(getattr(plain, name)[0, 1], rel=1e-12), name
