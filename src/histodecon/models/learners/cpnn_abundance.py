"""Abundances learned from counts and signatures, without a deconvolution."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from histodecon.models._learners import FitContext, LearnerCard
from histodecon.models._likelihood import negative_binomial_loss
from histodecon.models._log_mixture import log_mixture
from histodecon.models._network_params import COMMON
from histodecon.models.learners.cpnn import CpnnLearner

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    Data = dict[str, torch.Tensor]

LEAST_SHARE = 0.02


class CpnnAbundanceLearner(CpnnLearner):
    r"""Reads abundances that explain counts as cell2location does, in one go from image to counts.

    The expected count of gene g in spot s is :math:`\mu_{sg} = m_g \sum_f w_{sf} g_{fg} + s_g`, counts are negative binomial. The
    abundances :math:`w_{sf}` are read from the image; :math:`g_{fg}` are the signatures, which may move a little; the
    sensitivity :math:`m_g` and the background :math:`s_g` belong to a gene. Targets are not looked at. Abundances are in units of
    what a cell of the reference leaves in its counts.
    """

    reads_targets = False
    kind = None
    ranges: ClassVar = {"prototype": (0.0, 1e6), "sensitivity": (0.0, 1e6)}
    choices: ClassVar = {}

    def build(self, n_inputs: int, n_outputs: int) -> torch.nn.Module:
        """Make the network."""
        from histodecon.models._prototype_network import PrototypeNetwork

        names = ("hidden", "dropout", "input_dropout")
        own = {name: self.params[name] for name in names}
        return PrototypeNetwork(n_inputs, n_outputs, len(self.genes), link="softplus", **own)

    def material(self, X: NDArray, Y: NDArray, context: FitContext) -> dict[str, NDArray[np.float32]]:
        """Choose the genes that tell the types apart."""
        return {"counts": super().material(X, np.zeros_like(Y), context)["counts"]}

    def start(self, network: Any, data: Data, rows: torch.Tensor) -> None:
        """Begin with the abundances that explain the mean of all training rows, and with what they leave of each gene as its factor."""
        pooled = data["counts"][rows].double().mean(dim=0).cpu().numpy()
        mean = log_mixture(pooled, self._signatures.T)
        network.begin(self._signatures, np.log(np.maximum(mean, LEAST_SHARE * mean.sum())), pooled)

    def loss(self, network: Any, teacher: Any, data: Data, rows: torch.Tensor) -> torch.Tensor:
        """Likelihood of the counts, and what keeps signatures and sensitivities near where they began."""
        _, expected = network.mixture(data["X"][rows])
        misfit = negative_binomial_loss(data["counts"][rows], expected, network.log_inverse_dispersion).mean()
        drift = (network.log_prototypes - network.first_prototypes).square().mean()
        uneven = network.log_scale.square().mean()
        return misfit + self.params["prototype"] * drift + self.params["sensitivity"] * uneven


CARD = LearnerCard(
    name="cpnn_abundance",
    summary="Abundances learned from counts and signatures in the likelihood of cell2location, without a deconvolution.",
    cls=CpnnAbundanceLearner,
    defaults={
        **COMMON,
        "max_epochs": 200,
        "patience": 30,
        "hidden": 256,
        "dropout": 0.35,
        "input_dropout": 0.2,
        "n_genes": 1000,
        "learning_rate": 3e-3,
        "prototype": 1.0,
        "sensitivity": 1e-3,
    },
    citation="likelihood of cell2location, Kleshchevnikov et al. 2022; after CPNN, Nishimura et al. 2026, arXiv:2603.18461",
)
