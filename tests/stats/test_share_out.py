"""Places of one parent add up to what was measured there."""

from __future__ import annotations

import numpy as np
import pytest

from histodecon.stats import share_out


@pytest.fixture
def drawn() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.gamma(0.3, 2.0, (400, 7)), rng.gamma(0.5, 5.0, (30, 7)), rng.integers(-1, 30, 400)


def by_hand(x: np.ndarray, y: np.ndarray, parent: np.ndarray) -> np.ndarray:
    """The definition, place by place."""
    out = np.full(x.shape, np.nan)
    for i, p in enumerate(parent):
        for k in range(x.shape[1]):
            if p >= 0:
                siblings = x[parent == p, k]
                out[i, k] = y[p, k] * (x[i, k] / siblings.sum() if siblings.sum() else 1 / len(siblings))
    return out


def test_amounts_are_the_definition(drawn: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    x, y, parent = drawn
    x[parent == 3, 2] = 0.0  # measured, not predicted
    y[5] = 0.0
    np.testing.assert_allclose(share_out(x, y, parent), by_hand(x, y, parent), rtol=1e-12)


@pytest.mark.parametrize("scale", [1e-300, 1.0, 1e300])
def test_only_ratios_of_predictions_count(drawn: tuple[np.ndarray, np.ndarray, np.ndarray], scale: float) -> None:
    x, y, parent = drawn
    np.testing.assert_allclose(share_out(x * scale, y, parent), share_out(x, y, parent), rtol=1e-9)


@pytest.mark.parametrize("alpha", [1.0, 0.1])
def test_proportions_have_both_margins(alpha: float) -> None:
    rng = np.random.default_rng(1)
    x, y = rng.dirichlet([alpha] * 6, 500), rng.dirichlet([alpha] * 6, 60)
    y[0] = np.eye(6)[2]
    parent = rng.integers(0, 60, 500)
    found = share_out(x, y, parent, proportions=True)
    assert (found >= 0).all()
    np.testing.assert_allclose(found.sum(axis=1), 1.0, atol=1e-9)
    means = np.stack([found[parent == p].mean(axis=0) for p in range(60)])
    np.testing.assert_allclose(means, y, atol=1e-8)


def test_proportions_that_fit_stay() -> None:
    x = np.random.default_rng(2).dirichlet(np.ones(4), 9)
    parent = np.repeat([0, 1, 2], 3)
    y = x.reshape(3, 3, 4).mean(axis=1)
    np.testing.assert_allclose(share_out(x, y, parent, proportions=True), x, atol=1e-5)


def test_nan_stays_among_its_own(drawn: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    x, y, parent = drawn
    x[0], y[4] = np.nan, np.nan
    parent[0] = 2
    found = share_out(x, y, parent)
    absent = (parent < 0) | (parent == 4)
    absent[0] = True
    np.testing.assert_array_equal(np.isnan(found).all(axis=1), absent)
    np.testing.assert_allclose(np.nansum(found[parent == 2], axis=0), y[2], rtol=1e-12)


def test_nothing_at_all() -> None:
    assert share_out(np.empty((0, 3)), np.ones((2, 3)), np.empty(0, dtype=int)).shape == (0, 3)
    assert np.isnan(share_out(np.ones((2, 3)), np.ones((2, 3)), np.array([-1, -1]))).all()


@pytest.mark.parametrize(
    ("x", "y", "parent"),
    [
        (np.ones((2, 3)), np.ones((1, 2)), np.zeros(2, int)),
        (np.ones((2, 3)), np.ones((1, 3)), np.zeros(3, int)),
        (np.ones((2, 3)), np.ones((1, 3)), np.array([0, 1])),
        (np.ones((2, 3)), np.ones((1, 3)), np.array([0.0, 0.0])),
        (-np.ones((2, 3)), np.ones((1, 3)), np.zeros(2, int)),
    ],
)
def test_what_does_not_fit_is_refused(x: np.ndarray, y: np.ndarray, parent: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"fit|parent|negative"):
        share_out(x, y, parent)
