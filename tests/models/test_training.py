"""Early stopping watches held-in rows only, the best epoch comes back, and divergence is told."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch

import histodecon as hd
from histodecon.models._losses import composite_loss
from histodecon.models._networks import build_mlp
from histodecon.models._training import MAX_STEPS, MIN_EPOCHS, TrainingPlan, train_network

PLAN = TrainingPlan(learning_rate=3e-3, weight_decay=0.01, l1=1.0, l2=1.0, batch_size=16, max_epochs=25, patience=5)


def task(n: int = 80, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
    generator = torch.Generator().manual_seed(seed)
    X = torch.randn(n, 4, generator=generator)
    Y = torch.stack([X[:, 0] + 0.3 * X[:, 1] ** 2, -X[:, 2]], dim=1)
    return X, Y, np.arange(n) % 4 == 0


def network(seed: int = 0) -> torch.nn.Sequential:
    torch.manual_seed(seed)
    return build_mlp(4, 2, hidden=16)


def test_it_learns_and_returns_the_best_epoch() -> None:
    X, Y, held_in = task()
    net, untrained = network(), network()
    history = train_network(net, X, Y, held_in, PLAN, rng=np.random.default_rng(0))
    watched = torch.as_tensor(np.flatnonzero(held_in))
    with torch.no_grad():
        at_start = float(composite_loss(untrained(X[watched]), Y[watched]))
        found = float(composite_loss(net(X[watched]), Y[watched]))
    assert found == pytest.approx(min(history.held_in_loss), abs=1e-6)
    assert history.best_epoch == int(np.argmin(history.held_in_loss))
    assert found < at_start - 0.5
    assert not net.training


def test_held_in_rows_are_never_trained_on() -> None:
    X, Y, held_in = task()
    plan = TrainingPlan(**{**PLAN.__dict__, "max_epochs": 3, "patience": 100})
    one, two = network(), network()
    spoiled = Y.clone()
    spoiled[torch.as_tensor(held_in)] = 1e3
    first = train_network(one, X, Y, held_in, plan, rng=np.random.default_rng(0))
    second = train_network(two, X, spoiled, held_in, plan, rng=np.random.default_rng(0))
    assert first.training_loss == second.training_loss
    assert first.held_in_loss != second.held_in_loss


def test_it_stops_when_held_in_rows_stop_improving() -> None:
    X, Y, held_in = task()
    Y[torch.as_tensor(held_in)] = torch.randn(int(held_in.sum()), 2)
    plan = TrainingPlan(**{**PLAN.__dict__, "max_epochs": 200, "patience": 3})
    history = train_network(network(), X, Y, held_in, plan, rng=np.random.default_rng(0))
    assert history.stopped == "patience"
    assert len(history.held_in_loss) - 1 - history.best_epoch == 3


def test_without_held_in_rows_the_last_epoch_is_kept() -> None:
    X, Y, _ = task()
    history = train_network(network(), X, Y, np.zeros(len(X), bool), PLAN, rng=np.random.default_rng(0))
    assert history.best_epoch == PLAN.max_epochs - 1
    assert all(math.isnan(loss) for loss in history.held_in_loss)


def test_divergence_at_once_is_an_error_and_leaves_the_start() -> None:
    X, Y, held_in = task()
    X[1] = torch.inf
    net = network()
    before = copy.deepcopy(net.state_dict())
    with pytest.raises(hd.ModelError, match="BI-73"):
        train_network(net, X, Y, held_in, PLAN, rng=np.random.default_rng(0))
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


def test_divergence_later_keeps_the_best_epoch_and_says_so() -> None:
    X, Y, held_in = task()
    net = network()

    def spoil(epoch: int, loss: float) -> None:
        if epoch == 4:
            X[~torch.as_tensor(held_in)] = torch.nan

    with pytest.warns(hd.FallbackWarning, match="epoch 5; last finite loss"):
        history = train_network(net, X, Y, held_in, PLAN, rng=np.random.default_rng(0), on_epoch=spoil)
    assert history.stopped == "diverged"
    assert all(torch.isfinite(value).all() for value in net.state_dict().values())


def test_no_batch_is_a_remainder_and_many_rows_mean_fewer_epochs() -> None:
    assert PLAN.batches(17) == 1
    assert min(len(part) for part in np.array_split(np.arange(33), PLAN.batches(33))) == 16
    assert PLAN.epochs(100) == PLAN.max_epochs
    assert PLAN.epochs(100_000) == MIN_EPOCHS
    n = 16 * MAX_STEPS // 10
    assert PLAN.epochs(n) == 10


def test_rows_that_hardly_count_hardly_teach() -> None:
    X, Y, held_in = task(200)
    wrong = torch.as_tensor(np.arange(200) % 3 != 0)  # in the rows held in as well
    spoiled = torch.where(wrong[:, None], Y[torch.randperm(200, generator=torch.Generator().manual_seed(1))] * 5, Y)
    weights = torch.where(wrong[:, None], 1e-6, 3.0).expand(200, 2)
    error = {}
    for name, counts in (("weighted", weights), ("alike", None)):
        net = network()
        train_network(net, X, spoiled, held_in, PLAN, rng=np.random.default_rng(0), weights=counts)
        with torch.no_grad():
            error[name] = float((net(X) - Y).square().mean())
    assert error["weighted"] < 0.5 * error["alike"]
