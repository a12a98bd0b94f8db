"""What learners that are networks have in common: several networks, each with other rows held in, and their mean."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from histodecon._core import HistodeconWarning, one_thread, resolve_device
from histodecon.models._held_in import held_in_rows
from histodecon.models._kept_networks import KeptNetworks
from histodecon.models._learners import FitContext
from histodecon.models._losses import composite_loss
from histodecon.models._network_params import COMMON, RANGES, WHOLE, check_params
from histodecon.models._steps import own_random_state
from histodecon.models._train_modules import train_modules

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from histodecon.models._training import TrainingHistory

    Data = dict[str, torch.Tensor]

FEW_ROWS = 32
CHUNK = 8192


class NetworkLearner(KeptNetworks):
    """A learner that is the mean of a few networks.

    Every network trains on other rows: where there are several groups each leaves one of them out in turn, else each leaves out
    another fifth of the rows. The rows left out decide when its training stops.
    """

    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {}
    """Ranges of numbers among its own parameters, beside ``RANGES``."""
    whole: ClassVar[frozenset[str]] = frozenset()
    """Which of these are whole numbers."""
    choices: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Words that its own parameters may be."""

    def teacher(self, n_inputs: int, n_outputs: int) -> torch.nn.Module | None:
        """Make what is needed only to train.

        Parameters
        ----------
        n_inputs, n_outputs
            As in :meth:`build`.

        Returns
        -------
        A module, or None.
        """
        return None

    def material(self, X: NDArray, Y: NDArray, context: FitContext) -> dict[str, NDArray[np.float32]]:
        """Gather what the loss reads, beside inputs ``X`` and targets ``Y``.

        Parameters
        ----------
        X, Y, context
            As in :meth:`histodecon.models.Learner.fit`.

        Returns
        -------
        Arrays by name, whose rows are those of X.
        """
        return {}

    def start(self, network: torch.nn.Module, data: Data, rows: torch.Tensor) -> None:
        """Set first weights that are better than chance.

        Parameters
        ----------
        network
            As built.
        data
            Inputs, targets and material as tensors.
        rows
            Training rows.
        """

    def loss(self, network: torch.nn.Module, teacher: torch.nn.Module | None, data: Data, rows: Any) -> torch.Tensor:
        """Loss of some rows; by default that of the method, on the targets alone.

        Parameters
        ----------
        network, teacher
            The modules.
        data
            Inputs, targets and material.
        rows
            The rows.

        Returns
        -------
        A scalar.
        """
        return self.fit_of(network(data["X"][rows]), data, rows)

    def deciding_loss(self, network: torch.nn.Module, teacher: Any, data: Data, rows: torch.Tensor) -> torch.Tensor:
        """Loss on held-in rows that decides when training stops; by default that of the targets alone.

        Parameters
        ----------
        network, teacher, data, rows
            As in :meth:`loss`.

        Returns
        -------
        A scalar.
        """
        return self.fit_of(network(data["X"][rows]), data, rows)

    def fit_of(self, predicted: torch.Tensor, data: Data, rows: torch.Tensor) -> torch.Tensor:
        """How well targets are met.

        Parameters
        ----------
        predicted
            Shape (rows, K).
        data, rows
            As in :meth:`loss`.

        Returns
        -------
        A scalar.
        """
        own = data["weights"][rows] if "weights" in data else None
        l1, l2 = self.params.get("l1", 1.0), self.params.get("l2", 1.0)
        return composite_loss(predicted, data["Y"][rows], l1=l1, l2=l2, weights=own)

    def check(self) -> None:
        """Refuse parameters that make no sense."""
        check_params(self.params, {**RANGES, **self.ranges}, WHOLE | self.whole, self.choices)

    def fit(
        self,
        X: NDArray,
        Y: NDArray,
        groups: NDArray[np.intp],
        context: FitContext,
        weights: NDArray[np.float64] | None = None,
    ) -> NetworkLearner:
        """Learn; see :meth:`histodecon.models.Learner.fit`."""
        import torch
        from tqdm.auto import tqdm

        if len(X) < FEW_ROWS:
            text = f"[HD-BI-71] Only {len(X)} rows to train a network on {X.shape[1]} inputs: expect it to overfit."
            warnings.warn(text + " The learner `ridge` is safer.", HistodeconWarning, stacklevel=4)
        device = resolve_device(context.device)
        given = {"X": X, "Y": Y, **self.material(X, Y, context)}
        given |= {} if weights is None else {"weights": weights}
        data = {name: torch.as_tensor(one, dtype=torch.float32, device=device) for name, one in given.items()}
        data |= self.structure(context, device)
        rng = np.random.default_rng(context.random_state)
        held_in = held_in_rows(groups, self.params["n_networks"], rng)
        self.networks_, histories, teachers = [], [], []
        total = len(held_in) * self.params["max_epochs"]
        with tqdm(total=total, desc="training", disable=not context.show_progress_bar, leave=False) as bar:
            for rows, own in zip(held_in, rng.spawn(len(held_in)), strict=True):
                with own_random_state(own, device):
                    network, teacher, history = self._train_one(data, rows, own, Y.shape[1], bar)
                self.networks_.append(network.to("cpu").eval())
                teachers.append(None if teacher is None else teacher.to("cpu").eval())
                histories.append(history)
        self.history_ = {
            f"network_{i}": {"training_loss": one.training_loss, "held_in_loss": one.held_in_loss}
            for i, one in enumerate(histories)
        }
        self.summary_ = {
            "best_epochs": [one.best_epoch for one in histories],
            "stopped": [one.stopped for one in histories],
        }
        self.conclude(data, teachers)
        return self

    def structure(self, context: FitContext, device: torch.device) -> Data:
        """Gather tensors that are not one value a row, such as a graph.

        Parameters
        ----------
        context
            Of the fit.
        device
            Where they shall be.

        Returns
        -------
        Tensors by name.
        """
        return {}

    def conclude(self, data: Data, teachers: list[Any]) -> None:
        """Note what is worth telling of the trained networks, in ``summary_``.

        Parameters
        ----------
        data
            What was learned from.
        teachers
            What :meth:`teacher` made for each network, trained.
        """

    def _train_one(
        self, data: Data, held_in: NDArray[np.bool_], rng: np.random.Generator, n_outputs: int, bar: Any
    ) -> tuple[torch.nn.Module, torch.nn.Module | None, TrainingHistory]:
        import torch

        X = data["X"]
        network, teacher = self.build(X.shape[1], n_outputs), self.teacher(X.shape[1], n_outputs)
        modules = torch.nn.ModuleList([network] if teacher is None else [network, teacher]).to(X.device)
        threads = one_thread() if X.device.type == "cpu" else nullcontext()
        with threads:
            self.start(network, data, torch.as_tensor(np.flatnonzero(~held_in), device=X.device))
            history = train_modules(
                modules,
                lambda rows: self.loss(network, teacher, data, rows),
                lambda rows: self.deciding_loss(network, teacher, data, rows),
                held_in,
                {name: self.params[name] for name in COMMON if name != "n_networks"},
                rng=rng,
                on_epoch=lambda *_: bar.update(),
                device=X.device,
            )
        return network, teacher, history

    def predict(self, X: NDArray) -> NDArray[np.float64]:
        """Predict; see :meth:`histodecon.models.Learner.predict`."""
        return self.mean_of(X, lambda network, rows: network(rows))

    def mean_of(self, X: NDArray, read: Any) -> NDArray[np.float64]:
        """Mean over the networks of something they say of rows.

        Parameters
        ----------
        X
            Inputs, shape (n, d).
        read
            Function of a network and a tensor of rows.

        Returns
        -------
        One row each.
        """
        import torch

        parts = []
        with torch.inference_mode():
            for start in range(0, max(len(X), 1), CHUNK):
                rows = torch.as_tensor(X[start : start + CHUNK], dtype=torch.float32)
                parts.append(np.mean([read(network, rows).double().numpy() for network in self.networks_], axis=0))
        return np.concatenate(parts)
