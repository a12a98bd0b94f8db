"""A vision transformer written down plainly, from a table of tensors: what published encoders compute, without timm."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F

EPS = 1e-6


@dataclass(frozen=True)
class Published:
    """Layout of a published weight file, in the words of its paper or page."""

    dim: int
    depth: int
    heads: int
    patch: int
    hidden: int  # width of the first layer of the perceptron, both halves of a gated one
    grid: int  # positions along a side
    gated: bool = False
    scaled: bool = True  # each block has two vectors of layer scales
    registers: int = 0
    patches_only: bool = False  # class token and registers have no position

    def cut(self, depth: int) -> Published:
        """The first blocks."""
        return replace(self, depth=depth)

    def layout(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the tensors of the file."""
        dim, hidden = self.dim, self.hidden
        positions = self.grid**2 + (0 if self.patches_only else 1 + self.registers)
        shapes: dict[str, tuple[int, ...]] = {"cls_token": (1, 1, dim), "pos_embed": (1, positions, dim)}
        if self.registers:
            shapes["reg_token"] = (1, self.registers, dim)
        shapes |= {"patch_embed.proj.weight": (dim, 3, self.patch, self.patch), "patch_embed.proj.bias": (dim,)}
        for i in range(self.depth):
            block = {
                "norm1.weight": (dim,),
                "norm1.bias": (dim,),
                "attn.qkv.weight": (3 * dim, dim),
                "attn.qkv.bias": (3 * dim,),
                "attn.proj.weight": (dim, dim),
                "attn.proj.bias": (dim,),
                "norm2.weight": (dim,),
                "norm2.bias": (dim,),
                "mlp.fc1.weight": (hidden, dim),
                "mlp.fc1.bias": (hidden,),
                "mlp.fc2.weight": (dim, hidden // 2 if self.gated else hidden),
                "mlp.fc2.bias": (dim,),
            }
            if self.scaled:
                block |= {"ls1.gamma": (dim,), "ls2.gamma": (dim,)}
            shapes |= {f"blocks.{i}.{name}": shape for name, shape in block.items()}
        return shapes | {"norm.weight": (dim,), "norm.bias": (dim,)}

    def draw(self, seed: int = 0) -> dict[str, torch.Tensor]:
        """Draw random tensors; none is zero or one everywhere, so that every one of them matters."""
        generator = torch.Generator().manual_seed(seed)
        state = {}
        for name, shape in self.layout().items():
            value = torch.empty(shape).normal_(generator=generator)
            if name.endswith(("gamma", "norm.weight", "norm1.weight", "norm2.weight")):
                state[name] = 1 + 0.2 * value
            else:
                state[name] = value * (1 / math.sqrt(shape[-1]) if len(shape) == 2 else 0.05)
        return state

    def tokens(self, state: dict[str, torch.Tensor], images: torch.Tensor) -> torch.Tensor:
        """Class token, registers and patches after the last norm, for normalized images."""

        def norm(x, name):
            return F.layer_norm(x, (self.dim,), state[f"{name}.weight"], state[f"{name}.bias"], EPS)

        def linear(x, name):
            return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]

        patches = F.conv2d(images, state["patch_embed.proj.weight"], state["patch_embed.proj.bias"], self.patch)
        positions = self._positions(state["pos_embed"], patches.shape[-1])
        x = patches.flatten(2).transpose(1, 2)
        first = [state["cls_token"], *([state["reg_token"]] if self.registers else [])]
        prefix = torch.cat([token.expand(len(x), -1, -1) for token in first], dim=1)
        x = torch.cat([prefix, x + positions], dim=1) if self.patches_only else torch.cat([prefix, x], 1) + positions
        for i in range(self.depth):
            block = f"blocks.{i}"
            n, length, _ = x.shape
            qkv = linear(norm(x, f"{block}.norm1"), f"{block}.attn.qkv").reshape(n, length, 3, self.heads, -1)
            q, k, v = qkv.permute(2, 0, 3, 1, 4)
            weights = torch.softmax(q @ k.transpose(2, 3) / math.sqrt(self.dim // self.heads), dim=-1)
            attended = linear((weights @ v).transpose(1, 2).reshape(n, length, self.dim), f"{block}.attn.proj")
            x = x + attended * state.get(f"{block}.ls1.gamma", 1)
            y = linear(norm(x, f"{block}.norm2"), f"{block}.mlp.fc1")
            if self.gated:
                gate, value = y.chunk(2, dim=-1)
                y = gate * torch.sigmoid(gate) * value
            else:
                y = y * (1 + torch.erf(y / math.sqrt(2))) / 2
            x = x + linear(y, f"{block}.mlp.fc2") * state.get(f"{block}.ls2.gamma", 1)
        return norm(x, "norm")

    def _positions(self, positions: torch.Tensor, side: int) -> torch.Tensor:
        """Resample positions to the grid of smaller tiles, as DINOv2 does."""
        if side == self.grid:
            return positions
        prefix = 0 if self.patches_only else 1 + self.registers
        grid = positions[:, prefix:].reshape(1, self.grid, self.grid, self.dim).permute(0, 3, 1, 2)
        grid = F.interpolate(grid, size=(side, side), mode="bicubic", antialias=True)
        return torch.cat([positions[:, :prefix], grid.permute(0, 2, 3, 1).reshape(1, side * side, self.dim)], dim=1)


def safetensors_bytes(layout: dict[str, tuple[int, ...]]) -> int:
    """Size of a safetensors file of float32 tensors, which tells their names and shapes apart to the letter."""
    header, end = {}, 0
    for name in sorted(layout):
        begin, end = end, end + 4 * math.prod(layout[name])
        header[name] = {"dtype": "F32", "shape": list(layout[name]), "data_offsets": [begin, end]}
    text = len(json.dumps(header, separators=(",", ":")))
    return 8 + math.ceil(text / 8) * 8 + end
