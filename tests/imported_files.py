"""Files and tables laid out as TRIDENT, CLAM, HEST, LazySlide and sopa lay theirs out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata as ad
import geopandas as gpd
import h5py
import numpy as np
import pandas as pd
import shapely
import spatialdata as sd
from spatialdata.models import ShapesModel, TableModel


def place_code(centers: np.ndarray, width: int = 6) -> np.ndarray:
    """Vectors that tell the center of their tile, so that every mix-up shows."""
    scale = np.arange(1, width + 1)
    return np.concatenate([centers, centers @ np.stack([np.cos(scale), np.sin(scale)])], axis=1).astype(np.float32)


def grid(xy: np.ndarray, side: float, *, seed: int = 0) -> np.ndarray:
    """Upper-left corners of a gapless grid of tiles over all spots, in no order."""
    low, high = np.floor(xy.min(axis=0) - side) - 37, xy.max(axis=0) + side  # no spot lies on an edge
    xs, ys = np.arange(low[0], high[0], side), np.arange(low[1], high[1], side)
    corners = np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)
    return np.random.default_rng(seed).permutation(corners)


def trident(
    path: Path,
    features: np.ndarray,
    corners: np.ndarray,
    *,
    side: int,
    patch: int = 256,
    encoder: str | None = "resnet50",
    batch: bool = False,
    **attrs: Any,
) -> Path:
    with h5py.File(path, "w") as file:
        data = file.create_dataset("features", data=features[None] if batch else features)
        data.attrs["name"] = path.stem
        data.attrs["savetodir"] = "features"
        if encoder is not None:
            data.attrs["encoder"] = encoder
        coords = file.create_dataset("coords", data=np.asarray(corners, dtype=np.int64))
        known = {
            "patch_size": patch,
            "patch_size_level0": side,
            "level0_magnification": 20 * side // patch,
            "target_magnification": 20,
            "overlap": 0,
            "name": path.stem,
            "savetodir": "coords",
        }
        for name, value in (known | attrs).items():
            if value is not None:
                coords.attrs[name] = value
    return path


def clam(path: Path, features: np.ndarray, corners: np.ndarray, *, patch: int = 256, downsample: float = 1.0) -> Path:
    with h5py.File(path, "w") as file:
        file.create_dataset("features", data=features)
        coords = file.create_dataset("coords", data=np.asarray(corners, dtype=np.int32))
        coords.attrs["patch_size"], coords.attrs["patch_level"] = patch, 1
        coords.attrs["downsample"] = np.array([downsample, downsample])
    return path


def hest(path: Path, embeddings: np.ndarray, barcodes: Any, corners: np.ndarray | None, *, column: bool = True) -> Path:
    names = np.array([str(name).encode() for name in barcodes])
    with h5py.File(path, "w") as file:
        file.create_dataset("embeddings", data=embeddings)
        file.create_dataset("barcodes", data=names[:, None] if column else names)
        if corners is not None:
            file.create_dataset("coords", data=np.asarray(corners).astype(np.int64))
    return path


def _squares(corners: np.ndarray, side: float, index: Any = None) -> Any:
    x, y = np.asarray(corners, dtype=float).T
    return gpd.GeoDataFrame(geometry=shapely.box(x, y, x + side, y + side), index=index)


def lazyslide(
    features: np.ndarray, corners: np.ndarray, *, side: float, model: str = "uni", width: int = 256, mpp: float = 0.5
) -> sd.SpatialData:
    """The SpatialData of a WSIData; the rows of the table stand in another order than the tiles."""
    tiles = _squares(corners, side)
    numbers = np.arange(len(corners))
    tiles["tile_id"], tiles["tissue_id"] = numbers, 0
    order = np.random.default_rng(1).permutation(numbers)
    obs = pd.DataFrame(
        {"tile_id": order, "library_id": pd.Categorical(["tiles"] * len(order))}, index=order.astype(str)
    )
    table = TableModel.parse(
        ad.AnnData(features[order], obs=obs), region="tiles", region_key="library_id", instance_key="tile_id"
    )
    spec = {
        "height": width,
        "width": width,
        "stride_height": width,
        "stride_width": width,
        "mpp": mpp,
        "ops_level": 0,
        "ops_downsample": side / width,
        "base_level": 0,
        "base_downsample": side / width,
        "tissue_name": "tissues",
    }
    return sd.SpatialData(
        shapes={"tiles": ShapesModel.parse(tiles)},
        tables={f"{model}_tiles": table},
        attrs={"tile_spec": {"tiles": spec}},
    )


def sopa(
    features: np.ndarray, corners: np.ndarray, *, side: float, width: int = 224, level_downsample: float = 2.0
) -> sd.SpatialData:
    """Centers in pixels of the level that was read."""
    index = [f"patch{i}" for i in range(len(corners))]
    shapes = ShapesModel.parse(_squares(corners / level_downsample, side / level_downsample, index))
    table = ad.AnnData(features)
    table.obs["region"], table.obs["instance"] = pd.Categorical(["embeddings_patches"] * len(corners)), index
    table = TableModel.parse(table, region="embeddings_patches", region_key="region", instance_key="instance")
    table.obsm["spatial"] = (corners + side / 2) / level_downsample
    table.uns["embedding_config"] = {
        "patch_width": width,
        "patch_overlap": 0,
        "magnification": 20,
        "level": 1,
        "level_downsample": level_downsample,
        "tile_resize_factor": width * level_downsample / side,
        "model_name": "hoptimus_like",
    }
    return sd.SpatialData(shapes={"embeddings_patches": shapes}, tables={"hoptimus_like_embeddings": table})
