"""All folds of ridge at once give the numbers of one after the other."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone

import histodecon as hd
from histodecon.models import AbundanceRegressor, FitContext, fit_folds
from histodecon.models import _ridge_folds as ridge_folds
from histodecon.models._many_fits import ManyFits
from histodecon.models._ridge_folds import search
from histodecon.models._ridge_sums import downdated, pool, sums_of
from histodecon.models._transforms import fit_scale


def cohort(n: int = 300, d: int = 12, k: int = 4, n_groups: int = 5, seed: int = 0):
    rng = np.random.default_rng(seed)
    groups = np.array([f"P{i:02d}" for i in rng.integers(0, n_groups, n)])
    X = rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + 5.0
    X[:, 3] *= 1e4
    X += (groups == "P01")[:, None]
    Y = np.clip(3 + 0.3 * X[:, :k] + 2 * rng.normal(size=(n, k)), 0, None)
    return X.astype(np.float32), Y, groups


def leave_out(groups: np.ndarray) -> list[np.ndarray]:
    return [np.flatnonzero(groups != name) for name in np.unique(groups)]


def one_by_one(model, X, Y, folds, groups):
    own = (lambda rows: None) if groups is None else (lambda rows: groups[rows])
    return [clone(model).fit(X[rows], Y[rows], groups=own(rows)) for rows in folds]


def assert_alike(many: list[AbundanceRegressor], single: list[AbundanceRegressor], X: np.ndarray) -> None:
    for one, two in zip(many, single, strict=True):
        assert one.training_ == two.training_
        np.testing.assert_allclose(one.predict(X), two.predict(X), rtol=1e-9, atol=1e-9)
        curve = dict(zip(two.history_.get("strengths", ()), two.history_.get("held_in_error", ()), strict=True))
        for strength, error in zip(
            one.history_.get("strengths", ()), one.history_.get("held_in_error", ()), strict=True
        ):
            assert error == pytest.approx(curve[strength], rel=1e-5)


@pytest.fixture
def pooled(monkeypatch) -> list[int]:
    """Numbers of fits that were pooled."""
    calls: list[int] = []
    own = ridge_folds.pooled_fits

    def counted(problem, *args):
        calls.append(len(problem.rows))
        return own(problem, *args)

    monkeypatch.setattr(ridge_folds, "pooled_fits", counted)
    return calls


@pytest.mark.parametrize("n_groups", [3, 5, 13])  # 13: more groups than inner folds
@pytest.mark.parametrize("transform", ["none", "proportion"])
def test_leave_one_patient_out(n_groups: int, transform: str, pooled) -> None:
    X, Y, groups = cohort(n_groups=n_groups)
    model = AbundanceRegressor("ridge", transform=transform)
    many = fit_folds(model, X, Y, leave_out(groups), groups=groups)
    assert pooled == [n_groups]
    assert_alike(many, one_by_one(model, X, Y, leave_out(groups), groups), X)


def test_folds_of_several_patients_and_a_given_strength(pooled) -> None:
    X, Y, groups = cohort()
    folds = [
        np.flatnonzero(np.isin(groups, names)) for names in (["P00", "P01"], ["P02", "P03", "P04"], ["P01", "P04"])
    ]
    for params in (None, {"strength": 0.3}):
        model = AbundanceRegressor("ridge", params=params)
        assert_alike(fit_folds(model, X, Y, folds, groups=groups), one_by_one(model, X, Y, folds, groups), X)
    assert pooled == [3, 3]


def test_constant_columns_in_some_folds_only(pooled) -> None:
    X, Y, groups = cohort()
    X[groups != "P02", 5] = 7.25
    X[:, 6] = -3.5
    Y[groups != "P03", 1] = 2.0
    model = AbundanceRegressor("ridge")
    many = fit_folds(model, X, Y, leave_out(groups), groups=groups)
    assert pooled
    assert_alike(many, one_by_one(model, X, Y, leave_out(groups), groups), X)


@pytest.mark.parametrize("case", ["few rows", "one group", "weights"])
def test_where_there_is_nothing_to_share_fits_are_one_by_one(case: str, pooled) -> None:
    X, Y, groups = cohort(n=60, d=70 if case == "few rows" else 12)
    names = None if case == "one group" else groups
    weights = (lambda rows: 1.0 + np.arange(len(rows)) % 3) if case == "weights" else None
    model, folds = AbundanceRegressor("ridge"), leave_out(groups)
    many = fit_folds(model, X, Y, folds, groups=names, weights=weights)
    assert not pooled
    for one, rows in zip(many, folds, strict=True):
        told = {"groups": None if names is None else names[rows], "weights": None if weights is None else weights(rows)}
        assert one.to_bytes() == clone(model).fit(X[rows], Y[rows], **told).to_bytes()


def test_small_penalties_are_compared_in_float64(monkeypatch) -> None:
    X, Y, groups = cohort(seed=3)
    Y = np.clip(5 + 0.5 * X[:, :4] + 1e-3 * np.random.default_rng(1).normal(size=Y.shape), 0, None)
    model = AbundanceRegressor("ridge")
    single = one_by_one(model, X, Y, leave_out(groups), groups)
    for safe in (0.0, 1e30):
        monkeypatch.setattr(ridge_folds, "SAFE", safe)
        many = fit_folds(model, X, Y, leave_out(groups), groups=groups)
        assert [one.training_ for one in many] == [one.training_ for one in single]


def test_a_dead_encoder_is_refused_in_its_fold() -> None:
    X, Y, groups = cohort()
    X[groups != "P02"] = 1.0
    with pytest.raises(hd.InputError, match="BI-43"):
        fit_folds(AbundanceRegressor("ridge"), X, Y, leave_out(groups), groups=groups)


def test_scales_and_sums_of_parts_are_those_of_their_rows() -> None:
    X, Y, groups = cohort()
    folds = leave_out(groups)
    codes = [np.unique(groups[rows], return_inverse=True)[1] for rows in folds]
    problem = ManyFits(X, folds, [Y[rows] for rows in folds], codes, None, FitContext())
    for fit, rows in enumerate(folds):
        for one, two in zip(problem.input_scale(fit), fit_scale(X[rows]), strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-12)
    zero, unit = np.zeros(X.shape[1]), np.ones(X.shape[1])
    whole = sums_of(X, Y, zero, unit)
    parts = [sums_of(X[groups == name], Y[groups == name], zero, unit) for name in np.unique(groups)]
    for name, value in vars(pool(parts)).items():
        np.testing.assert_allclose(value, getattr(whole, name), rtol=1e-9, atol=1e-6)
    np.testing.assert_array_equal(whole.gram, whole.gram.T)


@pytest.mark.parametrize("left_out", [1, 2])
def test_rows_that_leave_are_taken_off_the_sums(left_out: int) -> None:
    X, Y, groups = cohort()
    zero, unit = np.zeros(X.shape[1]), np.ones(X.shape[1])
    gone = np.isin(groups, np.unique(groups)[:left_out])
    total, own, want = (sums_of(X[rows], Y[rows], zero, unit) for rows in (slice(None), gone, ~gone))
    for name, value in vars(downdated(total, own)).items():
        np.testing.assert_allclose(value, getattr(want, name), rtol=1e-9, atol=1e-6)


def test_digits_are_not_lost_where_a_column_varies_in_the_rows_that_leave_only(pooled) -> None:
    X, Y, groups = cohort()
    X[:, 5] = 1e-3 * np.random.default_rng(0).normal(size=len(X))
    X[groups == "P02", 5] *= 1e6
    zero, unit = np.zeros(X.shape[1]), np.ones(X.shape[1])
    total, own = (sums_of(X[rows], Y[rows], zero, unit) for rows in (slice(None), groups == "P02"))
    assert downdated(total, own) is None
    model = AbundanceRegressor("ridge")
    many = fit_folds(model, X, Y, leave_out(groups), groups=groups)
    assert pooled
    assert_alike(many, one_by_one(model, X, Y, leave_out(groups), groups), X[groups != "P02"])


@pytest.mark.parametrize("hinted", [False, True])
def test_the_search_finds_what_looking_everywhere_finds(hinted: bool) -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        n, best, spread = 29, rng.uniform(-3, 32), rng.uniform(0.01, 3)
        mean = 1 + ((np.arange(n) - best) / rng.uniform(2, 30)) ** 2
        errors = mean[:, None] + spread * rng.normal(size=50)  # alike for all candidates
        means = errors.mean(axis=1)
        at = int(means.argmin())
        expected = int(np.flatnonzero(means <= means[at] + errors[at].std() / np.sqrt(50)).max())
        guess = int(rng.integers(0, n))
        hint = (int(rng.integers(guess, n)), {guess: 1.0}) if hinted else None
        chosen, seen = search(errors.__getitem__, n, hint)
        assert chosen == expected
        assert seen == {i: pytest.approx(means[i]) for i in seen}
