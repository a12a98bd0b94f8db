"""Midnight-12k of kaiko.ai."""

from __future__ import annotations

from histodecon.encoders._card import EncoderCard
from histodecon.encoders._normalization import HALF

CARD = EncoderCard(
    name="midnight",
    loader="transformers",
    model="Dinov2Model",
    dim=3072,
    mean=HALF.mean,
    std=HALF.std,
    interpolation="bilinear",
    pooling="token_mean",
    model_kwargs={
        "image_size": 518,  # of its positions, which are resampled to those of the tiles
        "patch_size": 14,
        "hidden_size": 1536,
        "num_hidden_layers": 40,
        "num_attention_heads": 24,
        "use_swiglu_ffn": True,
    },
    tile_px=224,
    mpp=0.5,  # one of several; it is mostly fed so
    safe_dtypes=("float16", "bfloat16"),
    repo="kaiko-ai/midnight",
    revision="adc6b15679c981cce6f9b018bbad09d16eeeda9f",
    weights_file="model.safetensors",
    weights_sha256="52c14f20386ca17c2af8a7bf32c31c352668a8fbf6aefc88d86be6eaa0c72ca1",
    license="MIT",
    commercial=True,
    citation=(
        "Karasikov, van Doorn, Känzig et al. 2025, Training state-of-the-art pathology foundation models with orders of "
        "magnitude less data, arXiv:2504.05186"
    ),
    summary="Midnight-12k: ViT-g/14 of DINOv2, trained on 12,000 slides of TCGA at several magnifications; not gated.",
)
