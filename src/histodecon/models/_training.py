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
from histodecon.models._steps import Stepper

if TYPE_CHECKING:
    import torch

    Data = tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]  # inputs, targets, how much each target counts

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
    hidden
        Width of the hidden layers.
    precision
        What steps are computed in, see ``compute_dtype``.
    """

    learning_rate: float
    weight_decay: float
    l1: float
    l2: float
    batch_size: int
    max_epochs: int
    patience: int
    hidden: int = 256
    precision: str = "float32"

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

    def steps(self, n_rows: int) -> int:
        """Return the number of steps where training does not stop early.

        Parameters
        ----------
        n_rows
            Training rows.

        Returns
        -------
        The number.
        """
        return self.epochs(n_rows) * self.batches(n_rows)


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
    stepper = Stepper(network, plan, len(rows))
    data = (stepper.inputs(X), Y, weights)
    start = _evaluate(stepper, data, watched)
    course = Course(plan, start, watches=len(watched) > 0, copy_of=lambda: _copy(network))
    for _ in range(plan.epochs(len(rows))):
        loss = stepper.epoch(data, rng.permutation(rows))
        if not course.goes_on(loss, _evaluate(stepper, data, watched), on_epoch):
            break
    network.load_state_dict(course.kept)
    network.eval()
    course.tell()
    return course.history


class Course:
    """What is remembered and decided after each epoch of one network.

    Parameters
    ----------
    plan
        How it is trained.
    start
        Held-in loss before training.
    watches
        Whether there are held-in rows.
    copy_of
        Gives a copy of the present weights.
    """

    def __init__(
        self, plan: TrainingPlan, start: float, *, watches: bool, copy_of: Callable[[], dict[str, torch.Tensor]]
    ) -> None:
        self.plan, self.watches, self.copy_of = plan, watches, copy_of
        self.best = start if math.isfinite(start) else math.inf
        self.history, self.kept = TrainingHistory(), copy_of()

    def goes_on(self, loss: float, held_in: float, on_epoch: Callable[[int, float], Any] | None = None) -> bool:
        """Note an epoch.

        Parameters
        ----------
        loss
            Mean loss of its steps.
        held_in
            Loss on held-in rows after it, NaN without any.
        on_epoch
            As in :func:`train_network`.

        Returns
        -------
        Whether another one shall follow.
        """
        history, deciding = self.history, held_in if self.watches else loss
        epoch = len(history.training_loss)
        if not (math.isfinite(loss) and math.isfinite(deciding)):
            history.stopped = "diverged"
            return False
        history.training_loss.append(loss)
        history.held_in_loss.append(held_in)
        if on_epoch is not None:
            on_epoch(epoch, deciding)
        if deciding < self.best or not self.watches:
            self.best, self.kept, history.best_epoch = deciding, self.copy_of(), epoch
        elif epoch - history.best_epoch >= self.plan.patience:
            history.stopped = "patience"
            return False
        return True

    def tell(self) -> None:
        """Warn of a divergence, or refuse it; see :func:`train_network`."""
        if self.history.stopped == "diverged":
            _tell_divergence(self.history)


def _evaluate(stepper: Stepper, data: Data, rows: torch.Tensor) -> float:
    """Loss on held-in rows, NaN without any."""
    import torch

    if not len(rows):
        return math.nan
    stepper.copy.eval()
    with torch.no_grad():
        return float(stepper.loss(data, rows))


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
        stacklevel=4,
    )
