"""Embeddings drawn toward genes from which the patient was taken out, within patients and across them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from histodecon.encoders._adapters import AdapterCard, AdapterData
from histodecon.encoders._gene_vae import gene_latent
from histodecon.encoders._residual import TRAINING, ResidualAdapter

if TYPE_CHECKING:
    import torch


class BatchFreeAdapter(ResidualAdapter):
    """A residual adapter against the latent of a gene encoder that was trained with the patient as its batch."""

    def prepare(self, data: AdapterData, rng: np.random.Generator, device: torch.device) -> AdapterData:
        """Train the gene encoder, once; see :class:`histodecon.encoders._residual.ResidualAdapter`."""
        latent = gene_latent(
            data.counts,
            data.groups,
            n_latent=self.params["n_latent"],
            max_epochs=self.params["gene_epochs"],
            random_state=int(rng.integers(2**31)),
            device=device,
        )
        return replace(data, latent=latent)

    def objective(self, data: AdapterData, rng: np.random.Generator, device: torch.device) -> torch.nn.Module:
        """Prepare the contrast; see :class:`histodecon.encoders._residual.ResidualAdapter`."""
        import torch
        from torch import nn
        from torch.nn import functional as F

        p, width = self.params, data.X.shape[1]
        genes = torch.as_tensor(data.latent, device=device)
        groups = torch.as_tensor(data.groups, device=device)

        class Objective(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.lift = nn.Sequential(
                    nn.Linear(p["n_latent"], p["hidden"]), nn.ReLU(), nn.Linear(p["hidden"], width)
                )

            def forward(self, rows: torch.Tensor, moved: torch.Tensor) -> torch.Tensor:
                fixed = F.normalize(genes[rows], dim=1)
                logits = F.normalize(moved, dim=1) @ F.normalize(self.lift(genes[rows]), dim=1).T / p["temperature"]
                same = groups[rows][:, None] == groups[rows][None]
                alike = fixed @ fixed.T / p["temperature"]
                return p["within"] * _within(logits, same) + p["across"] * _across(logits, alike, same)

        return Objective()


def _within(logits: torch.Tensor, same: torch.Tensor) -> torch.Tensor:
    """Symmetric contrast among the spots of one patient: its own genes are the right answer."""
    import torch
    from torch.nn import functional as F

    masked = logits.masked_fill(~same, -torch.inf)
    own = torch.arange(len(logits), device=logits.device)
    return 0.5 * (F.cross_entropy(masked, own) + F.cross_entropy(masked.T, own))


def _across(logits: torch.Tensor, alike: torch.Tensor, same: torch.Tensor) -> torch.Tensor:
    """Contrast among the spots of other patients: those whose genes are alike are the right answers, as far as they are."""
    import torch

    others = ~same
    known = others.any(dim=1)
    if not known.any():
        return logits.sum() * 0.0
    floor = torch.finfo(logits.dtype).min
    right = torch.softmax(alike.masked_fill(~others, floor), dim=1)[known]
    found = [torch.log_softmax(one.masked_fill(~others, floor), dim=1)[known] for one in (logits, logits.T)]
    return (
        sum((-(right * torch.where(right > 0, one, 0.0)).sum(dim=1).mean() for one in found), logits.new_zeros(())) / 2
    )


CARD = AdapterCard(
    name="batch_free",
    summary="Residual bottleneck trained against genes freed of the patient by scVI: contrast within and across patients.",
    cls=BatchFreeAdapter,
    defaults={**TRAINING, "within": 1.0, "across": 1.0, "n_latent": 10, "gene_epochs": 100},
    citation=(
        "Nishimura, Bise, Kojima 2025, Towards Spatial Transcriptomics-guided Pathological Image Recognition with "
        "Batch-Agnostic Encoder, ISBI, arXiv:2503.07173; gene encoder: Lopez et al. 2018, Nat. Methods 15:1053-1058"
    ),
)
