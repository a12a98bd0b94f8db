"""Virchow2 of Paige."""

from __future__ import annotations

from histodecon.encoders._card import EncoderCard
from histodecon.encoders._normalization import IMAGENET

CARD = EncoderCard(
    name="virchow2",
    loader="timm",
    model="vit_huge_patch14_224",
    dim=2560,
    mean=IMAGENET.mean,
    std=IMAGENET.std,
    interpolation="bicubic",
    pooling="token_mean",
    model_kwargs={
        "img_size": 224,
        "init_values": 1e-5,
        "reg_tokens": 4,
        "mlp_ratio": 5.3375,
        "global_pool": "",
        "mlp_layer": "SwiGLUPacked",
        "act_layer": "SiLU",
        "dynamic_img_size": True,
    },
    tile_px=224,
    mpp=0.5,
    safe_dtypes=("float16", "bfloat16"),
    repo="paige-ai/Virchow2",
    revision="3158645804b69e3f3bc4439d4116edddf0840a72",
    weights_file="model.safetensors",
    weights_sha256="8d6cea947eb2418c3b0dff48cfb9b238e47744ab0dfca21b2b0637b140769b4b",
    gated=True,
    access_url="https://huggingface.co/paige-ai/Virchow2",
    license="CC-BY-NC-ND-4.0",
    citation=(
        "Zimmermann, Vorontsov, Viret et al. 2024, Virchow2: scaling self-supervised mixed magnification models in "
        "pathology, arXiv:2408.00738"
    ),
    summary="ViT-H/14 with 4 registers, trained with DINOv2 at several magnifications on 3.1 million slides.",
)
