"""The map of the columns, and distances from the middle of training spots."""

from __future__ import annotations

import numpy as np
from scipy.stats import norm

from histodecon.models._embedding_space import KNOTS, EmbeddingSpace, normal_scores


def test_quantiles_go_to_those_of_a_normal_distribution() -> None:
    X = np.random.default_rng(0).lognormal(size=(2001, 3))
    knots = np.quantile(X, np.linspace(0, 1, KNOTS), axis=0)
    found = normal_scores(knots, knots)
    np.testing.assert_allclose(found[1:-1, 0], norm.ppf(np.linspace(0, 1, KNOTS)[1:-1]), atol=1e-12)
    assert abs(np.median(normal_scores(knots, X))) < 0.05


def test_it_rises_and_goes_on_beyond_the_ends() -> None:
    knots = np.quantile(np.random.default_rng(0).gamma(1, size=(500, 1)), np.linspace(0, 1, KNOTS), axis=0)
    at = np.linspace(knots[0, 0] - 5, knots[-1, 0] + 5, 400)[:, None]
    assert (np.diff(normal_scores(knots, at)[:, 0]) > 0).all()


def test_ties_stand_at_the_middle_of_their_ranks() -> None:
    X = np.r_[np.zeros(60), np.linspace(1, 2, 40)][:, None]
    knots = np.quantile(X, np.linspace(0, 1, KNOTS), axis=0)
    low = normal_scores(knots, np.array([[0.0]]))[0, 0]
    assert norm.cdf(low) < 0.45
    assert norm.cdf(low) > 0.15


def test_a_constant_column_says_nothing() -> None:
    X = np.c_[np.full(50, 3.0), np.random.default_rng(0).normal(size=50)]
    knots = np.quantile(X, np.linspace(0, 1, KNOTS), axis=0)
    assert not normal_scores(knots, np.array([[9.0, 0.0]]))[0, 0]


def test_distances_split_the_length() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 3)) @ rng.normal(size=(3, 40)) + 0.1 * rng.normal(size=(400, 40))
    space = EmbeddingSpace.fit(X)
    Z = normal_scores(space.knots, X)
    along = Z @ space.components
    inside, outside = space.distances(X).T
    np.testing.assert_allclose((along**2).sum(axis=1) + outside, (Z**2).sum(axis=1))
    np.testing.assert_allclose(inside, (along**2 / (along**2).mean(axis=0)).sum(axis=1), rtol=1e-3)
    np.testing.assert_allclose(space.components.T @ space.components, np.eye(24), atol=1e-9)
    assert {name: array.shape for name, array in space.arrays().items()} == EmbeddingSpace.shapes(40, 24)


def test_at_most_64_directions() -> None:
    assert EmbeddingSpace.fit(np.random.default_rng(0).normal(size=(150, 200))).components.shape == (200, 64)
