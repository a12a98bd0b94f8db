"""All ways to sum agree, and the one that is chosen is among the fastest."""

from __future__ import annotations

import time

import numpy as np
import pytest

from histodecon.stats import morans_r
from histodecon.stats._sums import METHODS, spatial_sums


def spots(kind: str, n: int, seed: int = 0) -> np.ndarray:
    side = int(np.ceil(np.sqrt(n)))
    row, column = (index.ravel()[:n] for index in np.indices((side, side)))
    if kind == "scattered":
        return np.random.default_rng(seed).uniform(0, side, (n, 2))
    return np.column_stack([column + 0.5 * (row % 2), row * np.sqrt(3) / 2])


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("method", [method for method in METHODS if method != "auto"])
def test_every_method_gives_the_same_map(method: str, precision: str) -> None:
    rng = np.random.default_rng(0)
    coords, x = spots("hex", 900), rng.gamma(0.6, size=(900, 6))
    plain = morans_r(x, coords, 1.5, method="blocks")
    other = morans_r(x, coords, 1.5, method=method, precision=precision)
    tolerance = 1e-12 if precision == "float64" else 1e-6
    for name in ("r", "expected", "sd"):
        np.testing.assert_allclose(getattr(other, name), getattr(plain, name), atol=tolerance, err_msg=name)
    assert other.method == method
    assert other.r.dtype == np.float64


def test_methods_that_cannot_be_used() -> None:
    x = np.random.default_rng(0).gamma(1, size=(600, 2))
    for method in ("lattice", "fft"):
        with pytest.raises(ValueError, match="on a lattice along the axes"):
            morans_r(x, spots("scattered", 600), 1.0, method=method)
    with pytest.raises(ValueError, match="two dimensions"):
        morans_r(x, np.random.default_rng(0).normal(size=(600, 3)), 1.0, method="near")
    with pytest.raises(ValueError, match="precision"):
        morans_r(x, spots("hex", 600), 1.0, precision="float16")
    assert morans_r(x, np.random.default_rng(0).normal(size=(600, 3)), 1.0).method == "blocks"


@pytest.mark.parametrize(
    ("kind", "n", "length"),
    [("hex", 4000, 1.5), ("hex", 4000, 60.0), ("scattered", 4000, 1.0), ("scattered", 3000, 80)],
)
def test_the_choice_is_never_far_from_the_best(kind: str, n: int, length: float) -> None:
    rng = np.random.default_rng(0)
    coords, v = spots(kind, n), rng.normal(size=(n, 20))
    coords = coords - coords.mean(axis=0)

    def seconds(method: str) -> float:
        taken = []
        for _ in range(2):
            start = time.process_time()
            spatial_sums(coords, v, length, method=method)
            taken.append(time.process_time() - start)
        return min(taken)

    usable = ["blocks", "near"] + (["lattice", "fft"] if kind == "hex" else [])
    times = {method: seconds(method) for method in usable}
    _, chosen = spatial_sums(coords, v, length)
    assert times[chosen] <= 4 * min(times.values()) + 0.02, (chosen, times)


def test_permutations_do_not_depend_on_precision_or_method() -> None:
    rng = np.random.default_rng(5)
    coords, x = spots("hex", 300), rng.gamma(0.6, size=(300, 4))
    one = morans_r(x, coords, 1.0, method="blocks", permutations=99, random_state=3)
    for method, precision in (("lattice", "float64"), ("near", "float32")):
        other = morans_r(x, coords, 1.0, method=method, precision=precision, permutations=99, random_state=3)
        np.testing.assert_allclose(other.p, one.p, atol=0.0101 if precision == "float32" else 1e-12)


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("method", ["lattice", "fft", "near", "auto"])
@pytest.mark.parametrize("pitches", [0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0])
def test_neighbors_that_hardly_weigh_are_summed_as_exactly(method: str, pitches: float, precision: str) -> None:
    """Where a spot is not its own neighbor, rounding is measured against what the others weigh: 2e-5 at a fifth of the pitch."""
    coords = spots("hex", 600)
    x = np.random.default_rng(0).gamma(0.7, size=(len(coords), 5))
    exact = morans_r(x, coords, pitches, include_self=False, method="blocks")
    found = morans_r(x, coords, pitches, include_self=False, method=method, precision=precision)
    if found.reason:  # nothing is left of such weights in single precision
        assert (precision, pitches) == ("float32", 0.05)
        assert np.isnan(found.r).all()
        return
    tolerance = 1e-12 if precision == "float64" else 1e-6
    np.testing.assert_allclose(found.r, exact.r, atol=tolerance)
    np.testing.assert_allclose(found.sd, exact.sd, rtol=max(tolerance, 1e-11))
    assert found.neighbors == pytest.approx(exact.neighbors, rel=1e-5)
