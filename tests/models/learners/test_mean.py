"""The floor of every comparison."""

from __future__ import annotations

import numpy as np

from histodecon.models import FitContext, get_learner


def test_it_predicts_the_training_mean_everywhere() -> None:
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(9, 2)), rng.normal(size=(9, 3))
    learner = get_learner("mean").build().fit(X, Y, np.zeros(9, int), FitContext())
    np.testing.assert_allclose(learner.predict(X[:4] * 100), np.repeat(Y.mean(axis=0)[None], 4, axis=0))


def test_the_mean_is_weighted() -> None:
    rng = np.random.default_rng(0)
    X, Y, weights = rng.normal(size=(9, 2)), rng.normal(size=(9, 3)), rng.random((9, 3)) + 0.1
    learner = get_learner("mean").build().fit(X, Y, np.zeros(9, int), FitContext(), weights)
    expected = [np.average(Y[:, k], weights=weights[:, k]) for k in range(3)]
    np.testing.assert_allclose(learner.predict(X[:1])[0], expected)
