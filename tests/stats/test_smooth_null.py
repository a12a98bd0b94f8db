"""The smooth null: traces against dense matrices, the share of false positives, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from histodecon.stats import morans_r
from histodecon.stats._columns import unit_columns
from histodecon.stats._smooth_null import _ladder, _moments, smooth_null, student_p

Array = NDArray[np.float64]


def hexagons(side: int) -> Array:
    row, column = np.divmod(np.arange(side * side), side)
    xy = np.c_[column + 0.5 * (row % 2), row * np.sqrt(0.75)]
    return xy[((xy - xy.mean(axis=0)) ** 2).sum(axis=1) < (0.47 * side) ** 2]


def fields(xy: Array, k: int, width: float, seed: int, *, noise: float = 0.3) -> Array:
    """Independent stationary fields with a Gaussian covariance: sums of many random waves, and noise."""
    rng = np.random.default_rng(seed)
    out = np.empty((len(xy), k))
    for i in range(k):
        waves = np.cos(xy @ rng.normal(size=(2, 200)) / width + rng.uniform(0, 2 * np.pi, 200))
        out[:, i] = np.sqrt((1 - noise) / 100) * waves.sum(axis=1) + np.sqrt(noise) * rng.normal(size=len(xy))
    return out


def gaussian(xy: Array, width: float) -> Array:
    return np.exp(-sum(np.subtract.outer(a, a) ** 2 for a in xy.T) / (2 * width**2))


@pytest.mark.parametrize("include_self", [True, False])
def test_traces_are_those_of_dense_matrices(include_self: bool) -> None:
    xy = hexagons(9) - hexagons(9).mean(axis=0)
    u, _ = unit_columns(fields(xy, 3, 2.0, 0))
    n, widths = len(xy), _ladder(xy)
    probes = (np.eye(n) - 1 / n) * np.sqrt(64)  # every direction once: the estimate of a trace is then the trace
    moments, products, (own, positive, squared), _ = _moments(xy, u, probes, widths, 1.0, include_self=include_self)
    center = np.eye(n) - 1 / n
    parts = [np.eye(n), *(gaussian(xy, width) for width in widths)]
    w = gaussian(xy, 1.0)
    p_full = center @ w @ center
    p_own = p_full if include_self else center @ (w - np.eye(n)) @ center
    for i, g in enumerate(parts):
        np.testing.assert_allclose(moments[i], np.diag(u.T @ g @ u), atol=1e-12)
        assert positive[i] == pytest.approx(np.trace(p_full @ g), rel=1e-9)
        for j, h in enumerate(parts):
            assert products[i, j] == pytest.approx(np.trace(center @ g @ center @ h), rel=1e-9, abs=1e-9)
            assert own[i, j] == pytest.approx(np.trace(p_own @ g @ p_own @ h), rel=1e-9, abs=1e-9)
            assert squared[i, j] == pytest.approx(np.trace(p_full @ g @ p_full @ h), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("width", [1.0, 3.0])
def test_independent_smooth_types_are_found_five_times_in_a_hundred(width: float) -> None:
    xy = hexagons(30)
    pairs = np.triu_indices(40, k=1)
    shuffled, smooth = [], []
    for seed in range(4):
        x = fields(xy, 40, width, seed)
        shuffled.append((morans_r(x, xy, 1.0).p[pairs] < 0.05).mean())
        smooth.append((morans_r(x, xy, 1.0, null="smooth").p[pairs] < 0.05).mean())
    assert np.mean(shuffled) > 0.4  # why it is needed
    assert 0.03 < np.mean(smooth) < 0.07


def test_without_smoothness_both_nulls_agree() -> None:
    xy = hexagons(34)
    x = np.random.default_rng(0).normal(size=(len(xy), 20))
    plain, smooth = morans_r(x, xy, 1.0), morans_r(x, xy, 1.0, null="smooth")
    off = ~np.eye(20, dtype=bool)
    np.testing.assert_array_equal(smooth.r, plain.r)
    assert np.median(smooth.sd[off] / plain.sd[off]) == pytest.approx(1.0, abs=0.05)
    np.testing.assert_array_equal(smooth.p.diagonal(), plain.p.diagonal())
    assert plain.effective_n is None
    assert smooth.effective_n is not None
    assert np.isnan(smooth.effective_n.diagonal()).all()


def test_true_partners_are_still_found() -> None:
    xy = hexagons(34)
    x = fields(xy, 3, 2.0, 1)
    x[:, 1] = x[:, 0] + 0.5 * np.random.default_rng(0).normal(size=len(xy))
    found = morans_r(x, xy, 1.0, null="smooth")
    assert found.p[0, 1] < 1e-6
    assert found.p[0, 2] > 0.01


def test_many_scattered_spots_are_summed_on_a_grid_with_nearly_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    xy = rng.uniform(0, 20, (400, 2))
    u, _ = unit_columns(fields(xy, 4, 3.0, 2))
    exact = smooth_null(xy, u, None, 1.5)
    monkeypatch.setattr("histodecon.stats._smooth_null._FEW", 100)
    moved = smooth_null(xy, u, None, 1.5)
    np.testing.assert_allclose(moved.sd, exact.sd, rtol=0.03)


def test_two_tables_give_what_one_gives() -> None:
    xy = hexagons(20)
    x = fields(xy, 4, 2.0, 3)
    one = morans_r(x, xy, 1.0, null="smooth")
    two = morans_r(x[:, :2], xy, 1.0, y=x[:, 2:], null="smooth")
    np.testing.assert_allclose(two.p, one.p[:2, 2:], rtol=1e-9)


def test_p_of_a_t_test() -> None:
    from scipy.stats import norm, pearsonr

    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 12))
    r, p = pearsonr(a, b)
    assert student_p(np.array(r * np.sqrt(11)), np.array(12.0)) == pytest.approx(p)
    beyond = student_p(np.array([2.2, 2.2]), np.array([5.5, 1e6]))  # a correlation of more than 1, and a normal z
    np.testing.assert_allclose(beyond, 2 * norm.sf(2.2), rtol=1e-4)


def test_constant_types_and_few_spots_are_undefined() -> None:
    xy = hexagons(12)
    x = fields(xy, 3, 2.0, 4)
    x[:, 1] = 1.0
    found = morans_r(x, xy, 1.0, null="smooth")
    assert np.isnan(found.p[1]).all()
    assert np.isfinite(found.p[0, 2])
    few = morans_r(x[:20], xy[:20], 1.0, null="smooth")
    assert "20 spots" in few.reason
    assert np.isnan(few.p[0, 2])
    with pytest.raises(ValueError, match="no permutations"):
        morans_r(x, xy, 1.0, null="smooth", permutations=9)
    with pytest.raises(ValueError, match="null must be"):
        morans_r(x, xy, 1.0, null="rough")  # type: ignore[arg-type]
