"""Tiles of one slide: laid, measured and written, for spots and for grids alike."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from histodecon import images
from histodecon._core import (
    DroppedSpotsWarning,
    ImageSource,
    InputError,
    Key,
    ResolutionWarning,
    first_names,
    note_where_results_go,
    safe_key,
    set_uns_branch,
)
from histodecon.images._placement import measure_tissue
from histodecon.pp._tile_size import TileSize

if TYPE_CHECKING:
    from anndata import AnnData

TISSUE_THRESHOLD = 0.1
FEW_PIXELS = 56


@dataclass(frozen=True)
class Tiling:
    """Tiles of one slide.

    Parameters
    ----------
    rows
        Rows of the table, shape (n,).
    source
        The image.
    boxes
        Upper-left pixels in the image, shape (n, 2).
    box_px
        Side of a tile in the image.
    tissue, padding
        Stained part, and part outside the image, shape (n,).
    record
        What is kept in ``uns``.
    """

    rows: np.ndarray
    source: ImageSource
    boxes: np.ndarray
    box_px: int
    tissue: np.ndarray
    padding: np.ndarray
    record: dict[str, Any]

    def only(self, keep: np.ndarray) -> Tiling:
        """Keep some tiles.

        Parameters
        ----------
        keep
            bool (n,).

        Returns
        -------
        The tiles, their rows numbered from 0.
        """
        tissue, padding = self.tissue[keep], self.padding[keep]
        record = self.record | {"n_tissue": len(tissue), "n_padded": int((padding > 0).sum())}
        rows = np.arange(len(tissue))
        return replace(self, rows=rows, boxes=self.boxes[keep], tissue=tissue, padding=padding, record=record)

    def at(self, rows: np.ndarray) -> Tiling:
        """Say where the tiles stand in a table.

        Parameters
        ----------
        rows
            int (n,).

        Returns
        -------
        The same tiles.
        """
        return replace(self, rows=rows)


def check_threshold(tissue_threshold: float) -> None:
    """Refuse a threshold that no tile can reach or miss.

    Parameters
    ----------
    tissue_threshold
        As in :func:`histodecon.pp.tile_spots`.

    Raises
    ------
    InputError
        It is out of range.
    """
    if not 0 <= tissue_threshold <= 1:
        msg = f"`tissue_threshold` is a part of a tile, between 0 and 1, not {tissue_threshold}"
        raise InputError(msg, fix=f"`tissue_threshold={TISSUE_THRESHOLD}`")


def lay_tiles(
    image: images.SlideImage,
    source: ImageSource,
    rows: np.ndarray,
    xy: np.ndarray,
    library: str,
    scale: tuple[float, str],
    tile: TileSize,
    threshold: float,
) -> Tiling:
    """Lay a tile on every place, and measure it.

    Parameters
    ----------
    image
        The opened image.
    source
        Where it lies.
    rows
        Rows of the table, shape (n,).
    xy
        Centers, shape (n, 2), full-resolution pixels.
    library
        Name of the slide.
    scale
        µm per full-resolution pixel, and where that came from.
    tile
        Size of the tiles.
    threshold
        As in :func:`histodecon.pp.tile_spots`.

    Returns
    -------
    The tiles.

    Warns
    -----
    ResolutionWarning
        Only a small picture is there.
    """
    mpp, mpp_source = scale
    size = tile.native_px(mpp)
    box_px = max(1, round(size * source.scale))
    if source.scale < 1 and box_px < FEW_PIXELS:
        _warn_few_pixels(library, source, size * mpp, box_px)
    centers = source.to_pixels(xy)
    tissue = measure_tissue(image, centers, box_px)
    padding = images.padding_fraction(centers, box_px, image.width, image.height)
    record = {
        "mpp": mpp,
        "mpp_source": mpp_source,
        **tile.record(mpp),
        "tissue_threshold": float(threshold),
        "n_tissue": int((tissue >= threshold).sum()),
        "n_padded": int((padding > 0).sum()),
        "image": source.name,
        "image_scale": source.scale,
        "image_digest": image.digest(),
    }
    return Tiling(rows, source, images.tile_boxes(centers, box_px), box_px, tissue, padding, record)


def _warn_few_pixels(library: str, source: ImageSource, size_um: float, box_px: int) -> None:
    warnings.warn(
        f"Slide {library!r}: only {source.name} was found, where a tile of {size_um:.4g} µm has {box_px} px. "
        "Cells cannot be told apart at this scale: hand in the full-resolution image with `image=`.",
        ResolutionWarning,
        stacklevel=5,
    )


def write_tilings(adata: AnnData, tilings: Mapping[str, Tiling]) -> None:
    """Write tissue, padding and records into a table.

    Parameters
    ----------
    adata
        The table.
    tilings
        Tiles by library id; together they have every row.
    """
    tissue, padding = np.empty(adata.n_obs), np.empty(adata.n_obs)
    flag = np.empty(adata.n_obs, dtype=bool)
    outside = _outside_tissue(adata)
    records = {}
    for library, tiling in tilings.items():
        rows = tiling.rows
        tissue[rows], padding[rows] = tiling.tissue, tiling.padding
        flag[rows] = (tiling.tissue >= tiling.record["tissue_threshold"]) & ~outside[rows]
        counted = {"n_tissue": int(flag[rows].sum()), "n_outside_tissue": int(outside[rows].sum())}
        records[safe_key(library)] = tiling.record | counted
    _warn_outside(adata, outside)
    note_where_results_go(adata)
    adata.obs[Key.obs.TISSUE_FRACTION] = tissue
    adata.obs[Key.obs.IN_TISSUE_TILE] = flag
    adata.obs[Key.obs.TILE_PADDING] = padding
    set_uns_branch(adata, Key.uns.TILES, records)


def _outside_tissue(adata: AnnData) -> np.ndarray:
    """Spots that Space Ranger found to lie outside the tissue."""
    if "in_tissue" not in adata.obs:
        return np.zeros(adata.n_obs, dtype=bool)
    return (pd.to_numeric(adata.obs["in_tissue"].astype(object), errors="coerce") == 0).to_numpy()


def _warn_outside(adata: AnnData, outside: np.ndarray) -> None:
    if outside.any():
        warnings.warn(
            f'[HD-BI-39] {int(outside.sum())} of {adata.n_obs} spots have obs["in_tissue"] = 0 and are not flagged in '
            f'obs["{Key.obs.IN_TISSUE_TILE}"]: {first_names(adata.obs_names[outside])}. '
            'Leave them out with `adata = adata[adata.obs["in_tissue"] == 1].copy()`.',
            DroppedSpotsWarning,
            stacklevel=4,
        )


def tile_squares(data: Any, adata: AnnData, library: str, tiling: Tiling) -> Any:
    """Make the squares of a slide's tiles.

    Parameters
    ----------
    data
        SpatialData.
    adata
        Its table.
    library
        Name of the slide.
    tiling
        Its tiles.

    Returns
    -------
    Shapes element in full-resolution pixels, index as in the instance column of the table.
    """
    import geopandas as gpd
    import shapely
    from spatialdata.models import ShapesModel
    from spatialdata.transformations import Identity

    low = tiling.source.to_fullres(tiling.boxes)
    high = tiling.source.to_fullres(tiling.boxes + tiling.box_px)
    instance = adata.uns.get("spatialdata_attrs", {}).get("instance_key")
    names = adata.obs[instance] if instance in adata.obs else adata.obs_names.to_series()
    system = tiling.source.coordinate_system or (library if library in data.coordinate_systems else "global")
    frame = gpd.GeoDataFrame(
        geometry=shapely.box(low[:, 0], low[:, 1], high[:, 0], high[:, 1]), index=names.iloc[tiling.rows].to_numpy()
    )
    return ShapesModel.parse(frame, transformations={system: Identity()})
