"""Attention over a graph of spots."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

SLOPE = 0.2


def edges_of(graph: csr_matrix) -> torch.Tensor:
    """List who hears whom, every row itself among them.

    Parameters
    ----------
    graph
        Neighbors of each row, shape (n, n).

    Returns
    -------
    Shape (2, edges): the neighbor, and the row that hears it.
    """
    from scipy.sparse import identity

    whole = (graph != 0).astype("int8") + identity(graph.shape[0], dtype="int8", format="csr")
    hears, heard = whole.nonzero()
    return torch.as_tensor([heard.tolist(), hears.tolist()], dtype=torch.long).reshape(2, -1)


class AttentionLayer(nn.Module):
    """One hop: each row takes from its neighbors what it attends to, several heads averaged (GATv2), and adds it to its own.

    Parameters
    ----------
    width
        Of rows.
    heads
        How many.
    dropout
        Share left out in a training step.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.width = heads, width
        self.norm = nn.LayerNorm(width)
        self.heard = nn.Linear(width, heads * width)
        self.hears = nn.Linear(width, heads * width)
        self.score = nn.Parameter(torch.empty(heads, width))
        self.dropout = nn.Dropout(dropout)
        nn.init.xavier_uniform_(self.score)

    def forward(self, H: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
        """Pass one hop.

        Parameters
        ----------
        H
            Shape (n, width).
        edges
            As :func:`edges_of` lists them.

        Returns
        -------
        Shape (n, width).
        """
        n = len(H)
        source, target = edges
        own = self.norm(H)
        heard = self.heard(own).view(n, self.heads, self.width)[source]
        both = heard + self.hears(own).view(n, self.heads, self.width)[target]
        scores = (nn.functional.leaky_relu(both, SLOPE) * self.score).sum(dim=-1)
        top = scores.new_full((n, self.heads), -torch.inf)
        top = top.scatter_reduce(0, target[:, None].expand_as(scores), scores, "amax")
        weights = (scores - top.detach()[target]).exp()
        total = weights.new_zeros(n, self.heads).index_add(0, target, weights)
        weights = weights / total[target]
        taken = H.new_zeros(n, self.heads, self.width).index_add(0, target, weights[..., None] * heard)
        return H + self.dropout(nn.functional.silu(taken.mean(dim=1)))


class GraphNetwork(nn.Module):
    """Two hops of attention between a projection and a readout.

    Parameters
    ----------
    n_inputs
        Columns of the embedding.
    n_outputs
        Cell types.
    hidden
        Width between.
    heads
        Of each hop.
    dropout, input_dropout
        Share of hidden units and of inputs left out in a training step.
    """

    def __init__(
        self, n_inputs: int, n_outputs: int, *, hidden: int, heads: int, dropout: float, input_dropout: float
    ) -> None:
        super().__init__()
        self.project = nn.Sequential(
            nn.Dropout(input_dropout), nn.Linear(n_inputs, hidden), nn.SiLU(), nn.Dropout(dropout)
        )
        self.hops = nn.ModuleList(AttentionLayer(hidden, heads, dropout) for _ in range(2))
        self.read = nn.Sequential(nn.LayerNorm(hidden), nn.Linear(hidden, n_outputs))

    def forward(self, X: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
        """Predict.

        Parameters
        ----------
        X
            Inputs, shape (n, d).
        edges
            As :func:`edges_of` lists them.

        Returns
        -------
        Shape (n, K).
        """
        H = self.project(X)
        for hop in self.hops:
            H = hop(H, edges)
        found: torch.Tensor = self.read(H)
        return found
