"""CONCH v1.5's image tower: a vision transformer trained on 224 px that reads 448 px, and one query with heads of its own."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from histodecon._core import import_timm

WIDTH = 768
HEADS = 8
EXCESS = 0.1


class QueryPooler(torch.nn.Module):
    """One learned query that attends to the tokens; none of its linear maps has a bias.

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
        self.ln_k = torch.nn.LayerNorm(token_width)
        self.ln_q = torch.nn.LayerNorm(width)
        self.to_q = torch.nn.Linear(width, width, bias=False)
        self.to_kv = torch.nn.Linear(token_width, 2 * width, bias=False)
        self.to_out = torch.nn.Linear(width, width, bias=False)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Pool tokens of shape (n, n_tokens, token_width) to (n, width)."""
        n = len(tokens)
        query = self.to_q(self.ln_q(self.query)).view(1, 1, HEADS, -1).expand(n, -1, -1, -1)
        keys, values = self.to_kv(self.ln_k(tokens)).view(n, tokens.shape[1], 2, HEADS, -1).unbind(2)
        query, keys, values = (part.transpose(1, 2) for part in (query, keys, values))
        answer = F.scaled_dot_product_attention(query, keys, values)
        pooled: torch.Tensor = self.to_out(answer.transpose(1, 2).reshape(n, -1))
        return pooled


class ConchV15Tower(torch.nn.Module):
    """The image tower, with parameters named as in CONCH v1.5's file.

    Parameters
    ----------
    trunk
        The vision transformer.
    """

    def __init__(self, trunk: torch.nn.Module) -> None:
        super().__init__()
        self.trunk = trunk
        self.attn_pool_contrast = QueryPooler(int(trunk.num_features))  # type: ignore[arg-type] # a number
        self.ln_contrast = torch.nn.LayerNorm(WIDTH)

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        """Encode normalized tiles of shape (n, 3, side, side)."""
        pooled: torch.Tensor = self.ln_contrast(self.attn_pool_contrast(self._tokens(batch)))
        return pooled

    def _tokens(self, batch: torch.Tensor) -> torch.Tensor:
        trunk: torch.nn.Module = self.trunk
        patches: torch.Tensor = trunk.patch_embed.proj(batch)  # type: ignore[union-attr,operator] # a convolution
        positions = resample_positions(trunk.pos_embed, patches.shape[-1])  # type: ignore[arg-type] # a parameter
        first = trunk.cls_token.expand(len(batch), -1, -1)  # type: ignore[operator] # a parameter
        tokens = torch.cat([first, patches.flatten(2).transpose(1, 2)], dim=1) + positions
        answer: torch.Tensor = trunk.norm(trunk.blocks(tokens))  # type: ignore[operator] # modules
        return answer


def resample_positions(positions: torch.Tensor, side: int) -> torch.Tensor:
    """Resample positions to the grid of other tiles, as DINO does: 0.1 of a patch is added to the side before it is scaled.

    Parameters
    ----------
    positions
        Shape (1, 1 + grid * grid, width), that of the class token first.
    side
        Patches along a side of the tiles.

    Returns
    -------
    Shape (1, 1 + side * side, width).
    """
    grid = round((positions.shape[1] - 1) ** 0.5)
    if side == grid:
        return positions
    square = positions[:, 1:].float().unflatten(1, (grid, grid)).permute(0, 3, 1, 2)
    scale = (side + EXCESS) / grid
    square = F.interpolate(square, scale_factor=(scale, scale), mode="bicubic")
    return torch.cat([positions[:, :1], square.flatten(2).transpose(1, 2).to(positions.dtype)], dim=1)


def build_conch_v1_5(*, depth: int = 24) -> ConchV15Tower:
    """Build CONCH v1.5's image tower, without weights.

    Parameters
    ----------
    depth
        Number of blocks of the vision transformer; the published weights have 24.

    Returns
    -------
    The network, from normalized tiles (n, 3, 448, 448) to (n, 768).

    Notes
    -----
    The positions of the published weights are those of 14 x 14 patches. The authors' own code resamples them to 28 x 28 at
    every call, in the way of DINO; timm's way would give other embeddings.
    """
    trunk = import_timm().create_model("vit_large_patch16_224", num_classes=0, init_values=1.0, depth=depth)
    return ConchV15Tower(trunk)
