"""The encoders of kaiko.ai, as timm models on the Hub."""

from __future__ import annotations

from histodecon.encoders._card import EncoderCard
from histodecon.encoders._normalization import HALF

_REPO = "1aurent/{}.kaiko_ai_towards_large_pathology_fms"
_CITATION = (
    "kaiko.ai, Aben, de Jong, Gatopoulos et al. 2024, Towards large-scale training of pathology foundation models, "
)


def _card(size: str, model: str, dim: int, revision: str, *, grid: int = 224, sha256: str | None = None) -> EncoderCard:
    kind, patch = size[0].upper(), size[1:]
    return EncoderCard(
        name=f"kaiko_{size}",
        loader="timm",
        model=model,
        dim=dim,
        mean=HALF.mean,
        std=HALF.std,
        interpolation="bilinear",
        model_kwargs={"img_size": grid, "dynamic_img_size": True},
        tile_px=256,
        mpp=0.5,
        repo=_REPO.format(model),
        revision=revision,
        weights_file="model.safetensors",
        weights_sha256=sha256,
        license="kaiko-non-commercial",
        citation=f"{_CITATION}arXiv:2404.15217",
        summary=f"ViT-{kind}/{patch} trained on slides of TCGA at several magnifications; not gated.",
    )


CARDS = (
    _card("s16", "vit_small_patch16_224", 384, "48560ea39969fe44b7b2ab057de01484243a7d43"),
    _card("s8", "vit_small_patch8_224", 384, "003775444da0119f90ca63e2b86e454fd06ba797"),
    _card("b16", "vit_base_patch16_224", 768, "797c524a94c7fdae8ea33064d0ac6966ed8956bb"),
    _card("b8", "vit_base_patch8_224", 768, "a4eb74de76274a5f3fe8260841a1b07a90930f43"),
    _card(
        "l14",
        "vit_large_patch14_reg4_dinov2",
        1024,
        "fb802e347d2c59f05207b70ad75f7df30019c188",
        grid=518,  # of its positions, which are resampled to that of the tiles
        sha256="149c8b21c60a7115a17572073b09ef142411c91b5194c84a99ebba8b83f20e69",
    ),
)
