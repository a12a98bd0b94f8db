"""Embeddings shown as if another patient's slide had been stained and scanned."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from histodecon.encoders._adapters import AdapterData

STYLE_REACH = 1.25
NARROWEST = 0.05


class Restyle:
    """Show embeddings as if other patients' slides had been stained and scanned: with their mean and spread, or in between.

    Parameters
    ----------
    data
        Embeddings and groups.
    share
        Share of rows that are shown so.
    device
        Where torch computes.
    """

    def __init__(self, data: AdapterData, share: float, device: torch.device) -> None:
        import torch

        self.groups, self.n = data.groups, int(data.groups.max()) + 1
        self.share = share if self.n > 1 else 0.0
        parts = [data.X[data.groups == group] for group in range(self.n)]
        self.mean = torch.as_tensor(np.stack([part.mean(axis=0) for part in parts]), device=device)
        spread = np.stack([np.log(np.maximum(part.std(axis=0), NARROWEST)) for part in parts])
        self.spread = torch.as_tensor(spread, device=device)

    def __call__(self, X: torch.Tensor, rows: NDArray[np.intp], rng: np.random.Generator) -> torch.Tensor:
        """Restyle some rows of a batch.

        Parameters
        ----------
        X
            The batch, shape (m, d).
        rows
            Which rows of the data they are, shape (m,).
        rng
            Source of randomness.

        Returns
        -------
        Shape (m, d).
        """
        import torch

        if not self.share:
            return X
        own = self.groups[rows]
        other = (own + rng.integers(1, self.n, len(rows))) % self.n
        weight = rng.uniform(0, STYLE_REACH, (len(rows), 1)) * (rng.random((len(rows), 1)) < self.share)
        toward = torch.as_tensor(weight.astype(np.float32), device=X.device)
        here, there = torch.as_tensor(own, device=X.device), torch.as_tensor(other, device=X.device)
        stretch = torch.exp(toward * (self.spread[there] - self.spread[here]))
        center = self.mean[here]
        return (X - center) * stretch + center + toward * (self.mean[there] - center)
