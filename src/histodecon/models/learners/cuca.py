"""An image projector that learns beside a network of genes, and predicts without them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from histodecon.models._genes import log_shares, most_variable
from histodecon.models._learners import Arrays, FitContext, LearnerCard
from histodecon.models._network_learner import NetworkLearner
from histodecon.models._network_params import COMMON

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    Data = dict[str, torch.Tensor]

GENE_WIDTH = 1024
EPS = 1e-8


class CucaLearner(NetworkLearner):
    """Cross-modal: abundances are read from a projection of the image that is drawn to a projection of the genes.

    While it learns, a second network reduces the most variable genes to as many numbers as the image projector makes and restores
    them; the two projections of a spot are held close. Prediction needs the image alone.
    """

    reads_genes = True
    ranges: ClassVar = {"abundance": (0.0, 1e3), "expression": (0.0, 1e3), "alignment": (0.0, 1e3)}

    def build(self, n_inputs: int, n_outputs: int) -> torch.nn.Module:
        """Make the image projector and the readout."""
        from torch import nn

        hidden, dropout = self.params["hidden"], self.params["dropout"]
        layers: list[nn.Module] = []
        for width in (n_inputs, hidden):
            layers += [nn.Linear(width, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Dropout(dropout)]
        projector = nn.Sequential(*layers, nn.Linear(hidden, hidden))
        return nn.Sequential(projector, nn.Linear(hidden, n_outputs))

    def sizes(self, arrays: Arrays) -> tuple[int, int]:
        """Read inputs and outputs off the arrays of one network."""
        return arrays["0.0.weight"].shape[1], arrays["1.weight"].shape[0]

    def teacher(self, n_inputs: int, n_outputs: int) -> torch.nn.Module:
        """Make the network of genes: an encoder and a decoder."""
        from torch import nn

        hidden, dropout, n_genes = self.params["hidden"], self.params["dropout"], self._n_genes
        encoder: list[nn.Module] = []
        for width in (n_genes, GENE_WIDTH):
            encoder += [nn.Linear(width, GENE_WIDTH), nn.ELU(), nn.Dropout(dropout)]
        decoder = [nn.Linear(hidden, hidden), nn.ELU(), nn.Linear(hidden, n_genes)]
        return nn.ModuleList([nn.Sequential(*encoder, nn.Linear(GENE_WIDTH, hidden)), nn.Sequential(*decoder)])

    def material(self, X: NDArray, Y: NDArray, context: FitContext) -> dict[str, NDArray[np.float32]]:
        """Choose genes on the training rows, and standardize their logarithms."""
        genes = context.known_genes
        chosen = most_variable(genes.counts, self.params["n_genes"])
        values = log_shares(genes.dense(chosen), genes.totals())
        scale = values.std(axis=0)
        self._n_genes = len(chosen)
        return {"genes": ((values - values.mean(axis=0)) / np.where(scale > 0, scale, 1.0)).astype(np.float32)}

    def loss(self, network: Any, teacher: Any, data: Data, rows: torch.Tensor) -> torch.Tensor:
        """Root mean squared errors of abundances, of genes, and between the two projections, weighed."""
        projected = network[0](data["X"][rows])
        encoder, decoder = teacher
        genes = data["genes"][rows]
        encoded = encoder(genes)
        total = self.params["abundance"] * _rmse(network[1](projected), data["Y"][rows])
        total = total + self.params["expression"] * _rmse(decoder(encoded), genes)
        return total + self.params["alignment"] * _rmse(projected, encoded)

    def represent(self, X: NDArray) -> NDArray[np.float64]:
        """Project images; one network beside the other."""
        import torch

        rows = torch.as_tensor(X, dtype=torch.float32)
        with torch.inference_mode():
            projectors: list[Any] = [next(iter(network.children())) for network in self.networks_]
            return np.concatenate([projector(rows).double().numpy() for projector in projectors], axis=1)


def _rmse(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return ((a - b).square().mean() + EPS).sqrt()


CARD = LearnerCard(
    name="cuca",
    summary="Projects the image beside a network of the most variable genes that is needed only to learn.",
    cls=CucaLearner,
    defaults={
        **COMMON,
        "hidden": 512,
        "n_genes": 250,
        "dropout": 0.25,
        "learning_rate": 2e-3,
        "max_epochs": 100,
        "abundance": 0.7,
        "expression": 0.2,
        "alignment": 0.1,
    },
    citation="Yan et al. 2025, CUCA, Bioinformatics 41 (ISMB 2025)",
)
