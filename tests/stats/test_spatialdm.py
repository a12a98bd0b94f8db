"""The mode of SpatialDM: a slow loop over spots written from its definition, and what it shares with R proper."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm

from histodecon.stats import morans_r, morans_r_spatialdm

Array = NDArray[np.float64]


def slow(x: Array, coords: Array, length: float, neighbors: int, cutoff: float) -> tuple[Array, float]:
    """Weights spot by spot, R pair by pair, sd from the trace of the doubly centered weights."""
    n, k = x.shape
    weights = np.zeros((n, n))
    for i in range(n):
        distance = np.sqrt(((coords - coords[i]) ** 2).sum(axis=1))
        for j in np.argsort(distance, kind="stable")[:neighbors]:
            weight = np.exp(-(distance[j] ** 2) / (2 * length**2))
            weights[i, j] = weight if weight >= cutoff else 0.0
        weights[i, i] = 1.0
    weights *= n / weights.sum()
    scaled = (x - x.mean(axis=0)) / x.std(axis=0)
    r = np.array([[sum((weights @ scaled[:, a]) * scaled[:, b]) / n for b in range(k)] for a in range(k)])
    center = np.eye(n) - 1 / n
    inner = center @ weights @ center
    return r, float(np.sqrt(np.trace(inner @ inner) / (n - 1) ** 2))


def sample(n: int = 120, k: int = 3) -> tuple[Array, Array]:
    rng = np.random.default_rng(0)
    return rng.gamma(0.7, size=(n, k)), rng.uniform(0, 6000, (n, 2))


@pytest.mark.parametrize(("neighbors", "cutoff"), [(160, 0.2), (12, 0.2), (12, 0.0), (1, 0.5)])
def test_equals_a_slow_loop(neighbors: int, cutoff: float) -> None:
    x, coords = sample()
    found = morans_r_spatialdm(x, coords, 500.0, neighbors=neighbors, cutoff=cutoff)
    r, sd = slow(x, coords, 500.0, neighbors, cutoff)
    np.testing.assert_allclose(found.r, r, atol=1e-12)
    np.testing.assert_allclose(found.sd, sd, atol=1e-12)
    np.testing.assert_allclose(found.z, r / sd, atol=1e-9)
    np.testing.assert_allclose(found.p, norm.sf(r / sd), atol=1e-12)


def test_without_limits_it_is_r() -> None:
    x, coords = sample()
    found = morans_r_spatialdm(x, coords, 800.0, neighbors=120, cutoff=0.0)
    proper = morans_r(x, coords, 800.0)
    np.testing.assert_allclose(found.r, proper.r, atol=1e-12)
    off = ~np.eye(3, dtype=bool)
    np.testing.assert_allclose(found.sd[off], proper.sd[off], atol=1e-12)
    assert found.neighbors == pytest.approx(proper.neighbors)


def test_avoidance_is_never_significant_there() -> None:
    x, coords = sample(k=1)
    x = np.c_[x, -x]
    found = morans_r_spatialdm(x, coords, 300.0)
    assert found.r[0, 1] < 0
    assert found.p[0, 1] > 0.5
    assert morans_r(x, coords, 300.0).p[0, 1] < 0.5


def test_a_second_table_and_a_type_without_variance() -> None:
    x, coords = sample()
    x[:, 1] = 2.0
    both = morans_r_spatialdm(x, coords, 500.0)
    assert np.isnan(both.p[1]).all()
    assert np.isfinite(both.p[0, 2])
    np.testing.assert_allclose(
        morans_r_spatialdm(x[:, :1], coords, 500.0, y=x[:, 2:]).r[0, 0], both.r[0, 2], atol=1e-14
    )


def test_few_spots_have_no_p() -> None:
    x, coords = sample(n=3)
    found = morans_r_spatialdm(x, coords, 500.0)
    assert np.isnan(found.p).all()
    assert "3 spots" in found.reason


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"length": 0.0}, "length"),
        ({"cutoff": 1.0}, "cutoff"),
        ({"neighbors": 0}, "neighbors"),
        ({"coords": np.zeros((3, 2))}, "rows"),
        ({"x": np.full((120, 3), np.nan)}, "finite"),
    ],
)
def test_refusals(change: dict[str, object], match: str) -> None:
    x, coords = sample()
    with pytest.raises(ValueError, match=match):
        morans_r_spatialdm(**{"x": x, "coords": coords, "length": 500.0, **change})  # type: ignore[arg-type]
