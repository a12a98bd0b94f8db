"""From an image to a mixture of cell types, and from the mixture to expression."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

SMALLEST = 1e-4
"""Least expression of a prototype, in units of the mean over genes: logarithms stay finite."""
ABSENT = 1e-4
"""Counts below which it does not matter how much less of a gene is found than expected."""
WIDEST = 3.0
"""Widest log factor of a gene at first."""


class PrototypeNetwork(nn.Module):
    """Mixture of prototypes.

    Parameters
    ----------
    n_inputs
        Columns of the embedding.
    n_types
        Cell types.
    n_genes
        Genes.
    link
        ``"softmax"``: proportions; ``"softplus"``: abundances.
    hidden
        Width of the two hidden layers.
    dropout, input_dropout
        Share of hidden units and of inputs left out in a training step.
    """

    first_prototypes: torch.Tensor
    first: torch.Tensor
    total: torch.Tensor

    def __init__(
        self,
        n_inputs: int,
        n_types: int,
        n_genes: int,
        *,
        link: str,
        hidden: int,
        dropout: float,
        input_dropout: float,
    ) -> None:
        super().__init__()
        self.link = link
        layers: list[nn.Module] = [nn.Dropout(input_dropout)]
        for width in (n_inputs, hidden):
            layers += [nn.Linear(width, hidden), nn.SiLU(), nn.Dropout(dropout)]
        self.encode = nn.Sequential(*layers, nn.Linear(hidden, n_types))
        self.log_prototypes = nn.Parameter(torch.zeros(n_types, n_genes))
        self.log_scale = nn.Parameter(torch.zeros(n_genes))
        self.log_inverse_dispersion = nn.Parameter(torch.zeros(n_genes))
        self.background = nn.Parameter(torch.full((n_genes,), -6.0))
        self.register_buffer("first_prototypes", torch.zeros(n_types, n_genes))
        self.register_buffer("first", torch.zeros(n_types))
        self.register_buffer("total", torch.ones(1))

    def begin(
        self, signatures: NDArray[np.float64], log_mean: NDArray[np.float64], pooled: NDArray[np.float64]
    ) -> None:
        """Begin with what is known.

        Parameters
        ----------
        signatures
            Mean counts of one cell of each type, shape (K, genes).
        log_mean
            Logarithm of what is predicted everywhere at first, shape (K,).
        pooled
            Mean counts of a spot, shape (genes,).
        """
        floor = SMALLEST * signatures.mean(axis=1, keepdims=True) + 1e-12
        known = torch.as_tensor(np.log(np.maximum(signatures, floor)), dtype=torch.float32)
        with torch.no_grad():
            self.first_prototypes.copy_(known)
            self.log_prototypes.copy_(known)
            self.first.copy_(torch.as_tensor(log_mean, dtype=torch.float32))
            last = self.encode[-1]
            last.weight.mul_(0.1)  # type: ignore[operator]
            last.bias.zero_()  # type: ignore[operator]
            expected = np.exp(log_mean) @ np.exp(known.numpy())
            seen, floor = pooled, ABSENT
            if self.link == "softmax":  # proportions know no depth
                seen, expected, floor = pooled / max(pooled.sum(), 1e-12), expected / expected.sum(), 1e-8
            scale = torch.as_tensor(np.log((seen + floor) / (expected + floor)), dtype=torch.float32)
            self.log_scale.copy_(scale.clamp(-WIDEST, WIDEST))
            background = np.log(np.expm1(np.maximum(0.02 * pooled, 1e-4)))
            self.background.copy_(torch.as_tensor(background, dtype=torch.float32))

    def set_total(self, total: float) -> None:
        """Set the sum of counts that expression is told for.

        Parameters
        ----------
        total
            Sum of the expected counts of a row.
        """
        self.total.fill_(total)

    def forward(self, X: torch.Tensor) -> torch.Tensor:
        """Predict the mixture.

        Parameters
        ----------
        X
            Inputs, shape (rows, d).

        Returns
        -------
        Shape (rows, K): proportions, or abundances.
        """
        z = self.encode(X)
        if self.link == "softmax":
            return torch.softmax(z + self.first, dim=1)
        return self.first.exp() * nn.functional.softplus(z + _UNIT)

    def mixture(self, X: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Predict the mixture, and what it expresses.

        Parameters
        ----------
        X
            Inputs, shape (rows, d).

        Returns
        -------
        Shapes (rows, K) and (rows, genes).
        """
        mixed = self.forward(X)
        expected = (mixed @ self.log_prototypes.exp()) * self.log_scale.exp()
        if self.link == "softplus":
            expected = expected + nn.functional.softplus(self.background)
        return mixed, expected

    def expression(self, X: torch.Tensor) -> torch.Tensor:
        """Predict expected counts; those of proportions sum to the total that was set.

        Parameters
        ----------
        X
            Inputs, shape (rows, d).

        Returns
        -------
        Shape (rows, genes).
        """
        expected = self.mixture(X)[1]
        if self.link == "softmax":
            expected = expected / expected.sum(dim=1, keepdim=True).clamp_min(1e-12) * self.total
        return expected


_UNIT = math.log(math.expm1(1.0))
"""Where softplus is 1."""
