"""Phikon-v2 of Owkin."""

from __future__ import annotations

from histodecon.encoders._card import EncoderCard
from histodecon.encoders._normalization import IMAGENET

CARD = EncoderCard(
    name="phikon_v2",
    loader="transformers",
    model="Dinov2Model",
    dim=1024,
    mean=IMAGENET.mean,
    std=IMAGENET.std,
    interpolation="bicubic",
    pooling="token",
    model_kwargs={
        "image_size": 224,
        "patch_size": 16,
        "hidden_size": 1024,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
    },
    tile_px=224,
    mpp=0.5,
    repo="owkin/phikon-v2",
    revision="2ae989a9c40cffaa27f0a6cb29cc94d1d6f9a5fd",
    weights_file="model.safetensors",
    weights_sha256="261ae680fa699b3b951597fd57aa19c02ef735805acb104b93af69b36d928569",
    license="Owkin-non-commercial",
    citation=(
        "Filiot, Jacob, Mac Kain, Saillard 2024, Phikon-v2, a large and public feature extractor for biomarker prediction, "
        "arXiv:2409.09173"
    ),
    summary="ViT-L/16 trained with DINOv2 on 460 million tiles of public slides; not gated.",
)
