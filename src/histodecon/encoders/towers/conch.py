"""CONCH's image tower: a vision transformer, one query that attends to all of its tokens, and a projection if asked."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from histodecon._core import import_timm

WIDTH = 512
HEADS = 8


class QueryPooler(torch.nn.Module):
    """One learned query that attends to the tokens.

    Parameters
    ----------
    token_width
        Width of the tokens.
    width
        Width of the query and of the answer.
    """

    def __init__(self, token_width: int, width: int = WIDTH) -> None:
        super().__init__()
        self.query = torch.nn.Parameter(torch.zeros(1, width))
        self.ln_q = torch.nn.LayerNorm(width)
        self.ln_k = torch.nn.LayerNorm(token_width)
        self.attn = torch.nn.MultiheadAttention(width, HEADS, kdim=token_width, vdim=token_width, batch_first=True)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Pool tokens of shape (n, n_tokens, token_width) to (n, width)."""
        keys = self.ln_k(tokens)
        query = self.ln_q(self.query).expand(len(tokens), -1, -1)
        answer: torch.Tensor = self.attn(query, keys, keys, need_weights=False)[0]
        return answer[:, 0]


class ConchTower(torch.nn.Module):
    """The image tower, with parameters named as in CONCH's file after ``visual.``.

    Parameters
    ----------
    trunk
        The vision transformer.
    projection
        Whether to project into the space shared with text.
    normalize
        Whether to scale rows to length 1.
    """

    def __init__(self, trunk: torch.nn.Module, *, projection: bool, normalize: bool) -> None:
        super().__init__()
        self.trunk = trunk
        self.attn_pool_contrast = QueryPooler(int(trunk.num_features))  # type: ignore[arg-type] # a number
        self.ln_contrast = torch.nn.LayerNorm(WIDTH)
        self.proj_contrast = torch.nn.Parameter(torch.zeros(WIDTH, WIDTH))
        self.projection = projection
        self.normalize = normalize

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        """Encode normalized tiles of shape (n, 3, side, side)."""
        tokens = self.trunk.forward_features(batch)  # type: ignore[operator] # a method of timm's models
        pooled: torch.Tensor = self.ln_contrast(self.attn_pool_contrast(tokens))
        if self.projection:
            pooled = pooled @ self.proj_contrast
        return F.normalize(pooled, dim=-1) if self.normalize else pooled


def build_conch(*, projection: bool = False, normalize: bool = False, depth: int = 12) -> ConchTower:
    """Build CONCH's image tower, without weights.

    Parameters
    ----------
    projection
        Whether to project into the space shared with text, as for retrieval. Its matrix is loaded in any case.
    normalize
        Whether to scale rows to length 1.
    depth
        Number of blocks of the vision transformer; the published weights have 12.

    Returns
    -------
    The network, from normalized tiles (n, 3, 448, 448) to (n, 512).
    """
    trunk = import_timm().create_model(
        "vit_base_patch16_224", img_size=448, num_classes=0, dynamic_img_size=True, depth=depth
    )
    return ConchTower(trunk, projection=projection, normalize=normalize)
