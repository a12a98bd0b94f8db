"""The tile encoder of Prov-GigaPath."""

from __future__ import annotations

from histodecon.encoders._card import EncoderCard
from histodecon.encoders._normalization import IMAGENET

CARD = EncoderCard(
    name="gigapath",
    loader="timm",
    model="vit_giant_patch14_dinov2",
    dim=1536,
    resize_px=256,
    mean=IMAGENET.mean,
    std=IMAGENET.std,
    interpolation="bicubic",
    model_kwargs={
        "img_size": 224,
        "patch_size": 16,
        "embed_dim": 1536,
        "depth": 40,
        "num_heads": 24,
        "mlp_ratio": 5.33334,
        "init_values": 1e-5,
    },
    tile_px=256,
    mpp=0.5,
    safe_dtypes=("float16", "bfloat16"),
    repo="prov-gigapath/prov-gigapath",
    revision="64f9e26c15019f2d4f6d9113c6822f88bb16b01b",
    weights_file="pytorch_model.bin",
    weights_sha256="877947214318afa9e011754b74bbc3894a1f480a253afc7bc8045b8321dedd63",
    gated=True,
    access_url="https://huggingface.co/prov-gigapath/prov-gigapath",
    license="Apache-2.0 with conditions",  # its page allows research only, and no deployment of any kind
    citation=(
        "Xu, Usuyama, Bagga et al. 2024, A whole-slide foundation model for digital pathology from real-world data, "
        "Nature 630:181-188, doi:10.1038/s41586-024-07441-w"
    ),
    summary="ViT-g/16 trained with DINOv2 on 1.3 billion tiles of 171,000 slides; a tile's rim is cut off.",
)
