"""H-optimus-0, H-optimus-1 and H0-mini of Bioptimus."""

from __future__ import annotations

from histodecon.encoders._card import EncoderCard
from histodecon.encoders._normalization import H_OPTIMUS

_GIANT = {"img_size": 224, "init_values": 1e-5, "global_pool": "token", "dynamic_img_size": False}

CARDS = (
    EncoderCard(
        name="h_optimus_0",
        loader="timm",
        model="vit_giant_patch14_reg4_dinov2",
        dim=1536,
        mean=H_OPTIMUS.mean,
        std=H_OPTIMUS.std,
        interpolation="bicubic",
        model_kwargs=_GIANT,
        tile_px=224,
        mpp=0.5,
        safe_dtypes=("float16", "bfloat16"),
        repo="bioptimus/H-optimus-0",
        revision="b145cc1e6c6b30d3251aa8b1f844e6974188a743",
        weights_file="pytorch_model.bin",
        gated=True,  # consent is given at once, without a review
        access_url="https://huggingface.co/bioptimus/H-optimus-0",
        license="Apache-2.0",
        commercial=True,
        citation="Saillard, Jenatton, Llinares-López et al. 2024, H-optimus-0, github.com/bioptimus/releases",
        summary="ViT-g/14 with 4 registers, trained with DINOv2 on 500,000 slides.",
    ),
    EncoderCard(
        name="h_optimus_1",
        loader="timm",
        model="vit_giant_patch14_reg4_dinov2",
        dim=1536,
        mean=H_OPTIMUS.mean,
        std=H_OPTIMUS.std,
        interpolation="bicubic",
        model_kwargs=_GIANT,
        tile_px=224,
        mpp=0.5,
        safe_dtypes=("float16", "bfloat16"),
        repo="bioptimus/H-optimus-1",
        revision="3592cb220dec7a150c5d7813fb56e68bd57473b9",
        weights_file="model.safetensors",
        weights_sha256="c4f1e5b457ddf00679626053b0bf2899be6a19c3a04ad191c87ad1cdfd1abfe1",
        gated=True,
        access_url="https://huggingface.co/bioptimus/H-optimus-1",
        license="CC-BY-NC-ND-4.0",
        citation="Bioptimus 2025, H-optimus-1, huggingface.co/bioptimus/H-optimus-1",
        summary="ViT-g/14 with 4 registers, trained on more than a million slides; successor of H-optimus-0.",
    ),
    EncoderCard(
        name="h0_mini",
        loader="timm",
        model="vit_base_patch14_reg4_dinov2",
        dim=768,
        mean=H_OPTIMUS.mean,
        std=H_OPTIMUS.std,
        interpolation="bicubic",
        pooling="token",
        model_kwargs={
            "img_size": 224,
            "init_values": 1e-5,
            "reg_tokens": 4,
            "mlp_ratio": 5.33334,
            "global_pool": "",
            "mlp_layer": "SwiGLUPacked",
            "act_layer": "SiLU",
            "dynamic_img_size": True,
        },
        tile_px=224,
        mpp=0.5,
        safe_dtypes=("float16", "bfloat16"),
        repo="bioptimus/H0-mini",
        revision="5b5cc0505d19ae558270045eb0df8c34df4d9609",
        weights_file="model.safetensors",
        weights_sha256="5e4de45a6527a8160f7c21fe3105c987757efe30ce581e1f2cf5809476069ade",
        gated=True,
        access_url="https://huggingface.co/bioptimus/H0-mini",
        license="CC-BY-NC-ND-4.0",
        citation=(
            "Filiot, Dop, Tchita et al. 2025, Distilling foundation models for robust and efficient models in digital "
            "pathology, arXiv:2501.16239"
        ),
        summary="ViT-B/14 with 4 registers, distilled from H-optimus-0.",
    ),
)
