"""Training of cell2location's two models until their loss is flat, and their posterior in closed form."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats as distributions

from histodecon._core import ModelError
from histodecon._core._scvi import accelerator_of

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from histodecon.tl._deconvolution import DeconvolutionTask

LOW = 0.05
WINDOW, FEWEST = 100, 5
FINER = (1.0, 0.3, 0.1)


def train_pyro(
    model: Any,
    task: DeconvolutionTask,
    *,
    max_epochs: int,
    learning_rate: float,
    tolerance: float,
    batch_size: int | None,
    title: str,
) -> NDArray[np.float64]:
    """Maximize the evidence lower bound.

    Parameters
    ----------
    model
        A model of cell2location.
    task
        Device and progress bar.
    max_epochs
        Most passes through the data.
    learning_rate
        Step of Adam at the start.
    tolerance
        The loss is flat when the mean of a window is less than this share below the mean of the window before; a window
        is 100 steps, at least 5 epochs. Steps become finer then, to 0.3 and 0.1 of the first, and training ends when it
        is flat again. 0 runs all epochs.
    batch_size
        Rows of a step, nearly: batches are made equally large. None takes all.
    title
        What it trains on.

    Returns
    -------
    Loss (minus the bound) of each epoch.

    Raises
    ------
    ModelError
        The loss is no longer finite.
    """
    import torch
    from pyro.infer import Trace_ELBO
    from tqdm.auto import tqdm

    module, device = model.module, accelerator_of(task.device)
    batches = _Batches(model, batch_size, device)
    module.to(device).train()
    module.guide(*next(iter(batches)))  # makes its parameters
    optimizer = torch.optim.Adam(module.guide.parameters(), lr=learning_rate)
    bound = Trace_ELBO()
    losses: list[float] = []
    window = max(FEWEST, -(-WINDOW // len(batches)))
    finer = since = 0
    with tqdm(total=max_epochs, desc=title, disable=not task.show_progress_bar, unit="epoch") as bar:
        for epoch in range(max_epochs):
            try:
                losses.append(float(np.mean([_step(module, bound, optimizer, arguments) for arguments in batches])))
            except ValueError as error:  # Pyro meets a parameter that is not finite
                raise _diverged(title, epoch, learning_rate) from error
            if not np.isfinite(losses[-1]):
                raise _diverged(title, epoch, learning_rate)
            bar.update()
            bar.set_postfix_str(f"loss {losses[-1]:.5g}", refresh=False)
            if tolerance and len(losses) % window == 0 and is_flat(losses[since:], tolerance, window):
                finer, since = finer + 1, len(losses)
                if finer == len(FINER):
                    break
                for group in optimizer.param_groups:
                    group["lr"] = learning_rate * FINER[finer]
    model.is_trained_ = True
    return np.array(losses)


def _step(module: Any, bound: Any, optimizer: torch.optim.Optimizer, arguments: list[Any]) -> float:
    optimizer.zero_grad()
    loss = bound.differentiable_loss(module.model, module.guide, *arguments)
    loss.backward()
    optimizer.step()
    return float(loss.detach())


def _diverged(title: str, epoch: int, learning_rate: float) -> ModelError:
    msg = f"The loss of the training on {title} is no longer finite in epoch {epoch + 1}"
    return ModelError(msg, fix=f"a lower step, a quarter of it is {learning_rate / 4:g}", code="BI-73")


def is_flat(losses: Sequence[float] | NDArray[np.float64], tolerance: float, window: int = WINDOW) -> bool:
    """Tell whether a loss has stopped falling.

    Parameters
    ----------
    losses
        One value an epoch, since the step size last changed.
    tolerance
        Share by which the mean of the last window must be below that of the one before.
    window
        Epochs of a window.

    Returns
    -------
    True when it is not; False while there are fewer than two windows.
    """
    if len(losses) < 2 * window:
        return False
    before, now = np.mean(losses[-2 * window : -window]), np.mean(losses[-window:])
    return bool(before - now < tolerance * abs(now))


def posterior(model: Any, site: str) -> dict[str, NDArray[np.float64]]:
    """Describe the posterior of a positive quantity exactly: it is log-normal under the normal guide of cell2location.

    Parameters
    ----------
    model
        A trained model.
    site
        Name of the quantity.

    Returns
    -------
    ``mean``, ``sd`` and ``q05``, the 5 % quantile. No draw is made, so that memory is that of the result.

    Raises
    ------
    ModelError
        The guide is another one.
    """
    import torch

    guide = model.module.guide
    trial = torch.zeros_like(getattr(guide.locs, site))
    trial.view(-1)[:2] = torch.tensor([-1.5, 2.0])
    transform = torch.distributions.biject_to(guide.prototype_trace.nodes[site]["fn"].support)
    if not torch.allclose(transform(trial), trial.exp()):
        msg = f"The posterior of {site!r} is not log-normal in this version of cell2location"
        raise ModelError(msg, fix='`pip install "histodecon[cell2location]"`', code="FI-37")
    with torch.no_grad():
        loc, scale = (
            getattr(where, site).detach().cpu().numpy().astype(np.float64) for where in (guide.locs, guide.scales)
        )
    mean = np.exp(loc + scale**2 / 2)
    low = float(distributions.norm.ppf(LOW))
    return {"mean": mean, "sd": mean * np.sqrt(np.expm1(scale**2)), "q05": np.exp(loc + low * scale)}


class _Batches:
    """Arguments of the model, batch after batch; rows are shuffled where there is more than one, and stay put otherwise."""

    def __init__(self, model: Any, batch_size: int | None, device: Any) -> None:
        n = model.adata.n_obs
        n_batches = 1 if batch_size is None else max(1, round(n / batch_size))
        size = -(
            -n // n_batches
        )  # of one size: a small last batch would count as much as a large one, and be mostly noise
        self._loader = model._make_data_loader(adata=model.adata, shuffle=n_batches > 1, batch_size=size)
        self._to_arguments, self._device = model.module._get_fn_args_from_batch, device
        self._kept = [self._arguments(tensors) for tensors in self._loader] if n_batches == 1 else []

    def _arguments(self, tensors: Any) -> list[Any]:
        return [value.to(self._device) for value in self._to_arguments(tensors)[0]]

    def __len__(self) -> int:
        return len(self._kept) or len(self._loader)

    def __iter__(self) -> Iterator[list[Any]]:
        return iter(self._kept) if self._kept else (self._arguments(tensors) for tensors in self._loader)
