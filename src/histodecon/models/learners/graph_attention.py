"""Attention over the spots around a spot: the peer of ``context``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from histodecon.models._learners import Arrays, FitContext, LearnerCard
from histodecon.models._network_learner import NetworkLearner
from histodecon.models._network_params import COMMON

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    Data = dict[str, torch.Tensor]


class GraphAttentionLearner(NetworkLearner):
    """A small graph-attention head: two hops, each added to what was there, on frozen embeddings.

    It is the idea of Hist2Cell without its image network, to be compared with the means of ``context``. All spots pass through the
    network at once in every step, so a step is an epoch.
    """

    reads_graph = True
    takes_weights = True
    ranges: ClassVar = {"heads": (1, 64)}
    whole = frozenset({"heads"})

    @property
    def n_rings(self) -> int:
        """Rings of neighbors that are read: the first, twice."""
        return 1

    def build(self, n_inputs: int, n_outputs: int) -> torch.nn.Module:
        """Make the network."""
        from histodecon.models._graph_network import GraphNetwork

        names = ("hidden", "heads", "dropout", "input_dropout")
        return GraphNetwork(n_inputs, n_outputs, **{name: self.params[name] for name in names})

    def sizes(self, arrays: Arrays) -> tuple[int, int]:
        """Read inputs and outputs off the arrays of one network."""
        return arrays["project.1.weight"].shape[1], arrays["read.1.weight"].shape[0]

    def structure(self, context: FitContext, device: torch.device) -> Data:
        """Gather the edges."""
        from histodecon.models._graph_network import edges_of

        return {"edges": edges_of(context.known_graph).to(device)}

    def loss(self, network: Any, teacher: Any, data: Data, rows: torch.Tensor) -> torch.Tensor:
        """Loss of some rows, each seeing its neighbors."""
        return self.fit_of(network(data["X"], data["edges"])[rows], data, rows)

    def deciding_loss(self, network: Any, teacher: Any, data: Data, rows: torch.Tensor) -> torch.Tensor:
        """Loss on held-in rows."""
        return self.loss(network, teacher, data, rows)

    def predict(self, X: NDArray, graph: csr_matrix | None = None) -> NDArray[np.float64]:
        """Predict; see :meth:`histodecon.models.Learner.predict`. Without a graph every row is alone."""
        import torch
        from scipy.sparse import csr_matrix

        from histodecon.models._graph_network import edges_of

        edges = edges_of(csr_matrix((len(X), len(X))) if graph is None else graph)
        rows = torch.as_tensor(X, dtype=torch.float32)
        with torch.inference_mode():
            return np.mean([network(rows, edges).double().numpy() for network in self.networks_], axis=0)


CARD = LearnerCard(
    name="graph_attention",
    summary="Two hops of attention over neighboring spots, on frozen embeddings.",
    cls=GraphAttentionLearner,
    defaults={
        **COMMON,
        "hidden": 128,
        "heads": 4,
        "dropout": 0.35,
        "input_dropout": 0.2,
        "l1": 1.0,
        "l2": 1.0,
        "batch_size": 1_000_000,
        "learning_rate": 3e-3,
        "max_epochs": 200,
        "patience": 40,
    },
    citation="after Hist2Cell, Zhao et al. 2024; Brody, Alon and Yahav 2022, arXiv:2105.14491",
)
