"""Ridge equals scikit-learn's, and its strength is chosen on the rows it is given, as a slow loop would."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge

import histodecon as hd
from histodecon.models import FitContext, get_learner
from histodecon.models.learners import ridge
from histodecon.models.learners.ridge import MAX_FOLDS, STRENGTHS, _fold, choose_strength, fit_ridge, spectrum


def task(n: int, d: int, *, noise: float = 1.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) + 2.0
    Y = X @ rng.normal(size=(d, 2)) / np.sqrt(d) + noise * rng.normal(size=(n, 2))
    return X, Y, rng.integers(0, 4, n)


@pytest.mark.parametrize(("n", "d"), [(40, 7), (20, 50)])
def test_it_equals_scikit_learn(n: int, d: int) -> None:
    X, Y, groups = task(n, d)
    learner = get_learner("ridge").build({"strength": 0.3}).fit(X, Y, groups, FitContext())
    reference = Ridge(alpha=0.3 * d).fit(X, Y)
    np.testing.assert_allclose(learner.predict(X), reference.predict(X), rtol=1e-9, atol=1e-10)


def slow_errors(X: np.ndarray, Y: np.ndarray, folds: np.ndarray) -> np.ndarray:
    out = np.empty((len(STRENGTHS), len(X)))
    for i, strength in enumerate(STRENGTHS):
        for fold in np.unique(folds):
            inside = folds != fold
            model = Ridge(alpha=strength * X.shape[1]).fit(X[inside], Y[inside])
            out[i, ~inside] = ((model.predict(X[~inside]) - Y[~inside]) ** 2).mean(axis=1)
    return out


def strongest_within_one_error(errors: np.ndarray) -> float:
    mean = errors.mean(axis=1)
    limit = mean.min() + errors[mean.argmin()].std() / np.sqrt(errors.shape[1])
    return max(strength for strength, value in zip(STRENGTHS, mean, strict=True) if value <= limit)


@pytest.mark.parametrize(("n", "d"), [(30, 5), (16, 25)])
@pytest.mark.parametrize("unit", ["group", "row"])
def test_held_in_errors_equal_a_slow_loop(n: int, d: int, unit: str) -> None:
    X, Y, groups = task(n, d)
    folds = groups if unit == "group" else np.arange(n)
    strength, errors, how = choose_strength(X, Y, groups if unit == "group" else np.zeros(n, int))
    slow = slow_errors(X, Y, folds)
    np.testing.assert_allclose(errors, slow.mean(axis=1), rtol=1e-7)
    assert strength == strongest_within_one_error(slow)
    assert unit in how


@pytest.mark.parametrize("noise", [0.01, 1.0, 30.0])
@pytest.mark.parametrize("seed", range(4))
def test_wide_inputs_find_the_strength_of_a_slow_loop_by_sums_of_groups(monkeypatch, noise: float, seed: int) -> None:
    monkeypatch.setattr(ridge, "WIDE", 8)
    monkeypatch.setattr(ridge, "spectrum", None)  # nothing is decomposed
    X, Y, groups = task(90, 12, noise=noise, seed=seed)
    strength, errors, how = choose_strength(X, Y, groups)
    slow = slow_errors(X, Y, groups)
    seen = np.isfinite(errors)
    assert 3 <= seen.sum() < len(STRENGTHS)
    np.testing.assert_allclose(errors[seen], slow.mean(axis=1)[seen], rtol=1e-4)
    assert strength == strongest_within_one_error(slow)
    assert how == "leave-one-group-out"
    learner = get_learner("ridge").build({}).fit(X, Y, groups, FitContext())
    assert learner.history_["strengths"] == [STRENGTHS[i] for i in np.flatnonzero(seen)]
    assert learner.history_["held_in_error"] == errors[seen].tolist()
    reference = Ridge(alpha=strength * X.shape[1]).fit(X, Y)
    np.testing.assert_allclose(learner.predict(X), reference.predict(X), rtol=1e-9, atol=1e-10)


def test_noise_asks_for_a_stronger_penalty() -> None:
    quiet, loud = (choose_strength(*task(80, 10, noise=noise))[0] for noise in (0.01, 5.0))
    assert quiet < loud


def test_two_rows_are_too_few_to_choose() -> None:
    X, Y, groups = task(2, 3)
    learner = get_learner("ridge").build().fit(X, Y, groups, FitContext())
    assert np.isfinite(learner.predict(X)).all()
    assert learner.summary_["strength_chosen_by"] == "too few rows to choose"


def test_constant_columns_and_twins_do_no_harm() -> None:
    X, Y, groups = task(30, 4)
    X = np.concatenate([X, X[:, :1], np.full((30, 1), 5.0)], axis=1)
    learner = get_learner("ridge").build().fit(X, Y, groups, FitContext())
    assert np.isfinite(learner.predict(X)).all()


def test_many_groups_are_bundled_whole() -> None:
    groups = np.random.default_rng(0).integers(0, 25, 400)
    folds = _fold(groups)
    assert len(np.unique(folds)) == MAX_FOLDS
    assert all(len(np.unique(folds[groups == group])) == 1 for group in np.unique(groups))


@pytest.mark.parametrize("strength", [0.0, -1.0, np.nan, "1", True, [1.0]])
def test_a_strength_must_be_positive(strength: object) -> None:
    with pytest.raises(hd.InputError, match="BI-72"):
        get_learner("ridge").build({"strength": strength})


@pytest.mark.parametrize(("n", "d"), [(12, 4), (4, 12)])
def test_the_spectrum_is_that_of_the_inputs(n: int, d: int) -> None:
    Z = task(n, d)[0]
    Z = Z - Z.mean(axis=0)
    values, directions = spectrum(Z)
    singular = np.linalg.svd(Z, compute_uv=False)
    np.testing.assert_allclose(np.sort(values)[::-1], (singular**2)[: len(values)], rtol=1e-9)
    np.testing.assert_allclose(directions.T @ directions, np.eye(len(values)), atol=1e-9)


def weights_of(n: int, k: int, seed: int = 1) -> np.ndarray:
    W = np.random.default_rng(seed).gamma(1.0, 1.0, (n, k)) + 0.05
    return W / W.mean(axis=0)


@pytest.mark.parametrize(("n", "d"), [(40, 7), (20, 50)])
def test_weights_of_each_cell_type_equal_scikit_learn(n: int, d: int) -> None:
    X, Y, groups = task(n, d)
    W = weights_of(n, 2)
    learner = get_learner("ridge").build({"strength": 0.3}).fit(X, Y, groups, FitContext(), W)
    for k in range(2):
        reference = Ridge(alpha=0.3 * d).fit(X, Y[:, k], sample_weight=W[:, k])
        np.testing.assert_allclose(learner.predict(X)[:, k], reference.predict(X), rtol=1e-8, atol=1e-9)
    shared = fit_ridge(X, Y, 0.3, W[:, 0])
    np.testing.assert_allclose(shared[0][:, 0], learner.coefficients_[:, 0], rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(("n", "d"), [(30, 5), (16, 25)])
@pytest.mark.parametrize("unit", ["group", "row"])
def test_weighted_held_in_errors_equal_a_slow_loop(n: int, d: int, unit: str) -> None:
    X, Y, groups = task(n, d)
    W = weights_of(n, 2)
    folds = groups if unit == "group" else np.arange(n)
    _, errors, _ = choose_strength(X, Y, groups if unit == "group" else np.zeros(n, int), W)
    slow = np.empty((len(STRENGTHS), n))
    for i, strength in enumerate(STRENGTHS):
        for fold in np.unique(folds):
            inside = folds != fold
            model = Ridge(alpha=strength * d).fit(X[inside], Y[inside], sample_weight=W[inside].mean(axis=1))
            slow[i, ~inside] = (W[~inside] * (model.predict(X[~inside]) - Y[~inside]) ** 2).mean(axis=1)
    np.testing.assert_allclose(errors, slow.mean(axis=1), rtol=1e-7)


def test_equal_weights_are_no_weights() -> None:
    X, Y, groups = task(40, 7)
    one, two = (get_learner("ridge").build().fit(X, Y, groups, FitContext(), w) for w in (None, np.ones_like(Y)))
    np.testing.assert_allclose(one.predict(X), two.predict(X), rtol=1e-10)
    assert one.summary_ == two.summary_
