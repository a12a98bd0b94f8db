"""Hibou-B and Hibou-L of HistAI, without their code."""

from __future__ import annotations

from typing import Any

from histodecon.encoders._card import EncoderCard
from histodecon.encoders._normalization import HIBOU


def _card(size: str, dim: int, depth: int, *, repo: str, tiles: str, **known: Any) -> EncoderCard:
    return EncoderCard(
        name=f"hibou_{size.lower()}",
        loader="transformers",
        model="Dinov2WithRegistersModel",
        dim=dim,
        mean=HIBOU.mean,
        std=HIBOU.std,
        interpolation="bicubic",
        pooling="token",
        model_kwargs={
            "image_size": 224,
            "patch_size": 14,
            "hidden_size": dim,
            "num_hidden_layers": depth,
            "num_attention_heads": dim // 64,
            "num_register_tokens": 4,
            "use_swiglu_ffn": True,
        },
        tile_px=224,
        mpp=0.5,  # its authors do not say; it is mostly fed so
        repo=repo,
        weights_file="model.safetensors",
        gated=True,
        access_url=f"https://huggingface.co/{repo}",
        license="Apache-2.0",
        commercial=True,
        citation=(
            "Nechaev, Pchelnikov, Ivanova 2024, Hibou: a family of foundational vision transformers for pathology, "
            "arXiv:2406.05074"
        ),
        summary=f"ViT-{size}/14 with 4 registers, trained with DINOv2 on {tiles} tiles of 1.1 million slides.",
        **known,
    )


CARDS = (
    _card(
        "B",
        768,
        12,
        repo="histai/hibou-b",
        tiles="512 million",
        revision="7fdc8cce365ebfd9e7e60ee6ee9a8d4d59388f3c",
        weights_sha256="2121db3cac83bc9abf13a458a37b0740e2ce725609ff8d4b8e6b6c56c30c3ab6",
    ),
    _card(
        "L",
        1024,
        24,
        repo="histai/hibou-L",
        tiles="1.2 billion",
        revision="31a3b9fee16554c8552cb643d311733bce8faf7c",
        weights_sha256="a63d1699448143ceccf2b7e1c4bf35b995c51f86ef8a6efb471af2eee210b79c",
    ),
)
