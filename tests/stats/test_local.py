"""Local contributions: a double loop, every permutation of the other spots, planted places."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from numpy.typing import NDArray

from histodecon.stats import local_morans_r, morans_r

Array = NDArray[np.float64]


def sample(n: int, k: int = 3) -> tuple[Array, Array]:
    rng = np.random.default_rng(n)
    return rng.gamma(0.7, size=(n, k)), rng.uniform(0, 4, (n, 2))


def weights_of(coords: Array, length: float, *, include_self: bool) -> Array:
    w = np.exp(-((coords[:, None] - coords[None]) ** 2).sum(axis=2) / (2 * length**2))
    if not include_self:
        np.fill_diagonal(w, 0.0)
    return w


@pytest.mark.parametrize("include_self", [True, False])
def test_equals_a_double_loop_and_its_mean_is_r(include_self: bool) -> None:
    x, coords = sample(30)
    pairs = [[0, 1], [2, 2], [2, 0]]
    found = local_morans_r(x, coords, 0.8, pairs, include_self=include_self)
    u = (x - x.mean(axis=0)) / x.std(axis=0) / np.sqrt(30)
    w = weights_of(coords, 0.8, include_self=include_self)
    for column, (a, b) in enumerate(pairs):
        for i in range(30):
            both = sum(w[i, j] * (u[i, a] * u[j, b] + u[i, b] * u[j, a]) for j in range(30))
            assert found.r[i, column] == pytest.approx(30 * 30 / w.sum() / 2 * both, abs=1e-12)
    r = morans_r(x, coords, 0.8, include_self=include_self).r
    np.testing.assert_allclose(found.r.mean(axis=0), [r[a, b] for a, b in pairs], atol=1e-12)


@pytest.mark.parametrize("include_self", [True, False])
@pytest.mark.parametrize("pair", [(0, 1), (0, 0)])
def test_moments_are_those_of_all_permutations_of_the_others(include_self: bool, pair: tuple[int, int]) -> None:
    n, i = 6, 2
    x, coords = sample(n, 2)
    found = local_morans_r(x, coords, 0.8, [pair], include_self=include_self)
    w = weights_of(coords, 0.8, include_self=include_self)
    u = (x - x.mean(axis=0)) / x.std(axis=0) / np.sqrt(n)
    a, b = u[:, pair[0]], u[:, pair[1]]
    others = [j for j in range(n) if j != i]
    first, second = [], []
    for order in permutations(others):
        s, t = (w[i, i] * v[i] + w[i, others] @ v[list(order)] for v in (a, b))
        first.append(a[i] * t)
        second.append(b[i] * s)
    one, two = np.array(first), np.array(second)
    scale = n * n / w.sum() / 2
    assert found.expected[i, 0] == pytest.approx(scale * (one.mean() + two.mean()), abs=1e-12)
    spread = one.var() + two.var() if pair[0] != pair[1] else (one + two).var()
    assert found.sd[i, 0] == pytest.approx(scale * np.sqrt(spread), abs=1e-12)


def test_planted_places_are_found_and_noise_is_not() -> None:
    xy = np.stack(np.meshgrid(np.arange(30.0), np.arange(30.0)), axis=-1).reshape(-1, 2)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(900, 2))
    assert (local_morans_r(x, xy, 1.0, [[0, 1]]).p < 0.05).mean() == pytest.approx(0.05, abs=0.02)
    patch = ((xy - 15) ** 2).sum(axis=1) < 16
    x[patch] += 3
    hot = local_morans_r(x, xy, 1.0, [[0, 1]]).q[:, 0] < 0.05
    assert hot[patch].mean() > 0.8
    assert hot[~patch].mean() < 0.1


def test_types_without_variance_and_few_spots_are_undefined() -> None:
    x, coords = sample(20)
    x[:, 1] = 1.0
    found = local_morans_r(x, coords, 1.0, [[0, 1], [0, 2]])
    assert np.isnan(found.r[:, 0]).all()
    assert np.isnan(found.q[:, 0]).all()
    assert np.isfinite(found.p[:, 1]).all()
    assert np.isnan(local_morans_r(x[:3], coords[:3], 1.0, [[0, 2]]).p).all()


@pytest.mark.parametrize(
    "change", [{"pairs": [[0, 3]]}, {"pairs": [[0, 1, 2]]}, {"length": 0.0}, {"coords": [[0.0, 1.0]]}]
)
def test_refusals(change: dict[str, object]) -> None:
    x, coords = sample(20)
    with pytest.raises(ValueError, match=r"pairs|length|rows"):
        local_morans_r(**{"x": x, "coords": coords, "length": 1.0, "pairs": [[0, 1]], **change})  # type: ignore[arg-type]


def test_places_far_from_the_origin_lose_no_digits() -> None:
    x, coords = sample(30)
    near = local_morans_r(x, coords, 0.8, [[0, 1], [2, 2]])
    far = local_morans_r(x, coords + 1e6, 0.8, [[0, 1], [2, 2]])
    np.testing.assert_allclose(far.r, near.r, atol=1e-8)  # 1e6 away, coordinates themselves keep 1e-10 of a unit
