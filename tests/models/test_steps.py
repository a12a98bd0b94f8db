"""Rounded copies pass, float32 weights are stepped; the precision suits the machine."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from histodecon.models import _steps
from histodecon.models._networks import build_mlp
from histodecon.models._steps import Stepper, compute_dtype, own_random_state, rates
from histodecon.models._training import TrainingPlan, train_network

CPU = torch.device("cpu")


def plan(**changes) -> TrainingPlan:
    known = {"learning_rate": 3e-3, "weight_decay": 0.01, "l1": 1.0, "l2": 1.0, "batch_size": 16, "max_epochs": 25}
    return TrainingPlan(**{**known, "patience": 5, **changes})


def test_precisions(monkeypatch) -> None:
    assert compute_dtype("float32", CPU, 4096) == torch.float32
    assert compute_dtype("bfloat16", CPU, 16) == torch.bfloat16
    for native, expected in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(_steps, "_multiplies_bfloat16", lambda _, native=native: native)
        assert compute_dtype("auto", CPU, 512) == expected
        assert compute_dtype("auto", CPU, 256) == torch.float32  # so that defaults give the same numbers everywhere
    assert not _steps._multiplies_bfloat16(torch.device("meta"))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_it_learns_in_either_precision(precision: str) -> None:
    generator = torch.Generator().manual_seed(0)
    X = torch.randn(160, 4, generator=generator)
    Y = torch.stack([X[:, 0] + 0.3 * X[:, 1] ** 2, -X[:, 2]], dim=1)
    torch.manual_seed(0)
    network = build_mlp(4, 2, hidden=32)
    history = train_network(
        network, X, Y, np.arange(160) % 4 == 0, plan(precision=precision), rng=np.random.default_rng(0)
    )
    assert min(history.held_in_loss) < history.held_in_loss[0] - 1.0
    assert {p.dtype for p in network.parameters()} == {torch.float32}


def test_steps_too_small_for_bfloat16_add_up() -> None:
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(4, 2))
    stepper = Stepper(network, plan(precision="bfloat16", learning_rate=1e-6, weight_decay=0.0), 64)
    before = network[0].weight.detach().clone()
    X, Y = torch.randn(64, 4), torch.randn(64, 2)
    for _ in range(25):
        stepper.epoch((stepper.inputs(X), Y, None), np.arange(64))
    moved = (network[0].weight - before).abs()
    assert 0 < float(moved.max()) < 1e-3  # a hundred steps, each below the rounding of most weights
    assert float((moved > 0).float().mean()) > 0.9
    torch.testing.assert_close(stepper.copy[0].weight.float(), network[0].weight, rtol=2**-8, atol=1e-6)


def test_rates_are_those_of_the_schedule() -> None:
    found = rates(plan(), 100)
    assert len(found) == plan().steps(100) == 25 * 6
    lr = np.array([rate for rate, _ in found])
    assert lr.max() == pytest.approx(3e-3, rel=1e-2)
    assert abs(int(lr.argmax()) - 15) <= 1
    assert lr[-1] < 1e-5


def test_the_callers_random_state_is_left_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    with own_random_state(np.random.default_rng(0)):
        one = torch.rand(3)
    with own_random_state(np.random.default_rng(0)):
        assert torch.equal(torch.rand(3), one)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("epochs", [8, 9, 10, 11, 19])
def test_no_number_of_steps_breaks_the_schedule(epochs: int) -> None:
    """Ten steps once had a warm-up of none, by which torch divided."""
    network = build_mlp(3, 2, hidden=4)
    X, Y = torch.randn(12, 3), torch.randn(12, 2)
    history = train_network(
        network, X, Y, np.zeros(12, dtype=bool), plan(max_epochs=epochs), rng=np.random.default_rng(0)
    )
    assert len(history.training_loss) == epochs
    assert all(torch.isfinite(weight).all() for weight in network.parameters())
