"""Proportions of cell types that explain expression through prototypes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from histodecon.models._genes import telling_genes
from histodecon.models._learners import Arrays, FitContext, LearnerCard
from histodecon.models._likelihood import negative_binomial_loss
from histodecon.models._network_learner import NetworkLearner
from histodecon.models._network_params import COMMON
from histodecon.models._nnls import nnls_abundance

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    Data = dict[str, torch.Tensor]

LEAST_SHARE = 1e-3


class CpnnLearner(NetworkLearner):
    """Reads proportions whose mixture of cell-type prototypes, times a scale of each gene, is what is expressed.

    Prototypes begin as the signatures and may move. Three terms are weighed: the likelihood of the counts (or their correlation),
    how far proportions are from those of the targets, and how far prototypes have moved. It predicts proportions, and expression.
    """

    reads_genes = True
    reads_signatures = True
    absolute = True
    kind: ClassVar[str | None] = "proportion"
    ranges: ClassVar = {"expression": (0.0, 1e3), "composition": (0.0, 1e3), "prototype": (0.0, 1e6)}
    choices: ClassVar = {"likelihood": ("negative_binomial", "pearson")}

    def build(self, n_inputs: int, n_outputs: int) -> torch.nn.Module:
        """Make the network."""
        from histodecon.models._prototype_network import PrototypeNetwork

        names = ("hidden", "dropout", "input_dropout")
        own = {name: self.params[name] for name in names}
        return PrototypeNetwork(n_inputs, n_outputs, len(self.genes), link="softmax", **own)

    def sizes(self, arrays: Arrays) -> tuple[int, int]:
        """Read inputs and outputs off the arrays of one network."""
        return arrays["encode.1.weight"].shape[1], arrays["log_prototypes"].shape[0]

    def material(self, X: NDArray, Y: NDArray, context: FitContext) -> dict[str, NDArray[np.float32]]:
        """Choose the genes that tell the types apart; proportions of the targets."""
        genes = context.known_genes
        signatures = genes.signatures_of(context.cell_types)
        chosen = telling_genes(genes.counts, signatures, self.params["n_genes"])
        self.genes = tuple(genes.names[i] for i in chosen)
        self._signatures = signatures[chosen].T
        counts = genes.dense(chosen)
        total = Y.sum(axis=1, keepdims=True)
        shares = np.divide(Y, total, out=np.zeros_like(Y), where=total > 0)
        return {"counts": counts, "shares": shares.astype(np.float32)}

    def start(self, network: Any, data: Data, rows: torch.Tensor) -> None:
        """Begin with the signatures, and the proportions that explain all training rows together."""
        pooled = data["counts"][rows].double().mean(dim=0).cpu().numpy()
        mean = nnls_abundance(pooled[None], self._signatures.T)[0]
        shares = np.maximum(mean / max(mean.sum(), 1e-12), LEAST_SHARE)
        network.begin(self._signatures, np.log(shares / shares.sum()), pooled)

    def loss(self, network: Any, teacher: Any, data: Data, rows: torch.Tensor) -> torch.Tensor:
        """Expression, composition and drift of the prototypes, weighed."""
        shares, expected = network.mixture(data["X"][rows])
        counts = data["counts"][rows]
        if self.params["likelihood"] == "pearson":
            misfit = 1 - _row_correlation(expected, counts)
        else:
            mean = expected / expected.sum(dim=1, keepdim=True).clamp_min(1e-12) * counts.sum(dim=1, keepdim=True)
            misfit = negative_binomial_loss(counts, mean, network.log_inverse_dispersion)
        target = data["shares"][rows]
        composition = -(target * shares.clamp_min(1e-8).log()).sum(dim=1)
        drift = (network.log_prototypes - network.first_prototypes).square()
        total = self.params["expression"] * misfit.mean() + self.params["composition"] * composition.mean()
        return total + self.params["prototype"] * drift.mean()

    def deciding_loss(self, network: Any, teacher: Any, data: Data, rows: torch.Tensor) -> torch.Tensor:
        """The same on held-in rows."""
        return self.loss(network, teacher, data, rows)

    def conclude(self, data: Data, teachers: list[Any]) -> None:
        """Keep the names of the genes, and the total that expression is told for."""
        self.summary_["genes"] = list(self.genes)
        total = float(data["counts"].sum(dim=1).median())
        networks: list[Any] = self.networks_
        for network in networks:
            network.set_total(total)

    def express(self, X: NDArray) -> NDArray[np.float64]:
        """Expected counts of the genes; see :meth:`histodecon.models.Learner.express`."""
        return self.mean_of(X, lambda network, rows: network.expression(rows))


def _row_correlation(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Correlation over genes of each row, on square roots, which even out the variance of counts."""
    a, b = (a + 1e-6).sqrt(), b.sqrt()
    a, b = a - a.mean(dim=1, keepdim=True), b - b.mean(dim=1, keepdim=True)
    product = (a * b).sum(dim=1)
    found: torch.Tensor = product / ((a.square().sum(dim=1) + 1e-8) * (b.square().sum(dim=1) + 1e-8)).sqrt()
    return found


CARD = LearnerCard(
    name="cpnn",
    summary="Proportions that explain expression through trainable prototypes of the cell types; predicts both.",
    cls=CpnnLearner,
    defaults={
        **COMMON,
        "max_epochs": 200,
        "patience": 30,
        "hidden": 256,
        "dropout": 0.35,
        "input_dropout": 0.2,
        "n_genes": 500,
        "likelihood": "negative_binomial",
        "expression": 1.0,
        "composition": 1.0,
        "prototype": 1.0,
    },
    citation="after CPNN, Nishimura et al. 2026, arXiv:2603.18461",
)
