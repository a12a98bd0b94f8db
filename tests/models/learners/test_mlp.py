"""A few networks that hold in different rows; nothing outside them changes."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

import histodecon as hd
from histodecon.models import FitContext, get_learner
from histodecon.models._held_in import held_in_rows
from histodecon.models.learners.mlp import STARTS

QUICK = {"n_networks": 2, "max_epochs": 20, "hidden": 16}


def task(n: int = 90, d: int = 6) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, d))
    Y = np.stack([X[:, 0], np.abs(X[:, 1]) - 0.8], axis=1)
    return X, (Y - Y.mean(0)) / Y.std(0), rng.integers(0, 3, n)


def test_each_network_holds_in_another_group() -> None:
    groups = np.repeat([0, 1, 2], [5, 9, 2])
    masks = held_in_rows(groups, 4, np.random.default_rng(0))
    held = [set(groups[mask]) for mask in masks]
    assert all(len(names) == 1 for names in held)
    assert set.union(*held[:3]) == {0, 1, 2}
    assert all((mask == (groups == next(iter(names)))).all() for mask, names in zip(masks, held, strict=True))


def test_within_one_group_each_network_holds_in_another_fifth() -> None:
    masks = held_in_rows(np.zeros(50, int), 5, np.random.default_rng(0))
    np.testing.assert_array_equal(np.sum(masks, axis=0), np.ones(50))
    assert not any(mask.any() for mask in held_in_rows(np.zeros(4, int), 3, np.random.default_rng(0)))


@pytest.mark.parametrize("start", STARTS)
def test_it_learns_what_a_line_cannot(start: str) -> None:
    X, Y, groups = task(600)
    params = {"start": start, "n_networks": 2, "max_epochs": 60, "hidden": 32, "learning_rate": 5e-3, "batch_size": 32}
    params |= {"dropout": 0.0, "input_dropout": 0.0}
    learner = get_learner("mlp").build(params).fit(X[:400], Y[:400], groups[:400], FitContext(device="cpu"))
    ridge = get_learner("ridge").build().fit(X[:400], Y[:400], groups[:400], FitContext())

    def cc(predicted: np.ndarray) -> float:
        return float(np.corrcoef(predicted[:, 1], Y[400:, 1])[0, 1])

    assert cc(learner.predict(X[400:])) > 0.9
    assert abs(cc(ridge.predict(X[400:]))) < 0.4


def test_other_seeds_give_other_networks_and_the_callers_seed_is_left_alone() -> None:
    X, Y, groups = task()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    one, two = (
        get_learner("mlp").build(QUICK).fit(X, Y, groups, FitContext(seed, "cpu")).predict(X) for seed in (0, 1)
    )
    assert np.abs(one - two).max() > 1e-3
    torch.testing.assert_close(torch.rand(3), expected, rtol=0, atol=0)


def test_every_network_says_what_happened() -> None:
    X, Y, groups = task()
    learner = get_learner("mlp").build(QUICK).fit(X, Y, groups, FitContext(device="cpu"))
    assert list(learner.history_) == ["network_0", "network_1"]
    assert len(learner.history_["network_0"]["held_in_loss"]) == len(learner.history_["network_0"]["training_loss"])
    assert len(learner.summary_["best_epochs"]) == 2


def test_few_rows_are_warned_about() -> None:
    X, Y, groups = task(20)
    with pytest.warns(hd.HistodeconWarning, match=r"BI-71.*Only 20 rows"):
        get_learner("mlp").build(QUICK).fit(X, Y, groups, FitContext(device="cpu"))


@pytest.mark.parametrize("n", [2, 5, 9])
def test_hardly_any_rows_still_give_finite_numbers(n: int) -> None:
    X, Y, _ = task(n)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", hd.HistodeconWarning)
        learner = get_learner("mlp").build(QUICK).fit(X, Y, np.zeros(n, int), FitContext(device="cpu"))
    assert np.isfinite(learner.predict(X)).all()


def test_more_cell_types_than_half_the_width() -> None:
    X, Y, groups = task()
    Y = np.repeat(Y, 20, axis=1)
    learner = get_learner("mlp").build(QUICK).fit(X, Y, groups, FitContext(device="cpu"))
    assert learner.predict(X).shape == (90, 40)


@pytest.mark.parametrize(
    "params",
    [{"l1": -1.0}, {"l2": -0.1}, {"learning_rate": 0.0}, {"hidden": 1.5}, {"hidden": True}, {"start": "zero"}, {"precision": "float16"}, {"dropout": 1.0},
     {"max_epochs": "many"}, {"weight_decay": float("nan")}],
)  # fmt: skip
def test_senseless_parameters_are_refused(params: dict) -> None:
    with pytest.raises(hd.InputError, match="BI-72"):
        get_learner("mlp").build(params)


@pytest.mark.parametrize("start", STARTS)
def test_equal_weights_are_no_weights_and_others_are_not(start: str) -> None:
    X, Y, groups = task()
    other = np.random.default_rng(2).gamma(0.3, 1.0, Y.shape) + 0.01
    plain, same, weighted = (
        get_learner("mlp")
        .build({**QUICK, "start": start, "learning_rate": 5e-3})
        .fit(X, Y, groups, FitContext(device="cpu"), weights)
        .predict(X)
        for weights in (None, np.ones_like(Y), other / other.mean(axis=0))
    )
    np.testing.assert_allclose(same, plain, rtol=1e-3, atol=1e-3)
    assert np.abs(weighted - plain).max() > 0.01
