"""Calibration: only models that never saw a group speak of it."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

import histodecon as hd
from histodecon.models import AbundanceRegressor, ConformalIntervals, ReliabilityCard, calibrate, posterior_weights


def cohort(seed: int = 0, n_groups: int = 4) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    groups = np.repeat([f"P{i}" for i in range(n_groups)], 40)
    X = rng.normal(size=(len(groups), 6)).astype(np.float32)
    Y = np.clip(4 + X[:, :3] + 0.7 * rng.normal(size=(len(groups), 3)), 0, None)
    return X, Y, groups


@pytest.mark.parametrize("transform", ["none", "proportion"])
def test_equals_leaving_each_group_out_by_hand(transform: str) -> None:
    X, Y, groups = cohort()
    Y[3] = 0  # has no proportions
    model = AbundanceRegressor("ridge", transform=transform)
    if transform == "proportion":
        Y[3] = 1
    model.fit(X, Y, groups=groups)
    before = model.predict(X)
    calibrate(model, X, Y, groups)
    np.testing.assert_array_equal(model.predict(X), before)
    held_out = np.empty(Y.shape)
    for one in np.unique(groups):
        rows = groups != one
        fold = AbundanceRegressor("ridge", transform=transform).fit(X[rows], Y[rows], groups=groups[rows])
        held_out[~rows] = fold.predict(X[~rows])
    truth = Y / Y.sum(axis=1, keepdims=True) if transform == "proportion" else Y
    intervals = ConformalIntervals.fit(truth, held_out, groups, kind=model.kind_)
    np.testing.assert_allclose(model.calibration_.half_widths, intervals.half_widths, rtol=1e-6)
    card = ReliabilityCard.fit(truth, held_out, groups, cell_types=model.cell_types_)
    np.testing.assert_allclose(model.reliability_.cc, card.cc, rtol=1e-6)
    assert model.calibration_.facts_["target"] == model.kind_


def test_weights_are_those_of_the_rows_of_a_fold() -> None:
    X, Y, groups = cohort()
    sd = np.random.default_rng(1).gamma(2, size=Y.shape)
    seen = []

    def weights(rows: np.ndarray) -> np.ndarray:
        seen.append(set(groups[rows]))
        return posterior_weights(Y[rows], sd[rows], transform="none")

    model = AbundanceRegressor("ridge").fit(X, Y, groups=groups)
    calibrate(model, X, Y, groups, weights=weights)
    assert sorted(len(names) for names in seen) == [3] * 4


def test_fitting_again_forgets() -> None:
    X, Y, groups = cohort()
    model = calibrate(AbundanceRegressor("ridge").fit(X, Y, groups=groups), X, Y, groups)
    assert model.calibration_ is not None
    model.fit(X, Y, groups=groups)
    assert model.calibration_ is model.reliability_ is model.novelty_ is None


def test_one_group_is_refused() -> None:
    X, Y, _ = cohort()
    model = AbundanceRegressor("ridge").fit(X, Y)
    with pytest.raises(hd.InputError, match=r"BI-68.*groupby"):
        calibrate(model, X, Y, np.zeros(len(X)))
    assert model.calibration_ is None


def test_neighbors_come_along_within_the_group_left_out() -> None:
    X, Y, groups = cohort(n_groups=3)
    n = len(X)
    ring = sp.csr_matrix((np.ones(n), (np.arange(n), np.arange(n) ^ 1)), shape=(n, n))  # pairs inside groups of 40
    how = {"params": {"max_epochs": 2, "hidden": 8, "n_networks": 1, "rings": 1}, "device": "cpu"}
    model = AbundanceRegressor("context", **how).fit(X, Y, groups=groups, neighbors=[ring])
    calibrate(model, X, Y, groups, neighbors=[ring])
    held_out = np.empty(Y.shape)
    for one in np.unique(groups):
        rows, left = np.flatnonzero(groups != one), np.flatnonzero(groups == one)
        fold = AbundanceRegressor("context", **how)
        fold.fit(X[rows], Y[rows], groups=groups[rows], neighbors=[ring[rows][:, rows]])
        held_out[left] = fold.predict(X[left], neighbors=[ring[left][:, left]])
    card = ReliabilityCard.fit(Y, held_out, groups)
    np.testing.assert_allclose(model.reliability_.cc, card.cc, rtol=1e-6)
