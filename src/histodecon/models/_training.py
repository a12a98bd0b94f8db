"""Training one network: batches by index, early stopping on held-in rows, the best epoch restored."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from histodecon._core import FallbackWarning, ModelError
from histodecon.models._losses import composite_loss

if TYPE_CHECKING:
    import torch

    _Data = tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]  # inputs, targets, how much each target counts

MAX_STEPS = 3000
MIN_EPOCHS = 8


@dataclass(frozen=True)
class TrainingPlan:
    """How a network is trained.

    Parameters
    ----------
    learning_rate
        Highest rate of the one-cycle schedule of AdamW.
    weight_decay
        Weight decay of the layers' weights; biases have none.
    l1, l2
        Weights of the loss, see :func:`histodecon.models.composite_loss`.
    batch_size
        Rows a step; a remainder is spread over all batches.
    max_epochs
        Passes over the rows at most; fewer where they would be more than 3,000 steps, but at least 8.
    patience
        Epochs without improvement on the held-in rows before stopping.
    """

    learning_rate: float
    weight_decay: float
    l1: float
    l2: float
    batch_size: int
    max_epochs: int
    patience: int

    def batches(self, n_rows: int) -> int:
        """Return the number of batches of an epoch.

        Parameters
        ----------
        n_rows
            Training rows.

        Returns
        -------
        The number.
        """
        return max(1, round(n_rows / self.batch_size))

    def epochs(self, n_rows: int) -> int:
        """Return the number of epochs.

        Parameters
        ----------
        n_rows
            Training rows.

        Returns
        -------
        The number.
        """
        return min(self.max_epochs, max(MIN_EPOCHS, MAX_STEPS // self.batches(n_rows)))


@dataclass
class TrainingHistory:
    """What happened in training.

    Parameters
    ----------
    training_loss
        Mean loss of the steps of each epoch.
    held_in_loss
        Loss on the held-in rows after each epoch, NaN without such rows.
    best_epoch
        Epoch whose weights were kept, counted from 0; -1 where training never improved on its start.
    stopped
        ``"patience"``, ``"epochs"`` or ``"diverged"``.
    """

    training_loss: list[float] = field(default_factory=list)
    held_in_loss: list[float] = field(default_factory=list)
    best_epoch: int = -1
    stopped: str = "epochs"


def train_network(
    network: torch.nn.Module,
    X: torch.Tensor,
    Y: torch.Tensor,
    held_in: NDArray[np.bool_],
    plan: TrainingPlan,
    *,
    rng: np.random.Generator,
    on_epoch: Callable[[int, float], Any] | None = None,
    weights: torch.Tensor | None = None,
) -> TrainingHistory:
    """Train a network in place.

    Parameters
    ----------
    network
        On the device of ``X``.
    X
        Standardized inputs, shape (n, d).
    Y
        Standardized targets, shape (n, K).
    held_in
        Rows that are not trained on but decide when to stop, shape (n,). Without any, the last epoch is kept.
    plan
        How to train.
    rng
        Draws the batches. Dropout draws from torch's own generator.
    on_epoch
        Called after each epoch with its number and the loss that decides.
    weights
        How much each target counts, in training and in deciding when to stop, shape (n, K).

    Returns
    -------
    The history; the network has the weights of its best epoch and is in evaluation mode.

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

    rows = np.flatnonzero(~held_in)
    watched = torch.as_tensor(np.flatnonzero(held_in), device=X.device)
    stepper = _Stepper(network, plan, len(rows))
    history, kept = TrainingHistory(), _copy(network)
    data = (X, Y, weights)
    best = _evaluate(network, data, watched, plan)
    best = best if math.isfinite(best) else math.inf
    for epoch in range(plan.epochs(len(rows))):
        loss = stepper.epoch(data, rng.permutation(rows))
        watched_loss = _evaluate(network, data, watched, plan)
        deciding = watched_loss if len(watched) else loss
        if not (math.isfinite(loss) and math.isfinite(deciding)):
            history.stopped = "diverged"
            break
        history.training_loss.append(loss)
        history.held_in_loss.append(watched_loss)
        if on_epoch is not None:
            on_epoch(epoch, deciding)
        if deciding < best or not len(watched):
            best, kept, history.best_epoch = deciding, _copy(network), epoch
        elif epoch - history.best_epoch >= plan.patience:
            history.stopped = "patience"
            break
    network.load_state_dict(kept)
    network.eval()
    if history.stopped == "diverged":
        _tell_divergence(history)
    return history


class _Stepper:
    """Optimizer and schedule of one network."""

    def __init__(self, network: torch.nn.Module, plan: TrainingPlan, n_rows: int) -> None:
        from torch import optim

        self.network, self.plan, self.n_batches = network, plan, plan.batches(n_rows)
        matrices = [p for p in network.parameters() if p.ndim > 1]
        vectors = [p for p in network.parameters() if p.ndim <= 1]
        groups = [{"params": matrices, "weight_decay": plan.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
        self.optimizer = optim.AdamW(groups, lr=plan.learning_rate)
        steps = plan.epochs(n_rows) * self.n_batches + 1
        self.schedule = optim.lr_scheduler.OneCycleLR(
            self.optimizer, plan.learning_rate, total_steps=steps, pct_start=0.1
        )

    def epoch(self, data: _Data, order: NDArray[np.intp]) -> float:
        """One pass; returns the mean loss, NaN as soon as one step's is not finite."""
        import torch

        self.network.train()
        device = data[0].device
        total = torch.zeros((), device=device)
        for rows in np.array_split(order, self.n_batches):
            self.optimizer.zero_grad()
            loss = _loss(self.network, data, torch.as_tensor(rows, device=device), self.plan)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
            self.optimizer.step()
            self.schedule.step()
            total += loss.detach()
        return float(total) / self.n_batches


def _loss(network: torch.nn.Module, data: _Data, rows: torch.Tensor, plan: TrainingPlan) -> torch.Tensor:
    X, Y, weights = data
    own = None if weights is None else weights[rows]
    return composite_loss(network(X[rows]), Y[rows], l1=plan.l1, l2=plan.l2, weights=own)


def _evaluate(network: torch.nn.Module, data: _Data, rows: torch.Tensor, plan: TrainingPlan) -> float:
    """Loss on held-in rows, NaN without any."""
    import torch

    if not len(rows):
        return math.nan
    network.eval()
    with torch.no_grad():
        return float(_loss(network, data, rows, plan))


def _copy(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


def _tell_divergence(history: TrainingHistory) -> None:
    epoch = len(history.training_loss)
    last = f"last finite loss {history.training_loss[-1]:.4g}" if epoch else "no epoch had ended"
    what, where = "Training diverged: the loss is not finite", f"epoch {epoch}; {last}"
    fix = "lower `learning_rate`, for example `params={'learning_rate': 1e-4}`"
    if not epoch:
        raise ModelError(what, where=where, why="there is no trained network to keep", fix=fix, code="BI-73")
    warnings.warn(
        f"[HD-BI-73] {what} ({where}). The weights of epoch {history.best_epoch} are kept. To avoid it: {fix}.",
        FallbackWarning,
        stacklevel=3,
    )
