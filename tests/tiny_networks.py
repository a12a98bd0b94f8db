"""One small network for each loader, with random weights in a file as their authors would publish it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file

from histodecon.encoders import EncoderCard
from histodecon.encoders._network import build_network

PX, DIM = 32, 24
LOADERS = ("timm", "torch", "transformers")
_TIMM = {"img_size": PX, "patch_size": 16, "depth": 2, "embed_dim": DIM, "num_heads": 3, "init_values": 1.0}
_DINO = {"image_size": PX, "patch_size": 16, "hidden_size": DIM, "num_hidden_layers": 2, "num_attention_heads": 3}
_MODELS = {
    "timm": {"model": "vit_tiny_patch16_224", "model_kwargs": _TIMM, "dropped": ("head.",)},
    "torch": {
        "model": "tiny_networks:Tower",
        "model_kwargs": {"width": DIM},
        "prefix": "visual.",
        "dropped": ("head.",),
    },
    "transformers": {"model": "Dinov2Model", "model_kwargs": _DINO, "pooling": "token"},
}


class Tower(torch.nn.Module):
    """A network that is nobody's: patches, one hidden layer, their mean."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.patches = torch.nn.Conv2d(3, width, 8, stride=8)
        self.norm = torch.nn.LayerNorm(width)
        self.hidden = torch.nn.Linear(width, width)

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        tokens = self.patches(batch).flatten(2).transpose(1, 2)
        return (tokens + torch.nn.functional.gelu(self.hidden(self.norm(tokens)))).mean(dim=1)


class Loud(torch.nn.Module):
    """Tiles that are bright overflow in float16."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = torch.nn.Parameter(torch.tensor(3e4))

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return torch.stack([batch.mean(dim=(1, 2, 3)) * self.gain * 8, batch.amax(dim=(1, 2, 3))], dim=1) / 8


def tiny_card(loader: str, folder: Path, **changes) -> EncoderCard:
    """Describe a small network, and write its weights."""
    card = EncoderCard(
        name=f"tiny_{loader}",
        loader=loader,
        dim=DIM,
        input_px=PX,
        mean=(0.5, 0.4, 0.3),
        std=(0.2, 0.3, 0.25),
        weights_file=str(folder / f"{loader}.safetensors"),
        safe_dtypes=("bfloat16", "float16"),
        **_MODELS[loader],
    )
    network = build_network(card)
    state = {f"{card.prefix}{key}": value for key, value in getattr(network, "inner", network).state_dict().items()}
    generator = torch.Generator().manual_seed(0)
    for key, value in state.items():
        noise = torch.empty(value.shape).normal_(generator=generator)
        scales = value.ndim == 1 and not key.endswith("bias")
        state[key] = 1.0 * scales + noise * (0.2 if value.ndim == 1 else value[0].numel() ** -0.5)
    if card.dropped:
        state[f"{card.prefix}head.weight"] = torch.zeros(5, DIM)
    if card.prefix:
        state["text.embedding"] = torch.zeros(7, DIM)
    save_file(state, card.weights_file)
    return replace(card, **changes)
