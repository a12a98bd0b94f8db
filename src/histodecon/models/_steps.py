"""Steps of an optimizer, in the precision that suits the machine."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from histodecon.models._losses import composite_loss

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from histodecon.models._training import TrainingPlan

PRECISIONS = ("auto", "float32", "bfloat16")
WIDE = 512
"""Inputs and outputs of hidden layers from which on products in bfloat16 save more time than conversions cost."""
CLIP = 1.0
BETA2, EPS = 0.999, 1e-8
WARM_UP = 0.1


def warm_up(total_steps: int) -> float:
    """Choose the part of a one-cycle schedule in which the rate rises.

    Parameters
    ----------
    total_steps
        Of the schedule.

    Returns
    -------
    A tenth; a little more where that would end at the very first step, by which torch then divides.
    """
    return WARM_UP if WARM_UP * total_steps != 1 else 1.5 * WARM_UP


def one_cycle(
    weights: Sequence[torch.Tensor], plan: TrainingPlan, n_rows: int, *, fused: bool
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    """Make AdamW with a one-cycle schedule; biases and other vectors have no weight decay.

    Parameters
    ----------
    weights
        What is trained.
    plan
        How to train.
    n_rows
        Training rows.
    fused
        Update all weights in one kernel; the same up to rounding.

    Returns
    -------
    Optimizer and schedule.
    """
    from torch import optim

    groups = [
        {"params": [weight for weight in weights if weight.ndim > 1], "weight_decay": plan.weight_decay},
        {"params": [weight for weight in weights if weight.ndim <= 1], "weight_decay": 0.0},
    ]
    optimizer = optim.AdamW(groups, lr=plan.learning_rate, betas=(0.9, BETA2), eps=EPS, fused=fused or None)
    steps = plan.steps(n_rows) + 1
    cycle = optim.lr_scheduler.OneCycleLR(optimizer, plan.learning_rate, total_steps=steps, pct_start=warm_up(steps))
    return optimizer, cycle


def compute_dtype(precision: str, device: torch.device, hidden: int) -> torch.dtype:
    """Choose what steps are computed in.

    Parameters
    ----------
    precision
        ``"float32"``, ``"bfloat16"``, or ``"auto"``: bfloat16 where layers are wide and the processor multiplies it natively.
    device
        Where.
    hidden
        Width of the hidden layers.

    Returns
    -------
    The dtype.
    """
    import torch

    if precision == "auto":
        return torch.bfloat16 if hidden >= WIDE and _multiplies_bfloat16(device) else torch.float32
    return torch.bfloat16 if precision == "bfloat16" else torch.float32


def _multiplies_bfloat16(device: torch.device) -> bool:
    import torch

    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu":
        return False
    known = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return any(known.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))


class Stepper:
    """Optimizer and schedule of one network.

    In bfloat16 a rounded copy of the network passes forward and back; the optimizer keeps the weights in float32, so that small
    steps are not rounded away. Losses are always float32.

    Parameters
    ----------
    network
        The network, trained in place.
    plan
        How to train.
    n_rows
        Training rows.
    """

    def __init__(self, network: torch.nn.Module, plan: TrainingPlan, n_rows: int) -> None:
        import torch

        self.network, self.plan, self.n_batches = network, plan, plan.batches(n_rows)
        self.weights: list[torch.Tensor] = list(network.parameters())
        self.dtype = compute_dtype(plan.precision, self.weights[0].device, plan.hidden)
        self.copy = network if self.dtype == torch.float32 else copy.deepcopy(network).to(self.dtype)
        self.rounded: list[torch.Tensor] = list(self.copy.parameters())
        self.optimizer, self.schedule = one_cycle(self.weights, plan, n_rows, fused=True)

    def inputs(self, X: torch.Tensor) -> torch.Tensor:
        """Round inputs once for all steps.

        Parameters
        ----------
        X
            Shape (n, d).

        Returns
        -------
        The same in the precision of the steps.
        """
        return X.to(self.dtype)

    def epoch(self, data: tuple[torch.Tensor, torch.Tensor, torch.Tensor | None], order: NDArray[np.intp]) -> float:
        """Pass over all training rows once.

        Parameters
        ----------
        data
            Inputs as :meth:`inputs` gave them, targets, and how much each target counts.
        order
            Training rows.

        Returns
        -------
        The mean loss, NaN as soon as that of one step is not finite.
        """
        import torch

        self.copy.train()
        device = data[0].device
        total = torch.zeros((), device=device)
        shuffled = torch.as_tensor(order, device=device)
        for rows in torch.tensor_split(shuffled, self.n_batches):
            loss = self.loss(data, rows)
            loss.backward()
            self._update()
            total += loss.detach()
        return float(total) / self.n_batches

    def loss(self, data: tuple[torch.Tensor, torch.Tensor, torch.Tensor | None], rows: torch.Tensor) -> torch.Tensor:
        """Loss of some rows.

        Parameters
        ----------
        data
            As in :meth:`epoch`.
        rows
            The rows.

        Returns
        -------
        A scalar, float32.
        """
        X, Y, weights = data
        own = None if weights is None else weights[rows]
        predicted = self.copy(X[rows]).float()
        return composite_loss(predicted, Y[rows], l1=self.plan.l1, l2=self.plan.l2, weights=own)

    def _update(self) -> None:
        import torch

        rounds = self.copy is not self.network
        if rounds:
            for weight in self.weights:
                if weight.grad is None:
                    weight.grad = torch.empty_like(weight)
            torch._foreach_copy_(
                [w.grad for w in self.weights if w.grad is not None],
                [w.grad for w in self.rounded if w.grad is not None],
            )
        torch.nn.utils.clip_grad_norm_(self.weights, CLIP)
        self.optimizer.step()
        self.schedule.step()
        if rounds:
            with torch.no_grad():
                torch._foreach_copy_(self.rounded, self.weights)
        for weight in self.rounded:
            weight.grad = None


def rates(plan: TrainingPlan, n_rows: int) -> list[tuple[float, float]]:
    """Learning rate and first momentum of every step of the schedule.

    Parameters
    ----------
    plan
        How a network is trained.
    n_rows
        Training rows.

    Returns
    -------
    A pair a step.
    """
    import torch

    stepper = Stepper(torch.nn.Linear(1, 1), plan, n_rows)
    found = []
    for _ in range(plan.steps(n_rows)):
        group = stepper.optimizer.param_groups[0]
        found.append((float(group["lr"]), float(group["betas"][0])))
        stepper.optimizer.step()
        stepper.schedule.step()
    return found


@contextmanager
def own_random_state(rng: np.random.Generator, device: torch.device | None = None) -> Iterator[None]:
    """Seed torch inside a ``with`` block; the caller's random state stays as it is.

    Parameters
    ----------
    rng
        Draws the seed.
    device
        Seeded beside the CPU.

    Yields
    ------
    Nothing.
    """
    import torch

    devices = [device] if device is not None and device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(int(rng.integers(2**31)))
        yield
