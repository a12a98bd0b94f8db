"""Where the tile of every spot lies, and how much tissue it holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from histodecon import images
from histodecon._core import (
    GeometryError,
    HistodeconError,
    ImageSource,
    InputError,
    Key,
    NamingError,
    coordinates,
    copy_of,
    doc,
    first_names,
    image_source,
    is_spatialdata,
    iter_libraries,
    raise_together,
    require_spots,
    require_unique_names,
    safe_key,
    table_of,
)
from histodecon.images._placement import require_inside, require_tissue
from histodecon.pp._resolution import resolve_mpp
from histodecon.pp._tile_size import TileSize
from histodecon.pp._tiling import TISSUE_THRESHOLD, Tiling, check_threshold, lay_tiles, tile_squares, write_tilings
from histodecon.pp._unreadable import naming_unreadable

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

EDGES = ("pad_white", "error")


@doc
def tile_spots(
    data: AnnData | SpatialData,
    *,
    size_um: float = 112.0,
    size_px: int | None = None,
    tile_mpp: float | None = None,
    mpp: float | Mapping[str, float] | None = None,
    image: Any = None,
    image_key: str | Mapping[str, str] | None = None,
    tissue_threshold: float = TISSUE_THRESHOLD,
    edge: Literal["pad_white", "error"] = "pad_white",
    swap_xy: bool | Sequence[str] = False,
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
    tile_mpp
        µm of one of the ``size_px`` pixels where they are not the slide's own: 224 px at 0.5 are 112 µm of tissue on every
        slide, resampled. For models that were trained on tiles cut in pixels.
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
    edge
        What to do with tiles that cross the border of the image: ``"pad_white"`` keeps them, white outside and counted in
        ``obs["tile_padding"]``; ``"error"`` refuses. Spots are not dropped here: ``adata[adata.obs["tile_padding"] == 0]``.
    swap_xy
        Exchange the columns of ``obsm["spatial"]``, also in the table itself, on all slides or those that are named. Where
        that is wrong, the tiles lie off the tissue, and this function refuses.
    %(table_key)s
    %(library_key)s
    %(copy)s

    Returns
    -------
    None, or the changed copy. Written are

    - ``obs["tissue_fraction"]``: stained part of the tile, in [0, 1];
    - ``obs["in_tissue_tile"]``: whether it reaches ``tissue_threshold``; never where ``obs["in_tissue"]`` is 0;
    - ``obs["tile_padding"]``: part of the tile that lies outside the image and is padded white, in [0, 1];
    - ``uns["histodecon"]["tiles"][library]``: ``mpp``, ``mpp_source``, ``size_px`` (full-resolution pixels), ``size_um``,
      ``size_unit`` (``"um"`` or ``"px"``: which of them was asked for), ``tile_mpp`` (for tiles in pixels: µm of one),
      ``tissue_threshold``, ``n_tissue`` (tiles that are
      flagged), ``n_outside_tissue`` (spots whose ``obs["in_tissue"]`` is 0), ``n_padded``, ``image`` (where it was found),
      ``image_scale`` (image pixels per full-resolution pixel), ``image_digest``;
    - in a SpatialData also the squares, as shapes ``{library}_tiles``.

    Raises
    ------
    MissingKeyError
        There are no coordinates or no image.
    ResolutionError
        The size of a pixel is unknown, lies outside 0.1 to 4 µm, or two sources differ by a factor of 5; or the
        coordinates are of another scale than the image; ``tile_mpp`` without ``size_px``.
    GeometryError
        More than 1 %% of the spots lie outside the image, x and y are exchanged, or a tile crosses the border and
        ``edge="error"``.
    ImageError
        The image cannot be read as H&E.
    InputError
        There are no spots, no tile of a slide holds tissue, a size is not above 0, or an option is unknown.

    Warns
    -----
    DroppedSpotsWarning
        Some spots lie outside the tissue.
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
    tile = TileSize(size_um, size_px, tile_mpp)
    check_threshold(tissue_threshold)
    _check_edge(edge)
    libraries = dict(iter_libraries(adata, library_key))
    _require_distinct_keys(list(libraries))
    swapped = _libraries_to_swap(libraries, swap_xy=swap_xy)
    xy = coordinates(adata).copy()
    for library in swapped:
        xy[libraries[library]] = xy[libraries[library]][:, ::-1]
    tilings: dict[str, Tiling] = {}
    faults: list[HistodeconError] = []
    for library, rows in libraries.items():
        try:
            source = image_source(data, adata, library, image=image, image_key=image_key, library_key=library_key)
            tilings[library] = _tile(adata, library, rows, xy[rows], source, tile, mpp, tissue_threshold)
            if edge == "error":
                _require_whole(adata, library, tilings[library])
        except HistodeconError as fault:
            faults.append(fault)
    raise_together(faults)
    squares = (
        {library: tile_squares(data, adata, library, tiling) for library, tiling in tilings.items()}
        if is_spatialdata(data)
        else {}
    )
    write_tilings(adata, tilings)
    if swapped:
        adata.obsm[Key.obsm.SPATIAL] = xy
    for library, element in squares.items():
        name = safe_key(library) + Key.element.TILES
        data.shapes.pop(name, None)
        data.shapes[name] = element
    return data if copy else None


def _require_distinct_keys(libraries: list[str]) -> None:
    keys: dict[str, str] = {}
    for library in libraries:
        other = keys.setdefault(safe_key(library), library)
        if other != library:
            msg = f"The slides {other!r} and {library!r} would be stored under one key, {safe_key(library)!r}"
            raise NamingError(msg, fix="rename one of them in `obs`", code="BI-65")


def _check_edge(edge: str) -> None:
    if edge in EDGES:
        return
    msg = f"`edge` is one of {', '.join(EDGES)}, not {edge!r}"
    why = "spots are flagged here and never dropped"
    fix = '`adata = adata[adata.obs["tile_padding"] == 0].copy()` afterwards leaves out tiles that cross the border'
    raise InputError(msg, why=why, fix=fix, code="BI-12")


def _libraries_to_swap(libraries: Mapping[str, np.ndarray], *, swap_xy: bool | Sequence[str]) -> list[str]:
    if isinstance(swap_xy, (bool, np.bool_)):
        return list(libraries) if swap_xy else []
    named = [swap_xy] if isinstance(swap_xy, str) else list(swap_xy)
    unknown = [library for library in named if library not in libraries]
    if unknown:
        msg = f"`swap_xy` names slides that are not there: {first_names(unknown)}"
        raise InputError(msg, where=f"slides: {first_names(list(libraries), 8)}", fix="`swap_xy=True`", code="BI-104")
    return named


def _require_whole(adata: AnnData, library: str, tiling: Tiling) -> None:
    cut = tiling.padding > 0
    if not cut.any():
        return
    names = adata.obs_names[tiling.rows[cut]]
    msg = f"Tiles of slide {library!r} cross the border of its image"
    where = (
        f"{int(cut.sum())} of {len(cut)}: {first_names(names)}; up to {tiling.padding.max():.0%} of a tile lies outside"
    )
    fix = '`edge="pad_white"` keeps them, white outside; or leave these spots out'
    raise GeometryError(msg, where=where, fix=fix, code="BI-13")


def _tile(
    adata: AnnData,
    library: str,
    rows: np.ndarray,
    xy: np.ndarray,
    source: ImageSource,
    tile: TileSize,
    mpp: float | Mapping[str, float] | None,
    threshold: float,
) -> Tiling:
    opened = images.open_image(source.image)
    with nullcontext(opened) if opened is source.image else opened as image:
        stated = None if image.mpp is None else image.mpp * source.scale
        scale = resolve_mpp(adata, library, rows, xy, mpp=mpp, image_mpp=stated)
        centers = source.to_pixels(xy)
        factor = adata.uns.get(Key.uns.SPATIAL, {}).get(library, {}).get("scalefactors", {}).get("tissue_hires_scalef")
        hires = None if factor is None else float(factor)
        require_inside(image, centers, adata.obs_names[rows].to_numpy(), library=library, hires_factor=hires)
        box_px = max(1, round(tile.native_px(scale[0]) * source.scale))
        with naming_unreadable(image, centers, box_px, [str(name) for name in adata.obs_names[rows]]):
            tiling = lay_tiles(image, source, rows, xy, library, scale, tile, threshold)
        require_tissue(image, centers, tiling.box_px, tiling.tissue, threshold, library=library, hires_factor=hires)
    return tiling
