"""UNI and UNI2-h of the Mahmood Lab."""

from __future__ import annotations

from histodecon.encoders._card import EncoderCard
from histodecon.encoders._normalization import IMAGENET

_CITATION = (
    "Chen, Ding, Lu, Williamson et al. 2024, Towards a general-purpose foundation model for computational pathology, "
    "Nat. Med. 30:850-862, doi:10.1038/s41591-024-02857-3"
)

CARDS = (
    EncoderCard(
        name="uni",
        loader="timm",
        model="vit_large_patch16_224",
        dim=1024,
        mean=IMAGENET.mean,
        std=IMAGENET.std,
        interpolation="bilinear",
        model_kwargs={"img_size": 224, "patch_size": 16, "init_values": 1e-5, "dynamic_img_size": True},
        tile_px=256,
        mpp=0.5,
        safe_dtypes=("float16", "bfloat16"),
        repo="MahmoodLab/UNI",
        revision="b55a5ec6cade1a39edfe6534189a9b8ca7a022f0",
        weights_file="pytorch_model.bin",
        weights_sha256="56ef09b44a25dc5c7eedc55551b3d47bcd17659a7a33837cf9abc9ec4e2ffb40",
        gated=True,
        access_url="https://huggingface.co/MahmoodLab/UNI",
        license="CC-BY-NC-ND-4.0",
        citation=_CITATION,
        summary="ViT-L/16 trained with DINOv2 on 100 million tiles of 100,000 slides.",
    ),
    EncoderCard(
        name="uni2h",
        loader="timm",
        model="vit_giant_patch14_224",
        dim=1536,
        mean=IMAGENET.mean,
        std=IMAGENET.std,
        interpolation="bilinear",
        model_kwargs={
            "img_size": 224,
            "patch_size": 14,
            "depth": 24,
            "num_heads": 24,
            "embed_dim": 1536,
            "mlp_ratio": 5.33334,
            "init_values": 1e-5,
            "no_embed_class": True,
            "mlp_layer": "SwiGLUPacked",
            "act_layer": "SiLU",
            "reg_tokens": 8,
            "dynamic_img_size": True,
        },
        tile_px=256,
        mpp=0.5,
        safe_dtypes=("bfloat16",),
        repo="MahmoodLab/UNI2-h",
        revision="d517a8dd47902dd7c308b3c36f63bce47e7b9a43",
        weights_file="pytorch_model.bin",
        weights_sha256="6e077eda234bebc595868d918d3458d9dd32a050199b0ff04443b2f46a0a3b1e",
        gated=True,
        access_url="https://huggingface.co/MahmoodLab/UNI2-h",
        license="CC-BY-NC-ND-4.0",
        citation=_CITATION,
        summary="ViT-H/14 with 8 registers, trained with DINOv2 on 200 million tiles of H&E and IHC.",
    ),
)
