"""Networks side by side learn what each learns alone."""

from __future__ import annotations

import numpy as np
import pytest

import histodecon as hd
from histodecon.models import AbundanceRegressor, fit_folds
from histodecon.models._training import TrainingPlan
from histodecon.models.learners import mlp as mlp_module

N, D, K = 130, 6, 3
RNG = np.random.default_rng(0)
X = (RNG.normal(size=(N, D)) + 2.0).astype(np.float32)
Y = np.clip(X[:, :K] + 0.3 * RNG.normal(size=(N, K)), 0, None)
GROUPS = np.repeat(["P1", "P2", "P3", "P4"], [20, 50, 33, 27])  # other numbers of batches and rows in every fold
FOLDS = [np.flatnonzero(name != GROUPS) for name in np.unique(GROUPS)]
PARAMS = {"n_networks": 3, "hidden": 16, "max_epochs": 12, "patience": 4, "batch_size": 16}
STILL = {"dropout": 0.0, "input_dropout": 0.0}


@pytest.fixture
def stacking(monkeypatch):
    def both(params: dict, **kwargs):
        model = AbundanceRegressor("mlp", params={**PARAMS, **params}, device="cpu", random_state=1)
        alone = fit_folds(model, X, Y, FOLDS, **kwargs)
        with monkeypatch.context() as patch:
            patch.setattr(mlp_module, "STACK_EVERYWHERE", True)
            stacked = fit_folds(model, X, Y, FOLDS, **kwargs)
        return alone, stacked

    return both


@pytest.mark.parametrize(
    ("params", "grouped", "weighted"),
    [
        ({"start": "ridge"}, True, False),
        ({"start": "random", "learning_rate": 0.005}, True, False),
        ({"start": "random", "batch_size": 40}, False, True),
        ({"start": "ridge", "patience": 1, "learning_rate": 0.003}, True, True),  # some end before others
    ],
)
def test_side_by_side_as_alone(stacking, params: dict, grouped: bool, weighted: bool) -> None:
    counts = np.random.default_rng(3).gamma(2, size=(N, K)) + 0.1
    told = {"groups": GROUPS if grouped else None, "weights": counts.__getitem__ if weighted else None}
    alone, stacked = stacking({**STILL, **params}, **told)
    for one, two in zip(alone, stacked, strict=True):
        assert two.training_ == one.training_
        np.testing.assert_allclose(two.predict(X), one.predict(X), rtol=1e-4, atol=1e-4)
        for name, history in one.history_.items():
            np.testing.assert_allclose(two.history_[name]["training_loss"], history["training_loss"], atol=2e-5)
            np.testing.assert_allclose(two.history_[name]["held_in_loss"], history["held_in_loss"], atol=2e-5)
    lengths = {len(history["held_in_loss"]) for one in alone for history in one.history_.values()}
    assert len(lengths) > 1 or params.get("patience") != 1


def test_with_dropout_it_learns_as_well_and_repeats_itself(stacking) -> None:
    alone, stacked = stacking({"max_epochs": 40})
    again = stacking({"max_epochs": 40})[1]
    for one, two, three in zip(alone, stacked, again, strict=True):
        assert two.to_bytes() == three.to_bytes()
        errors = [np.abs(model.predict(X) - Y).mean() for model in (one, two)]
        assert errors[1] < 1.2 * errors[0]


def test_rounded_products_learn_as_well(stacking) -> None:
    alone, stacked = stacking({**STILL, "precision": "bfloat16"})
    exact = stacking({**STILL, "precision": "float32"})[0]
    error = [np.mean([np.abs(m.predict(X) - Y).mean() for m in models]) for models in (alone, stacked, exact)]
    assert max(error) < 1.1 * min(error)
    assert not np.array_equal(alone[0].predict(X), exact[0].predict(X))


def test_divergence_is_told(monkeypatch) -> None:
    monkeypatch.setattr(mlp_module, "STACK_EVERYWHERE", True)
    monkeypatch.setattr("histodecon.models._stacked.CLIP", 1e30)
    monkeypatch.setattr(mlp_module.MlpLearner, "_plan", lambda _: TrainingPlan(1e30, 0.0, 1.0, 1.0, 16, 5, 5))
    model = AbundanceRegressor("mlp", params=PARAMS, device="cpu")
    with pytest.raises(hd.ModelError, match="BI-73"):
        fit_folds(model, X, Y, FOLDS)
