"""Real tissue with its embeddings: what all runs share."""

from __future__ import annotations

import os
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from PIL import Image

import histodecon as hd

SECTIONS = ("B4", "C2", "C3", "C4")
ENCODERS = {
    "color_stats": ["X_color_stats"],
    "mobilenetv2": ["X_mobilenetv2"],
    "both": ["X_color_stats", "X_mobilenetv2"],
}
WEIGHTS = "weights/mobilenetv2_100_keras_in1k_dequant.safetensors"
SPLITS = {
    "C2, C3 → C4": (("C2", "C3"), ("C4",)),
    "C2, C3, C4 → B4": (("C2", "C3", "C4"), ("B4",)),
    "B4 → C2, C3, C4": (("B4",), ("C2", "C3", "C4")),
}
TILE_PX = 224
A1_MPP = 3.18
A1_FACTOR = 2000 / 6954
A1_TILE_UM = 154.0


def mobilenet(data: Path) -> hd.encoders.EncoderCard:
    return hd.encoders.timm_card(
        "mobilenetv2_100",
        name="mobilenetv2",
        weights=data / WEIGHTS,
        model_kwargs={"pad_type": "same"},
        mean=[0.5] * 3,
        std=[0.5] * 3,
        input_px=TILE_PX,
    )


def her2st(data: Path, cache: Path | None = None) -> ad.AnnData:
    """All sections with tiles of 224 native pixels, both embeddings, and the Stereoscope proportions as targets."""
    if cache is not None and cache.exists():
        return ad.read_h5ad(cache)
    os.environ["HISTODECON_SHARED"] = str(data)
    parts = []
    for section in SECTIONS:  # one image in memory at a time
        sdata = hd.datasets.her2st([section], show_progress_bar=False)
        hd.pp.tile_spots(sdata, size_px=TILE_PX)
        hd.pp.embed_tiles(sdata, ["color_stats", mobilenet(data)], device="cpu", show_progress_bar=False)
        table = sdata["table"]
        table.obs_names = [f"{name}-{section}" for name in table.obs_names]
        table.uns.pop("spatial", None)
        parts.append(table)
    adata = hd.concat(parts)
    hd.tl.set_targets(adata, "stereoscope")
    adata.X = None
    if cache is not None:
        adata.write_h5ad(cache)
    return adata


def patient_a(data: Path) -> tuple[np.ndarray, pd.DataFrame, np.ndarray]:
    """MobileNetV2 embeddings, proportions and places of section A1 from its small picture: a patient that no table tests on."""
    picture = Image.open(data / "her2st/images_app/A1_HE_image_dark.png").convert("RGB")
    pixels = np.array(picture)
    pixels[pixels.max(axis=2) < 12] = 255  # its background is black
    picture = Image.fromarray(pixels)
    table = _proportions(data, "A1")
    spots = pd.read_csv(data / "her2st/spotfiles/A1_selection.tsv", sep="\t")
    spots.index = [f"{x}x{y}" for x, y in zip(spots["x"], spots["y"], strict=True)]
    spots = spots.loc[spots.index.intersection(table.index)]
    xy = spots[["pixel_x", "pixel_y"]].to_numpy() * A1_FACTOR
    inside = (xy[:, 0] < 1450) & (xy[:, 1] > 600)  # beyond, the picture holds no tissue of this section
    half = A1_TILE_UM / A1_MPP / 2
    tiles = [
        picture.resize((TILE_PX, TILE_PX), Image.Resampling.BICUBIC, box=(x - half, y - half, x + half, y + half))
        for x, y in xy[inside]
    ]
    encoder = hd.encoders.load_encoder(mobilenet(data), device="cpu")
    return encoder.encode(np.stack([np.asarray(tile) for tile in tiles])), table.loc[spots.index[inside]], xy[inside]


def _proportions(data: Path, section: str) -> pd.DataFrame:
    import io
    import zipfile

    with zipfile.ZipFile(data / "her2st/props/major.zip") as archive:
        return pd.read_csv(io.BytesIO(archive.read(f"major/{section}-proportion.tsv")), sep="\t", index_col=0)
