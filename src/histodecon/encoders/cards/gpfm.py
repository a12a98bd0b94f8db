"""GPFM of the Hong Kong University of Science and Technology."""

from __future__ import annotations

from histodecon.encoders._card import EncoderCard
from histodecon.encoders._normalization import IMAGENET

CARD = EncoderCard(
    name="gpfm",
    loader="timm",
    model="vit_large_patch14_dinov2",
    dim=1024,
    mean=IMAGENET.mean,
    std=IMAGENET.std,
    interpolation="bicubic",
    model_kwargs={"img_size": 224, "init_values": 1e-5},
    tile_px=224,
    mpp=0.5,
    repo="majiabo/GPFM",
    revision="c2e0c6c7cea4d7ae67151c3375d780712f82254e",
    weights_file="GPFM.pth",
    weights_sha256="ebde1a9d7d9098848034bcff30f8771034c8d0b69e32846fa266940f2fd4604c",
    license="CC-BY-NC-ND-4.0",  # of its source; its page on the Hub says MIT: the stricter one holds here
    citation=(
        "Ma, Guo, Zhou et al. 2025, A generalizable pathology foundation model using a unified knowledge distillation "
        "pretraining framework, Nat. Biomed. Eng., doi:10.1038/s41551-025-01488-4"
    ),
    summary="ViT-L/14 distilled from UNI, Phikon and CONCH on 190 million tiles; not gated.",
)
