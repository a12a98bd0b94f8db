"""The network that types a nucleus, and the loss of the sum over a spot."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

LEAST = 1e-6
"""Sums are kept above this, so that their logarithm is finite."""


def build_nucleus_network(
    n_inputs: int, n_outputs: int, *, hidden: int, dropout: float, input_dropout: float
) -> torch.nn.Module:
    """Build a network from the embedding of a nucleus to how much of each cell type it is.

    Parameters
    ----------
    n_inputs
        Columns of the embedding.
    n_outputs
        Cell types.
    hidden
        Width of the hidden layer.
    dropout, input_dropout
        Shares of hidden units and of inputs that are left out in training.

    Returns
    -------
    Module from (rows, d) to (rows, K), not negative: softplus, times a unit for each type.
    """
    import torch
    from torch import nn

    class NucleusNetwork(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.drop_inputs, self.drop = nn.Dropout(input_dropout), nn.Dropout(dropout)
            self.hidden, self.readout = nn.Linear(n_inputs, hidden), nn.Linear(hidden, n_outputs)
            self.register_buffer("unit", torch.ones(n_outputs))

        def forward(self, X: torch.Tensor) -> torch.Tensor:
            inside = nn.functional.silu(self.hidden(self.drop_inputs(X)))
            return nn.functional.softplus(self.readout(self.drop(inside))) * self.get_buffer("unit")

    return NucleusNetwork()


def members(first: torch.Tensor, size: torch.Tensor, bags: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """List the rows of some bags.

    Parameters
    ----------
    first, size
        Where each bag begins, and how many rows it has, shape (B,).
    bags
        Which bags, shape (b,).

    Returns
    -------
    The rows, bag by bag, and the place of each one's bag in ``bags``, shape (m,).
    """
    import torch

    sizes = size[bags]
    place = torch.repeat_interleave(torch.arange(len(bags), device=bags.device), sizes)
    before = torch.cumsum(sizes, 0) - sizes
    within = torch.arange(len(place), device=bags.device) - before[place]
    return first[bags][place] + within, place


def sum_loss(predicted: torch.Tensor, place: torch.Tensor, targets: torch.Tensor, usual: torch.Tensor) -> torch.Tensor:
    """Poisson deviance of the sums over bags.

    Parameters
    ----------
    predicted
        Of the rows, shape (m, K), not negative.
    place
        Bag of each row, 0 to b - 1, shape (m,).
    targets
        Of the bags, shape (b, K), not negative.
    usual
        Usual target of a bag, summed over the types: losses are in its unit.

    Returns
    -------
    A scalar, mean over the bags; 0 where all sums are met.
    """
    import torch

    sums = torch.zeros_like(targets).index_add(0, place, predicted).clamp_min(LEAST * usual)
    entropy = torch.xlogy(targets, targets)  # of the targets alone: no gradient through 0 / 0
    deviance = entropy - targets * sums.log() - targets + sums
    return 2 * deviance.sum(dim=1).mean() / usual
