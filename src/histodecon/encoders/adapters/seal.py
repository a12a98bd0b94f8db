"""Embeddings drawn toward the spatially smoothed expression of their spots."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from histodecon.encoders._adapters import AdapterCard, AdapterData
from histodecon.encoders._residual import TRAINING, ResidualAdapter

if TYPE_CHECKING:
    import torch


class SealAdapter(ResidualAdapter):
    """A residual adapter against a gene encoder: spot and embedding find each other, and both give the expression back."""

    def objective(self, data: AdapterData, rng: np.random.Generator, device: torch.device) -> torch.nn.Module:
        """Prepare the gene encoder and its loss; see :class:`histodecon.encoders._residual.ResidualAdapter`."""
        import torch
        from torch import nn
        from torch.nn import functional as F

        p = self.params
        width, n_genes = data.X.shape[1], data.expression.shape[1]
        expression = torch.as_tensor(data.expression, device=device)

        class Objective(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.encode = nn.Sequential(nn.Linear(n_genes, p["hidden"]), nn.ReLU(), nn.Linear(p["hidden"], width))
                self.decode = nn.Linear(width, n_genes)

            def forward(self, rows: torch.Tensor, moved: torch.Tensor) -> torch.Tensor:
                truth = expression[rows]
                latent = self.encode(truth)
                logits = F.normalize(moved, dim=1) @ F.normalize(latent, dim=1).T / p["temperature"]
                own = torch.arange(len(rows), device=logits.device)
                contrast = 0.5 * (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own))
                of_genes = F.mse_loss(self.decode(latent), truth)
                of_images = F.mse_loss(self.decode(moved), truth)
                return p["contrast"] * contrast + p["genes"] * of_genes + p["images"] * of_images

        return Objective()


CARD = AdapterCard(
    name="seal",
    summary="Residual bottleneck trained against spatially smoothed genes: contrast and reconstructions.",
    cls=SealAdapter,
    defaults={**TRAINING, "contrast": 0.3, "genes": 1.0, "images": 1.0},
    citation=(
        "Hemker, Song, Almagro-Perez et al. 2026, Towards Spatial Transcriptomics-driven Pathology Foundation Models, "
        "arXiv:2602.14177"
    ),
)
