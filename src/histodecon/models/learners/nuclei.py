"""Nuclei typed from the abundances of their spots."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from histodecon._core import InputError
from histodecon.models._bags import Bags
from histodecon.models._learner_card import LearnerCard
from histodecon.models._learners import Arrays, FitContext
from histodecon.models._network_learner import COMMON, NetworkLearner
from histodecon.models._nucleus_network import build_nucleus_network, members, sum_loss

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    Data = dict[str, torch.Tensor]


class NucleiLearner(NetworkLearner):
    """One small network for all nuclei; what it says of the nuclei of a spot sums up to the abundances of the spot.

    Rows are nuclei and the target of a row is that of its spot. Whole spots are held in, and whole spots make a batch.
    """

    reads_bags = True
    absolute = True

    def fit(
        self,
        X: NDArray,
        Y: NDArray,
        groups: NDArray[np.intp],
        context: FitContext,
        weights: NDArray[np.float64] | None = None,
    ) -> NucleiLearner:
        """Learn; see :meth:`histodecon.models.Learner.fit`."""
        if context.bags is None:
            msg = "The spots of the nuclei are not told"
            raise InputError(msg, fix="`bags=`, the number of the spot of each row, -1 for none", code="BI-124")
        self._bags = Bags.of(context.bags)
        try:
            super().fit(X[self._bags.rows], self._bags.values(Y), self._bags.values(groups), context)
            sizes = self._bags.size
            facts = {"n_bags": len(sizes), "n_in_bags": int(sizes.sum()), "median_in_bag": float(np.median(sizes))}
            self.summary_ = {**self.summary_, **facts}
        finally:
            del self._bags
        return self

    def build(self, n_inputs: int, n_outputs: int) -> torch.nn.Module:
        """Make the network; see :meth:`histodecon.models._network_learner.NetworkLearner.build`."""
        names = ("hidden", "dropout", "input_dropout")
        return build_nucleus_network(n_inputs, n_outputs, **{name: self.params[name] for name in names})

    def structure(self, context: FitContext, device: torch.device) -> Data:
        """Say which rows make a spot."""
        import torch

        pairs = {"first": self._bags.first, "size": self._bags.size}
        return {name: torch.as_tensor(one, dtype=torch.int64, device=device) for name, one in pairs.items()}

    def start(self, network: torch.nn.Module, data: Data, rows: torch.Tensor) -> None:
        """Begin with what a nucleus is on average."""
        n_nuclei = data["size"][rows].sum().clamp_min(1)
        network.get_buffer("unit").copy_(data["Y"][rows].sum(dim=0) / n_nuclei)

    def loss(self, network: torch.nn.Module, teacher: Any, data: Data, rows: Any) -> torch.Tensor:
        """Poisson deviance of the sums over spots; ``rows`` are spots."""
        own, place = members(data["first"], data["size"], rows)
        usual = data["Y"].sum(dim=1).mean().clamp_min(1e-12)
        return sum_loss(network(data["X"][own]), place, data["Y"][rows], usual)

    def deciding_loss(self, network: torch.nn.Module, teacher: Any, data: Data, rows: torch.Tensor) -> torch.Tensor:
        """The same on held-in spots."""
        return self.loss(network, teacher, data, rows)

    def sizes(self, arrays: Arrays) -> tuple[int, int]:
        """Read inputs and outputs off the arrays of one network."""
        return arrays["hidden.weight"].shape[1], arrays["readout.weight"].shape[0]


CARD = LearnerCard(
    name="nuclei",
    summary="A small network types every nucleus; over the nuclei of a spot its answers sum up to the abundances.",
    cls=NucleiLearner,
    defaults={
        **COMMON,
        "hidden": 64,
        "dropout": 0.2,
        "input_dropout": 0.2,
        "learning_rate": 3e-3,
        "batch_size": 16,
        "max_epochs": 150,
        "patience": 30,
    },
    citation="after HistoCell, Nature Communications 2025, and Kotzias et al. 2015, doi:10.1145/2783258.2783380",
)
