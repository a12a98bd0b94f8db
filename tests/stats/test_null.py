"""The null of Moran's R: exact moments against all permutations, p against its own promise, FDR against scipy."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from scipy.stats import false_discovery_control, kstest, norm

from histodecon.stats import _null, benjamini_hochberg, morans_r


def _weights(coords: np.ndarray, length: float, *, include_self: bool) -> np.ndarray:
    w = np.exp(-((coords[:, None] - coords[None]) ** 2).sum(axis=2) / (2 * length**2))
    if not include_self:
        np.fill_diagonal(w, 0)
    return w * len(w) / w.sum()


@pytest.mark.parametrize("include_self", [True, False])
def test_moments_equal_those_of_all_permutations(include_self: bool) -> None:
    n = 6
    rng = np.random.default_rng(0)
    coords, x = rng.uniform(0, 3, (n, 2)), rng.gamma(0.5, size=(n, 2))
    result = morans_r(x, coords, 1.0, include_self=include_self)
    w = _weights(coords, 1.0, include_self=include_self)
    u = x - x.mean(axis=0)
    u /= np.linalg.norm(u, axis=0)
    orders = np.array(list(permutations(range(n))))
    first, second = u[orders, 0], u[orders, 1]
    cross = first @ w @ second.T  # all pairs of orders: both types on the spots at random
    own = np.einsum("pi,ij,pj->p", first, w, first)
    assert result.expected[0, 1] == pytest.approx(cross.mean(), abs=1e-13)
    assert result.sd[0, 1] == pytest.approx(cross.std(), rel=1e-12)
    assert result.expected[0, 0] == pytest.approx(own.mean(), abs=1e-13)
    assert result.sd[0, 0] == pytest.approx(own.std(), rel=1e-12)


def test_normal_p_is_uniform_when_nothing_is_spatial() -> None:
    rng = np.random.default_rng(1)
    coords = rng.uniform(0, 20, (300, 2))
    p = [morans_r(rng.gamma(2, size=(300, 2)), coords, 1.0).p for _ in range(200)]
    assert kstest([one[0, 1] for one in p], "uniform").pvalue > 0.01
    assert kstest([one[0, 0] for one in p], "uniform").pvalue > 0.01


def test_permutation_p_agrees_with_the_normal_one() -> None:
    rng = np.random.default_rng(2)
    coords, x = rng.uniform(0, 15, (200, 2)), rng.normal(size=(200, 6))
    normal = morans_r(x, coords, 1.0)
    drawn = morans_r(x, coords, 1.0, permutations=2000, random_state=3)
    off = ~np.eye(6, dtype=bool)
    np.testing.assert_allclose(drawn.p[off], normal.p[off], atol=0.08)
    np.testing.assert_array_equal(drawn.p.diagonal(), normal.p.diagonal())
    np.testing.assert_array_equal(drawn.z, normal.z)


def test_permutation_p_counts_shuffles_of_the_second_table() -> None:
    rng = np.random.default_rng(4)
    coords, x, y = rng.uniform(0, 5, (30, 2)), rng.normal(size=(30, 1)), rng.normal(size=(30, 1))
    result = morans_r(x, coords, 1.0, y=y, permutations=99, random_state=7)
    w = _weights(coords, 1.0, include_self=True)
    u, v = (side[:, 0] - side.mean() for side in (x, y))
    scale = np.linalg.norm(u) * np.linalg.norm(v)
    draw = np.random.default_rng(7)
    shuffled = [abs(u @ w @ v[draw.permutation(30)]) / scale for _ in range(99)]
    assert result.p[0, 0] == (1 + sum(value >= abs(result.r[0, 0]) for value in shuffled)) / 100


def test_same_seed_same_p() -> None:
    rng = np.random.default_rng(5)
    coords, x = rng.uniform(0, 5, (30, 2)), rng.normal(size=(30, 3))
    first = morans_r(x, coords, 1.0, permutations=50, random_state=1).p
    np.testing.assert_array_equal(first, morans_r(x, coords, 1.0, permutations=50, random_state=1).p)
    assert (first != morans_r(x, coords, 1.0, permutations=50, random_state=2).p).any()


def test_p_and_q_are_two_sided_and_q_counts_each_pair_once() -> None:
    rng = np.random.default_rng(6)
    coords, x = rng.uniform(0, 10, (80, 2)), rng.normal(size=(80, 5))
    result = morans_r(x, coords, 1.0)
    np.testing.assert_allclose(result.p, 2 * norm.sf(np.abs(result.z)), rtol=1e-12)
    upper = np.triu_indices(5, k=1)
    np.testing.assert_allclose(result.q[upper], false_discovery_control(result.p[upper]), rtol=1e-14)
    np.testing.assert_allclose(result.q.diagonal(), false_discovery_control(result.p.diagonal()), rtol=1e-14)


def test_benjamini_hochberg_by_hand_and_with_nan() -> None:
    p = np.array([0.01, np.nan, 0.04, 0.03, 0.005])
    np.testing.assert_allclose(benjamini_hochberg(p), [0.02, np.nan, 0.04, 0.04, 0.02])
    assert np.isnan(benjamini_hochberg(np.full(3, np.nan))).all()


def test_shuffles_of_many_spots_are_summed_in_float32_and_decided_in_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(4)
    smoothed, v = rng.normal(size=(400, 6)), np.round(rng.normal(size=(400, 6)), 1)
    v -= v.mean(axis=0)
    draw = np.random.default_rng(5)
    ties = np.abs(smoothed.T @ v[draw.permutation(400)])  # the first shuffle reaches what was observed, exactly

    def p() -> np.ndarray:
        return _null.permutation_p(smoothed, v, ties, 1.0, permutations=20, random_state=5)

    plain = p()
    monkeypatch.setattr(_null, "_MANY", 10)
    looked_at: list[np.dtype] = []
    shuffled = _null._shuffled
    monkeypatch.setattr(_null, "_shuffled", lambda *given: (looked_at.append(given[1].dtype), shuffled(*given))[1])
    np.testing.assert_array_equal(p(), plain)
    assert set(looked_at) == {np.dtype(np.float32)}
    monkeypatch.setattr(_null, "_DOUBT", 0.0)
    assert (p() != plain).any()  # float32 alone would have decided otherwise
