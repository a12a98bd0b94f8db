"""Training any modules on any loss: one-cycle AdamW, early stopping, the best epoch restored."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from histodecon.models._steps import CLIP, one_cycle
from histodecon.models._training import Course, TrainingHistory, TrainingPlan

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    LossOf = Callable[[torch.Tensor], torch.Tensor]


def train_modules(
    modules: torch.nn.Module,
    loss_of: LossOf,
    deciding_loss_of: LossOf,
    held_in: NDArray[np.bool_],
    params: Mapping[str, Any],
    *,
    rng: np.random.Generator,
    on_epoch: Callable[[int, float], Any],
    device: torch.device,
) -> TrainingHistory:
    """Train modules in place.

    Parameters
    ----------
    modules
        All that has weights.
    loss_of, deciding_loss_of
        Loss of some rows, in training and on the rows held in.
    held_in
        Rows that are not trained on but decide when to stop, shape (n,). Without any, the last epoch is kept.
    params
        ``learning_rate``, ``weight_decay``, ``batch_size``, ``max_epochs`` and ``patience``.
    rng
        Draws the batches.
    on_epoch
        Called after each epoch.
    device
        Where.

    Returns
    -------
    The history; the modules have the weights of their best epoch and are in evaluation mode.

    Raises
    ------
    ModelError
        The loss was not finite before one epoch had ended.

    Warns
    -----
    FallbackWarning
        The loss was not finite later: the best epoch until then is kept.
    """
    import torch

    plan = TrainingPlan(**params, l1=0.0, l2=0.0)
    rows, watched = np.flatnonzero(~held_in), torch.as_tensor(np.flatnonzero(held_in), device=device)
    weights = [weight for weight in modules.parameters() if weight.requires_grad]
    optimizer, schedule = one_cycle(weights, plan, len(rows), fused=False)

    def decide() -> float:
        if not len(watched):
            return math.nan
        modules.eval()
        with torch.no_grad():
            return float(deciding_loss_of(watched))

    def copied() -> dict[str, torch.Tensor]:
        return {name: value.detach().clone() for name, value in modules.state_dict().items()}

    course = Course(plan, decide(), watches=len(watched) > 0, copy_of=copied)
    for _ in range(plan.epochs(len(rows))):
        total = torch.zeros((), device=device)
        order = torch.as_tensor(rng.permutation(rows), device=device)
        batches = torch.tensor_split(order, plan.batches(len(rows)))
        for batch in batches:
            modules.train(len(batch) > 1)  # one row has no variance to normalize by
            loss = loss_of(batch)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(weights, CLIP)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            total += loss.detach()
        if not course.goes_on(float(total) / len(batches), decide(), on_epoch):
            break
    modules.load_state_dict(course.kept)
    modules.eval()
    course.tell()
    return course.history
