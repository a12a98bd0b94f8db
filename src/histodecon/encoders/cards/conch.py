"""CONCH and CONCH v1.5 of the Mahmood Lab, without their package."""

from __future__ import annotations

from histodecon.encoders import towers
from histodecon.encoders._card import EncoderCard
from histodecon.encoders._normalization import CLIP, IMAGENET

CARDS = (
    EncoderCard(
        name="conch",
        loader="torch",
        model=f"{towers.__name__}.conch:build_conch",
        dim=512,
        input_px=448,
        mean=CLIP.mean,
        std=CLIP.std,
        interpolation="bicubic",
        model_kwargs={"projection": False, "normalize": False},
        tile_px=512,
        mpp=0.5,
        repo="MahmoodLab/conch",
        revision="f9ca9f877171a28ade80228fb195ac5d79003357",
        weights_file="pytorch_model.bin",
        weights_sha256="40a9644b9ba0e83a74576e0a5e5f7313599fa9c9cdaf3c20f8a3e271b0e9ae7c",
        prefix="visual.",
        dropped=("attn_pool_caption.", "ln_caption."),  # for writing captions
        gated=True,
        access_url="https://huggingface.co/MahmoodLab/conch",
        license="CC-BY-NC-ND-4.0",
        citation=(
            "Lu, Chen, Williamson et al. 2024, A visual-language foundation model for computational pathology, "
            "Nat. Med. 30:863-874, doi:10.1038/s41591-024-02856-4"
        ),
        summary="ViT-B/16 trained with 1.17 million pairs of images and captions; pooled, neither projected nor normalized.",
    ),
    EncoderCard(
        name="conch_v1_5",
        loader="torch",
        model=f"{towers.__name__}.conch_v1_5:build_conch_v1_5",
        dim=768,
        input_px=448,
        mean=IMAGENET.mean,
        std=IMAGENET.std,
        interpolation="bilinear",
        tile_px=512,
        mpp=0.5,
        safe_dtypes=("float16", "bfloat16"),
        repo="MahmoodLab/conchv1_5",
        revision="3e5766a5d1500d53c73c03005e24c30c1f27be13",
        weights_file="pytorch_model_vision.bin",
        gated=True,
        access_url="https://huggingface.co/MahmoodLab/conchv1_5",
        license="CC-BY-NC-ND-4.0",
        citation=(
            "Ding, Wagner, Song et al. 2025, A multimodal whole-slide foundation model for pathology, "
            "Nat. Med. 31:3749-3761, doi:10.1038/s41591-025-03982-3"
        ),
        summary="ViT-L/16 of the size of UNI, tuned with 1.26 million pairs of images and captions; the tile encoder of TITAN.",
    ),
)
