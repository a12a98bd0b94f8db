"""Readouts of several encoders, weighed by a gate."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

PACE = 10.0
"""How much faster the preferences of cell types move than other weights: few epochs must do."""


class FusionNetwork(nn.Module):
    """Compress each encoder, read all cell types out of each, and weigh.

    Parameters
    ----------
    blocks
        Width of each encoder.
    n_outputs
        Cell types.
    hidden
        Width that every encoder is compressed to.
    dropout, input_dropout
        Share of hidden units and of inputs left out in a training step.
    """

    def __init__(
        self, blocks: Sequence[int], n_outputs: int, *, hidden: int, dropout: float, input_dropout: float
    ) -> None:
        super().__init__()
        self.blocks = tuple(blocks)
        self.input_dropout, self.dropout = nn.Dropout(input_dropout), nn.Dropout(dropout)
        self.compress = nn.ModuleList(nn.Linear(width, hidden) for width in self.blocks)
        self.norm = nn.ModuleList(nn.LayerNorm(hidden) for _ in self.blocks)
        self.deepen = nn.ModuleList(nn.Linear(hidden, hidden) for _ in self.blocks)
        self.read = nn.ModuleList(nn.Linear(hidden, n_outputs) for _ in self.blocks)
        self.of_spot = nn.Linear(hidden * len(self.blocks), len(self.blocks))
        self.preference = nn.Parameter(torch.zeros(n_outputs, len(self.blocks)))
        nn.init.zeros_(self.of_spot.weight)
        nn.init.zeros_(self.of_spot.bias)

    def forward(self, X: torch.Tensor) -> torch.Tensor:
        """Predict.

        Parameters
        ----------
        X
            Inputs, shape (rows, d).

        Returns
        -------
        Shape (rows, K).
        """
        weights, answers = self.answers(X)
        return (weights * answers).sum(dim=-1)

    def answers(self, X: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Let each encoder answer alone.

        Parameters
        ----------
        X
            Inputs, shape (rows, d).

        Returns
        -------
        How much each counts, and what each says, both of shape (rows, K, encoders).
        """
        compressed = self._compressed(X)
        deep = [
            self.dropout(nn.functional.silu(layer(part))) + part
            for layer, part in zip(self.deepen, compressed, strict=True)
        ]
        said = torch.stack([layer(part) for layer, part in zip(self.read, deep, strict=True)], dim=-1)
        return self._weights(compressed), said

    def gate(self, X: torch.Tensor) -> torch.Tensor:
        """Tell how much each encoder counts.

        Parameters
        ----------
        X
            Inputs, shape (rows, d).

        Returns
        -------
        Shape (rows, K, encoders), summing to 1 over the encoders.
        """
        return self._weights(self._compressed(X))

    def _compressed(self, X: torch.Tensor) -> list[torch.Tensor]:
        parts = torch.split(X, list(self.blocks), dim=1)
        layers = zip(self.compress, self.norm, parts, strict=True)
        return [self.dropout(nn.functional.silu(norm(layer(self.input_dropout(part))))) for layer, norm, part in layers]

    def _weights(self, compressed: list[torch.Tensor]) -> torch.Tensor:
        of_spot = self.of_spot(torch.cat(compressed, dim=1))
        return torch.softmax(PACE * self.preference + of_spot[:, None, :], dim=-1)
