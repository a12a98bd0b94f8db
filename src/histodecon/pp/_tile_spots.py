"""Where the tile of every spot lies, and how much tissue it holds."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from histodecon import images
from histodecon._core import (
    HistodeconError,
    ImageSource,
    InputError,
    Key,
    NamingError,
    ResolutionWarning,
    coordinates,
    copy_of,
    doc,
    image_source,
    is_spatialdata,
    iter_libraries,
    raise_together,
    require_spots,
    require_unique_names,
    safe_key,
    set_uns_branch,
    table_of,
)
from histodecon.images._placement import measure_tissue, require_inside, require_tissue
from histodecon.pp._resolution import resolve_mpp

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

TISSUE_THRESHOLD = 0.1
FEW_PIXELS = 56


@dataclass(frozen=True)
class _Tiling:
    rows: np.ndarray
    source: ImageSource
    boxes: np.ndarray
    box_px: int
    tissue: np.ndarray
    padding: np.ndarray
    record: dict[str, Any]


@doc
def tile_spots(
    data: AnnData | SpatialData,
    *,
    size_um: float = 112.0,
    size_px: int | None = None,
    mpp: float | Mapping[str, float] | None = None,
    image: Any = None,
    image_key: str | Mapping[str, str] | None = None,
    tissue_threshold: float = TISSUE_THRESHOLD,
    table_key: str = Key.element.TABLE,
    library_key: str = Key.obs.LIBRARY,
    copy: bool = False,
) -> AnnData | SpatialData | None:
    """Lay a square tile on every spot, find the scale of the image, and flag tiles without tissue.

    No spot is dropped: :func:`histodecon.pp.embed_tiles` cuts what is recorded here.

    Parameters
    ----------
    %(data)s
    size_um
        Side of a tile in µm; 112 µm are 224 px at 0.5 µm per pixel.
    size_px
        Side of a tile in full-resolution pixels instead; ``size_um`` is then what follows from it.
    mpp
        µm per full-resolution pixel, for all slides or a dict from library id. Default, in this order: what the reader
        recorded; a fit of ``obs["array_row"]`` and ``obs["array_col"]`` to the coordinates; the distance of neighboring
        spots (100 µm on a hexagonal, 200 µm on a square grid); the diameter of a Visium spot (65 µm); OME, Aperio or
        centimeter tags of a TIFF. The dpi of an image is never believed.
    %(image)s
    %(image_key)s
    tissue_threshold
        A tile is tissue when at least this part of it is stained, see :func:`histodecon.images.tissue_fraction`. Tiles are
        shrunk to 64 px for this.
    %(table_key)s
    %(library_key)s
    %(copy)s

    Returns
    -------
    None, or the changed copy. Written are

    - ``obs["tissue_fraction"]``: stained part of the tile, in [0, 1];
    - ``obs["in_tissue_tile"]``: whether it reaches ``tissue_threshold``;
    - ``obs["tile_padding"]``: part of the tile that lies outside the image and is padded white, in [0, 1];
    - ``uns["histodecon"]["tiles"][library]``: ``mpp``, ``mpp_source``, ``size_px`` (full-resolution pixels), ``size_um``,
      ``size_unit`` (``"um"`` or ``"px"``: which of them was asked for), ``tissue_threshold``, ``n_tissue``, ``n_padded``, ``image`` (where it was found), ``image_scale`` (image pixels per
      full-resolution pixel), ``image_digest``;
    - in a SpatialData also the squares, as shapes ``{library}_tiles``.

    Raises
    ------
    MissingKeyError
        There are no coordinates or no image.
    ResolutionError
        The size of a pixel is unknown, lies outside 0.1 to 4 µm, or two sources differ by a factor of 5; or the
        coordinates are of another scale than the image.
    GeometryError
        More than 1 %% of the spots lie outside the image, or x and y are exchanged.
    ImageError
        The image cannot be read as H&E.
    InputError
        There are no spots, no tile of a slide holds tissue, or a size is not above 0.

    Warns
    -----
    ResolutionWarning
        Two sources of the pixel size differ by more than 5 %%, or tiles have few pixels because only a small picture is there.

    Examples
    --------
    >>> import histodecon as hd
    >>> sdata = hd.datasets.toy_slide(n_rows=6, n_cols=6)
    >>> hd.pp.tile_spots(sdata)
    >>> record = sdata["table"].uns["histodecon"]["tiles"]["toy_1"]
    >>> record["size_px"], record["mpp"]
    (112, 1.0)
    >>> bool(sdata["table"].obs["in_tissue_tile"].all())
    True
    """
    if copy:
        data = copy_of(data, table_key)
    adata = table_of(data, table_key)
    require_spots(adata)
    require_unique_names(adata)
    _check_sizes(size_um, size_px, tissue_threshold)
    xy = coordinates(adata)
    libraries = dict(iter_libraries(adata, library_key))
    _require_distinct_keys(list(libraries))
    tilings: dict[str, _Tiling] = {}
    faults: list[HistodeconError] = []
    for library, rows in libraries.items():
        try:
            source = image_source(data, adata, library, image=image, image_key=image_key, library_key=library_key)
            tilings[library] = _tile(adata, library, rows, xy[rows], source, size_um, size_px, mpp, tissue_threshold)
        except HistodeconError as fault:
            faults.append(fault)
    raise_together(faults)
    squares = (
        {library: _squares(data, adata, library, tiling) for library, tiling in tilings.items()}
        if is_spatialdata(data)
        else {}
    )
    _write(adata, tilings)
    for library, element in squares.items():
        name = safe_key(library) + Key.element.TILES
        data.shapes.pop(name, None)
        data.shapes[name] = element
    return data if copy else None


def _check_sizes(size_um: float, size_px: int | None, tissue_threshold: float) -> None:
    if size_px is not None and (int(size_px) != size_px or size_px < 1):
        msg = f"`size_px` must be a whole number above 0, not {size_px}"
        raise InputError(msg, fix="`size_px=224`")
    if not (np.isfinite(size_um) and size_um > 0):
        msg = f"`size_um` must be above 0, not {size_um}"
        raise InputError(msg, fix="`size_um=112`")
    if not 0 <= tissue_threshold <= 1:
        msg = f"`tissue_threshold` is a part of a tile, between 0 and 1, not {tissue_threshold}"
        raise InputError(msg, fix=f"`tissue_threshold={TISSUE_THRESHOLD}`")


def _require_distinct_keys(libraries: list[str]) -> None:
    keys: dict[str, str] = {}
    for library in libraries:
        other = keys.setdefault(safe_key(library), library)
        if other != library:
            msg = f"The slides {other!r} and {library!r} would be stored under one key, {safe_key(library)!r}"
            raise NamingError(msg, fix="rename one of them in `obs`", code="BI-65")


def _tile(
    adata: AnnData,
    library: str,
    rows: np.ndarray,
    xy: np.ndarray,
    source: ImageSource,
    size_um: float,
    size_px: int | None,
    mpp: float | Mapping[str, float] | None,
    threshold: float,
) -> _Tiling:
    opened = images.open_image(source.image)
    with nullcontext(opened) if opened is source.image else opened as image:
        stated = None if image.mpp is None else image.mpp * source.scale
        value, value_source = resolve_mpp(adata, library, rows, xy, mpp=mpp, image_mpp=stated)
        size = max(1, round(size_um / value)) if size_px is None else int(size_px)
        box_px = max(1, round(size * source.scale))
        centers = source.to_pixels(xy)
        factor = adata.uns.get(Key.uns.SPATIAL, {}).get(library, {}).get("scalefactors", {}).get("tissue_hires_scalef")
        hires = None if factor is None else float(factor)
        require_inside(image, centers, adata.obs_names[rows].to_numpy(), library=library, hires_factor=hires)
        if source.scale < 1 and box_px < FEW_PIXELS:
            _warn_few_pixels(library, source, size * value, box_px)
        tissue = measure_tissue(image, centers, box_px)
        require_tissue(image, centers, box_px, tissue, threshold, library=library, hires_factor=hires)
        padding = images.padding_fraction(centers, box_px, image.width, image.height)
        record = {
            "mpp": value,
            "mpp_source": value_source,
            "size_px": size,
            "size_um": float(size_um) if size_px is None else size * value,
            "size_unit": "um" if size_px is None else "px",
            "tissue_threshold": float(threshold),
            "n_tissue": int((tissue >= threshold).sum()),
            "n_padded": int((padding > 0).sum()),
            "image": source.name,
            "image_scale": source.scale,
            "image_digest": image.digest(),
        }
    return _Tiling(rows, source, images.tile_boxes(centers, box_px), box_px, tissue, padding, record)


def _warn_few_pixels(library: str, source: ImageSource, size_um: float, box_px: int) -> None:
    warnings.warn(
        f"Slide {library!r}: only {source.name} was found, where a tile of {size_um:.4g} µm has {box_px} px. "
        "Cells cannot be told apart at this scale: hand in the full-resolution image with `image=`.",
        ResolutionWarning,
        stacklevel=4,
    )


def _write(adata: AnnData, tilings: Mapping[str, _Tiling]) -> None:
    tissue, padding = np.empty(adata.n_obs), np.empty(adata.n_obs)
    flag = np.empty(adata.n_obs, dtype=bool)
    for tiling in tilings.values():
        tissue[tiling.rows], padding[tiling.rows] = tiling.tissue, tiling.padding
        flag[tiling.rows] = tiling.tissue >= tiling.record["tissue_threshold"]
    adata.obs[Key.obs.TISSUE_FRACTION] = tissue
    adata.obs[Key.obs.IN_TISSUE_TILE] = flag
    adata.obs[Key.obs.TILE_PADDING] = padding
    set_uns_branch(adata, Key.uns.TILES, {safe_key(library): tiling.record for library, tiling in tilings.items()})


def _squares(data: Any, adata: AnnData, library: str, tiling: _Tiling) -> Any:
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
