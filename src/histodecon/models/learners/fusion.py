"""Several encoders weighed by a gate, spot by spot and type by type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from histodecon.models._learners import Arrays, LearnerCard
from histodecon.models._network_learner import NetworkLearner
from histodecon.models._network_params import COMMON

if TYPE_CHECKING:
    import torch

    Data = dict[str, torch.Tensor]


class FusionLearner(NetworkLearner):
    """Every encoder is compressed to one width and answers alone; a gate weighs the answers, a cell type at a time.

    The weights of a cell type sum to 1 over the encoders: a part of its own, and a part that the spot decides. Their mean over the
    training spots tells which encoder knows what, and is kept in ``training_["encoder_weights"]``, cell types × encoders.
    """

    takes_weights = True
    ranges: ClassVar = {"alone": (0.0, 1e3)}

    def build(self, n_inputs: int, n_outputs: int) -> torch.nn.Module:
        """Make the network."""
        from histodecon.models._fusion_network import FusionNetwork

        blocks = self.blocks if sum(self.blocks) == n_inputs else (n_inputs,)
        names = ("hidden", "dropout", "input_dropout")
        return FusionNetwork(blocks, n_outputs, **{name: self.params[name] for name in names})

    def loss(self, network: Any, teacher: Any, data: Data, rows: torch.Tensor) -> torch.Tensor:
        """Loss of the weighed answer, and of each encoder's own, so that weights go to the one that is right."""
        weights, said = network.answers(data["X"][rows])
        together = self.fit_of((weights * said).sum(dim=-1), data, rows)
        n_encoders = said.shape[-1]
        if not self.params["alone"] or n_encoders == 1:
            return together
        own = sum(self.fit_of(said[..., b], data, rows) for b in range(n_encoders)) / n_encoders
        return together + self.params["alone"] * own

    def sizes(self, arrays: Arrays) -> tuple[int, int]:
        """Read inputs and outputs off the arrays of one network."""
        compressed = [
            value.shape[1] for name, value in arrays.items() if name.startswith("compress.") and value.ndim > 1
        ]
        return sum(compressed), arrays["preference"].shape[0]

    def conclude(self, data: Data, teachers: list[Any]) -> None:
        """Keep the mean weight of every encoder for every cell type."""
        weights = self.mean_of(data["X"].cpu().numpy(), lambda network, rows: network.gate(rows)).mean(axis=0)
        self.summary_["encoder_weights"] = np.round(weights, 6).tolist()


CARD = LearnerCard(
    name="fusion",
    summary="Encoders compressed to one width and weighed by a gate, whose weights tell which encoder knows which cell type.",
    cls=FusionLearner,
    defaults={
        **COMMON,
        "max_epochs": 200,
        "patience": 30,
        "hidden": 128,
        "dropout": 0.35,
        "input_dropout": 0.2,
        "l1": 1.0,
        "l2": 1.0,
        "alone": 0.3,
    },
    citation="after AdaFusion, arXiv:2508.05084; Jacobs et al. 1991 for the gate",
)
