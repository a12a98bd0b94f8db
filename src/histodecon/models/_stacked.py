"""Many networks of one shape, trained as one: every layer is one batched product."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from histodecon.models._losses import composite_loss
from histodecon.models._many_fits import ManyFits
from histodecon.models._steps import BETA2, CLIP, EPS, compute_dtype, rates
from histodecon.models._training import Course, TrainingHistory, TrainingPlan
from histodecon.models._transforms import fit_scale

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

AT_ONCE = 2**28
"""Inputs that are held at once while held-in losses are computed."""


@dataclass
class Job:
    """One network of one fit.

    Parameters
    ----------
    network
        Trained in place.
    fit
        Which training set.
    rows, held_in
        Rows it is trained on, and rows that decide when to stop.
    rng
        Draws its batches.
    """

    network: torch.nn.Sequential
    fit: int
    rows: NDArray[np.intp]
    held_in: NDArray[np.intp]
    rng: np.random.Generator


@dataclass(frozen=True)
class StackedData:
    """What all networks read, on the device.

    Parameters
    ----------
    X
        Inputs, not standardized, shape (n, d).
    center, scale
        Scale of the inputs of each fit, shape (fits, d).
    Y
        Standardized targets of each fit, shape (fits, n, K).
    weights
        How much each counts, shape (fits, n, K), or None.
    """

    X: torch.Tensor
    center: torch.Tensor
    scale: torch.Tensor
    Y: torch.Tensor
    weights: torch.Tensor | None

    @classmethod
    def of(cls, problem: ManyFits, device: torch.device) -> StackedData:
        """Bring training sets to a device.

        Parameters
        ----------
        problem
            The training sets.
        device
            The device.

        Returns
        -------
        The data.
        """
        import torch

        n, k = len(problem.X), problem.targets[0].shape[1]
        Y = np.zeros((len(problem.rows), n, k), dtype=np.float32)
        weights = None if problem.weights is None else np.ones_like(Y)
        for fit, rows in enumerate(problem.rows):
            middle, spread = fit_scale(problem.targets[fit])
            Y[fit, rows] = (problem.targets[fit] - middle) / spread
            if weights is not None and problem.weights is not None:
                weights[fit, rows] = problem.weights[fit]
        scales = [problem.input_scale(fit) for fit in range(len(problem.rows))]
        centers, sizes = (np.array(values, dtype=np.float32) for values in zip(*scales, strict=True))
        counts = None if weights is None else torch.as_tensor(weights, device=device)
        X, center, scale, targets = [torch.as_tensor(array, device=device) for array in (problem.X, centers, sizes, Y)]
        return cls(X, center, scale, targets, counts)


def train_stacked(jobs: Sequence[Job], data: StackedData, plan: TrainingPlan) -> list[TrainingHistory]:
    """Train networks side by side, each as ``train_network`` would alone.

    Parameters
    ----------
    jobs
        The networks, all of one shape.
    data
        What they read.
    plan
        How they are trained.

    Returns
    -------
    The history of each; the networks have the weights of their best epochs, and are on the CPU in evaluation mode.

    Raises
    ------
    ModelError
        The loss of one was not finite before one epoch had ended.

    Warns
    -----
    FallbackWarning
        The loss of one was not finite later.
    """
    stack = _Stack(jobs, data, plan)
    courses = stack.courses
    while stack.jobs:
        epoch = len(courses[stack.alive[0]].history.training_loss)
        losses = stack.epoch()
        held_in = stack.held_in_losses()
        keep = []
        for at, which in enumerate(stack.alive):
            more = courses[which].goes_on(losses[at], held_in[at])
            if more and epoch + 1 < plan.epochs(len(jobs[which].rows)):
                keep.append(at)
        stack.keep(keep)
    for job, course in zip(jobs, courses, strict=True):
        job.network.load_state_dict(course.kept)
        job.network.to("cpu").eval()
        course.tell()
    return [course.history for course in courses]


class _Stack:
    """Weights of the networks that are still trained, side by side."""

    def __init__(self, jobs: Sequence[Job], data: StackedData, plan: TrainingPlan) -> None:
        import torch

        self.jobs, self.alive, self.data, self.plan = list(jobs), list(range(len(jobs))), data, plan
        device = data.X.device
        self.layers = list(jobs[0].network)
        states = [job.network.state_dict() for job in jobs]
        self.weights = {name: torch.stack([state[name] for state in states]).to(device) for name in states[0]}
        self.first = {name: torch.zeros_like(value) for name, value in self.weights.items()}
        self.second = {name: torch.zeros_like(value) for name, value in self.weights.items()}
        self.dtype = compute_dtype(plan.precision, device, plan.hidden)
        self.taken = np.zeros(len(jobs), dtype=np.int64)
        self.rates = [rates(plan, len(job.rows)) for job in jobs]
        start = self.held_in_losses()
        self.courses = [
            Course(plan, start[i], watches=len(job.held_in) > 0, copy_of=functools.partial(self._weights_of, i))
            for i, job in enumerate(jobs)
        ]

    def _weights_of(self, which: int) -> dict[str, torch.Tensor]:
        at = self.alive.index(which)
        return {name: value[at].detach().clone() for name, value in self.weights.items()}

    def keep(self, positions: Sequence[int]) -> None:
        if len(positions) == len(self.jobs):
            return
        self.jobs = [self.jobs[i] for i in positions]
        self.rates = [self.rates[i] for i in positions]
        self.alive, self.taken = [self.alive[i] for i in positions], self.taken[list(positions)]
        for tensors in (self.weights, self.first, self.second):
            for name in tensors:
                tensors[name] = tensors[name][list(positions)]

    def epoch(self) -> list[float]:
        """Pass over the training rows of every network; mean losses."""
        import torch

        device = self.data.X.device
        batches = [np.array_split(job.rng.permutation(job.rows), self.plan.batches(len(job.rows))) for job in self.jobs]
        most = max(len(parts) for parts in batches)
        total = torch.zeros(len(self.jobs), device=device)
        for step in range(most):
            own = [parts[min(step, len(parts) - 1)] for parts in batches]
            taking = np.array([step < len(parts) for parts in batches])
            loss, gradients = self._gradients(own)
            self._update(gradients, taking)
            total += torch.where(torch.as_tensor(taking, device=device), loss, torch.zeros_like(loss))
        counts = torch.as_tensor([len(parts) for parts in batches], device=device)
        return (total / counts).tolist()

    def held_in_losses(self) -> list[float]:
        """Loss of every network on its held-in rows; NaN without any."""
        import torch

        found = [math.nan] * len(self.jobs)
        watching = [at for at, job in enumerate(self.jobs) if len(job.held_in)]
        longest = max((len(job.held_in) for job in self.jobs), default=0)
        size = max(1, AT_ONCE // max(1, longest * self.data.X.shape[1]))
        with torch.no_grad():
            for start in range(0, len(watching), size):
                some = watching[start : start + size]
                weights = {name: value[some].to(self.dtype) for name, value in self.weights.items()}
                losses = self._losses([self.jobs[at].held_in for at in some], some, weights, training=False)
                for at, loss in zip(some, losses.tolist(), strict=True):
                    found[at] = loss
        return found

    def _gradients(self, rows: Sequence[NDArray[np.intp]]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        import torch

        rounded = {name: value.detach().to(self.dtype).requires_grad_() for name, value in self.weights.items()}
        losses = self._losses(rows, range(len(rows)), rounded, training=True)
        gradients = torch.autograd.grad(losses.sum(), list(rounded.values()))
        return losses.detach(), {name: g.float() for name, g in zip(rounded, gradients, strict=True)}

    def _losses(
        self,
        rows: Sequence[NDArray[np.intp]],
        positions: Sequence[int],
        weights: dict[str, torch.Tensor],
        *,
        training: bool,
    ) -> torch.Tensor:
        """Loss of some networks, each on its own rows; shorter batches are filled with rows that do not count."""
        import torch

        data, device = self.data, self.data.X.device
        longest = max(len(own) for own in rows)
        filled = np.array([np.concatenate([own, np.repeat(own[:1], longest - len(own))]) for own in rows])
        at = torch.as_tensor(filled, device=device)
        fits = torch.as_tensor([self.jobs[i].fit for i in positions], device=device)
        inputs = (data.X[at] - data.center[fits][:, None]) / data.scale[fits][:, None]
        predicted = self._forward(inputs.to(self.dtype), weights, training=training).float()
        target = data.Y[fits[:, None], at]
        counts = None if data.weights is None else data.weights[fits[:, None], at]
        if any(len(own) < longest for own in rows):
            real = np.array([(np.arange(longest) < len(own)) * (longest / len(own)) for own in rows], dtype=np.float32)
            mask = torch.as_tensor(real, device=device)[:, :, None]
            counts = mask.expand_as(target) if counts is None else counts * mask
        loss = functools.partial(composite_loss, l1=self.plan.l1, l2=self.plan.l2)
        if counts is None:
            return torch.vmap(loss)(predicted, target)
        return torch.vmap(lambda p, t, w: loss(p, t, weights=w))(predicted, target, counts)

    def _forward(self, hidden: torch.Tensor, weights: dict[str, torch.Tensor], *, training: bool) -> torch.Tensor:
        import torch
        from torch import nn

        for (name, _), layer in zip(self.jobs[0].network.named_children(), self.layers, strict=True):
            if isinstance(layer, nn.Linear):
                bias = weights[f"{name}.bias"][:, None]
                hidden = torch.baddbmm(bias, hidden, weights[f"{name}.weight"].transpose(1, 2))
            elif isinstance(layer, nn.Dropout):
                hidden = nn.functional.dropout(hidden, layer.p, training)
            else:
                hidden = layer(hidden)
        return hidden

    def _update(self, gradients: dict[str, torch.Tensor], taking: NDArray[np.bool_]) -> None:
        """One step of AdamW with a schedule and a clipped gradient for each network; some may wait."""
        import torch

        device = self.data.X.device
        squares = [g.flatten(1).square().sum(dim=1) for g in gradients.values()]
        clip = (CLIP / (torch.stack(squares).sum(dim=0).sqrt() + 1e-6)).clamp(max=1.0)
        number = self.taken + 1
        now = [one[min(int(t), len(one) - 1)] for one, t in zip(self.rates, self.taken, strict=True)]
        lr, beta = (np.array(values) for values in zip(*now, strict=True))
        step = lr / (1 - beta**number) * taking
        shrink, root = 1 - lr * self.plan.weight_decay * taking, np.sqrt(1 - BETA2**number)
        keep_first, keep_second = np.where(taking, beta, 1.0), np.where(taking, BETA2, 1.0)
        values = torch.as_tensor(
            np.array([step, shrink, root, keep_first, keep_second]), dtype=torch.float32, device=device
        )
        for name, weight in self.weights.items():
            form = (-1,) + (1,) * (weight.ndim - 1)
            gradient = gradients[name] * clip.view(form)
            own_step, own_shrink, own_root, first, second = (value.view(form) for value in values)
            if weight.ndim > 2:
                weight.mul_(own_shrink)
            self.first[name].lerp_(gradient, (1 - first).expand_as(gradient))
            self.second[name].mul_(second).add_(gradient.square() * (1 - second))
            weight.sub_(own_step * self.first[name] / (self.second[name].sqrt() / own_root + EPS))
        self.taken += taking
