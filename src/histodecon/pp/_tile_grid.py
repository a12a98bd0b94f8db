"""Tiles on a grid over the tissue of slides that have no spots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from histodecon import images
from histodecon._core import (
    HistodeconError,
    ImageSource,
    InputError,
    Key,
    ResolutionError,
    doc,
    element_source,
    is_spatialdata,
    raise_together,
    safe_key,
    slide_notes,
)
from histodecon.images._grid import grid_centers, may_hold_tissue, overview
from histodecon.images._scale import IMAGE_FILE, USER, Estimate, choose_mpp
from histodecon.pp._grid_images import image_names
from histodecon.pp._grid_table import GriddedSlide, grid_table, place_circles, require_own
from histodecon.pp._tile_size import TileSize
from histodecon.pp._tiling import TISSUE_THRESHOLD, Tiling, check_threshold, lay_tiles, tile_squares

if TYPE_CHECKING:
    from spatialdata import SpatialData

THUMBNAIL_PX = 1000


@doc
def tile_grid(
    data: SpatialData,
    *,
    spacing_um: float = 100.0,
    layout: Literal["hex", "square"] = "hex",
    size_um: float = 112.0,
    size_px: int | None = None,
    tile_mpp: float | None = None,
    mpp: float | Mapping[str, float] | None = None,
    image_key: str | Mapping[str, str] | None = None,
    library_id: str | Sequence[str] | None = None,
    tissue_threshold: float = TISSUE_THRESHOLD,
    table_key: str = Key.element.TABLE,
    copy: bool = False,
) -> SpatialData | None:
    """Lay tiles on a grid over the tissue, and make the table that the other steps work on: no spots are needed.

    What it writes is as if the slides had been measured with Visium, without genes: :func:`histodecon.pp.embed_tiles`,
    :func:`histodecon.tl.predict_abundance`, :func:`histodecon.pl.abundance` and :func:`histodecon.tl.colocalization` follow
    unchanged.

    Parameters
    ----------
    data
        :class:`~spatialdata.SpatialData` with H&E images, such as :func:`histodecon.io.read_slide` makes.
    spacing_um
        Distance of a place to its neighbors in µm. Tiles overlap where it is less than ``size_um``.
    layout
        ``"hex"``, six neighbors at that distance as in Visium, or ``"square"``, four.
    size_um
        Side of a tile in µm; take that of the tiles that the model was trained on.
    size_px, tile_mpp
        For models that were trained on tiles cut in pixels: side in pixels instead, and µm of one of them where they are not
        the slide's own, see :func:`histodecon.pp.tile_spots`.
    mpp
        µm per full-resolution pixel, for all slides or a dict from library id. Default: what the reader recorded, else what the
        image states.
    image_key
        Name of the image element, or a dict from library id to name. Default: ``{library_id}_image``.
    library_id
        Slides to tile. Default: those that a reader recorded, else one for every image.
    tissue_threshold
        Places are kept whose tile has at least this part of stained tissue, see :func:`histodecon.images.tissue_fraction`. In an
        overview of about 8 µm per pixel, tiles without a trace of stain are left out first; the others are measured as
        :func:`histodecon.pp.tile_spots` does.
    table_key
        Name of the new table. A table of this name that this function made before is replaced, another is not.
    copy
        Return a new SpatialData, which shares the images; the default changes ``data`` in place and returns None.

    Returns
    -------
    None, or the changed copy. Written are

    - the table ``table_key``, one row a tile, without genes: ``obsm["spatial"]`` float (n, 2), x then y, full-resolution
      pixels; ``obs["library_id"]``, ``obs["array_row"]``, ``obs["array_col"]``, ``obs["in_tissue"]``, and ``obs["patient"]``
      where the reader was told; ``uns["spatial"]`` with a small picture, for squidpy;
      ``uns["histodecon"]["slides"][library]``, as of a reader, with ``pitch_um`` and ``layout``;
    - what :func:`histodecon.pp.tile_spots` writes: ``uns["histodecon"]["tiles"]``, ``obs["tissue_fraction"]``,
      ``obs["in_tissue_tile"]``, ``obs["tile_padding"]``;
    - the shapes ``{library}_spots``, circles that touch, and ``{library}_tiles``, squares. For a table that is not called
      ``"table"``, ``{library}_{table_key}_spots`` and ``{library}_{table_key}_tiles``.

    The grid is centered in the image; distances are exact, and tiles are cut to half a pixel.

    Raises
    ------
    InputError
        There is no tissue on a slide, a table of this name exists, a size or the layout cannot be, or ``data`` is no
        SpatialData.
    MissingKeyError
        There is no image.
    ResolutionError
        The size of a pixel is unknown or implausible; ``tile_mpp`` without ``size_px``.
    ImageError
        An image cannot be read as H&E.
    GeometryError
        The transformation of an image is not a scale and a shift.

    Warns
    -----
    ResolutionWarning
        Two sources of the pixel size differ by more than 5 %%, or tiles have few pixels because the image is a small picture.

    Examples
    --------
    >>> import histodecon as hd
    >>> toy = hd.datasets.toy_slide(n_rows=6, n_cols=6)
    >>> slide = hd.io.read_slide(toy["toy_1_image"], library_id="biopsy", mpp=1.0)
    >>> hd.pp.tile_grid(slide, spacing_um=100)
    >>> adata = slide["table"]
    >>> adata.obs["library_id"].unique().tolist(), adata.n_vars
    (['biopsy'], 0)
    >>> hd.pp.embed_tiles(slide, "color_stats", show_progress_bar=False)
    >>> adata.obsm["X_color_stats"].shape == (adata.n_obs, 119)
    True
    """
    if not is_spatialdata(data):
        msg = f"A grid is laid over the images of a SpatialData, not of {type(data).__name__}"
        raise InputError(msg, fix="read the slide with `histodecon.io.read_slide(path)`", code="BI-35")
    tile = TileSize(size_um, size_px, tile_mpp)
    check_threshold(tissue_threshold)
    if not (np.isfinite(spacing_um) and spacing_um > 0):
        msg = f"`spacing_um` must be above 0, not {spacing_um}"
        raise InputError(msg, fix="`spacing_um=100`")
    notes = slide_notes(data)
    names = image_names(data, library_id, image_key, notes)
    suffix = "" if table_key == Key.element.TABLE else f"_{table_key}"
    require_own(data, table_key, names, suffix)
    slides: list[GriddedSlide] = []
    faults: list[HistodeconError] = []
    for library, name in names.items():
        try:
            source = element_source(data, name, library)
            note = notes.get(library, notes.get(safe_key(library), {}))
            stated = mpp.get(library) if isinstance(mpp, Mapping) else mpp
            slides.append(_grid(source, library, note, stated, spacing_um, layout, tile, tissue_threshold))
        except HistodeconError as fault:
            faults.append(fault)
    raise_together(faults)
    return _write(data, slides, table_key, suffix, copy=copy)


def _grid(
    source: ImageSource,
    library: str,
    note: Mapping[str, Any],
    mpp: Any,
    spacing_um: float,
    layout: Literal["hex", "square"],
    tile: TileSize,
    threshold: float,
) -> GriddedSlide:
    opened = images.open_image(source.image)
    with nullcontext(opened) if opened is source.image else opened as image:
        scale = scale_without_spots(image, source, library, note, mpp)
        low, high = source.to_fullres(np.array([[0, 0], [image.width, image.height]]))
        width, height = (high - low).tolist()
        grid = grid_centers(width, height, spacing_um / scale[0], layout)
        grid = grid._replace(xy=grid.xy + low)
        picture, factor = overview(image, scale[0] / source.scale)
        box_px = max(1, round(tile.native_px(scale[0]) * source.scale))
        near = may_hold_tissue(picture, factor, source.to_pixels(grid.xy), box_px)
        found = grid.only(near)
        tiling = lay_tiles(image, source, np.arange(len(found.xy)), found.xy, library, scale, tile, threshold)
        keep = tiling.tissue >= max(threshold, np.nextafter(0, 1))
        if not keep.any():
            raise _no_tissue(library, len(grid.xy), tiling, threshold, picture)
        small, small_factor = image.thumbnail(THUMBNAIL_PX)
        facts = {"width_px": round(image.width / source.scale), "height_px": round(image.height / source.scale)}
    record = {
        **{key: value for key, value in note.items() if key != Key.obs.PATIENT},
        **facts,
        "mpp": scale[0],
        "mpp_source": scale[1],
        "image_mpp": scale[0] / source.scale,
        "spot_diameter_um": float(spacing_um),
        "pitch_um": float(spacing_um),
        "layout": layout,
        "n_places": len(grid.xy),
    }
    patient = note.get(Key.obs.PATIENT)
    return GriddedSlide(
        library, found.only(keep), tiling.only(keep), record, small, small_factor * source.scale, patient
    )


def scale_without_spots(
    image: images.SlideImage, source: ImageSource, library: str, note: Mapping[str, Any], mpp: Any
) -> tuple[float, str]:
    """Find the µm per full-resolution pixel of a slide that has no spots.

    Parameters
    ----------
    image
        The opened image.
    source
        Where it lies.
    library
        Name of the slide.
    note
        What a reader recorded.
    mpp
        What the user states, or None.

    Returns
    -------
    µm per pixel, and where that came from.

    Raises
    ------
    ResolutionError
        It is unknown or makes no sense.
    """
    if mpp is not None and (not isinstance(mpp, (int, float, np.number)) or not np.isfinite(mpp)):
        msg = f"`mpp` must be a number, not {mpp!r}"
        raise ResolutionError(msg, fix="`mpp=0.5`", code="BI-15")
    stated = [] if mpp is None else [(float(mpp), USER)]
    known = []
    if "mpp" in note:
        known.append(Estimate(float(note["mpp"]), str(note.get("mpp_source", "reader"))))
    if image.mpp is not None:
        known.append(Estimate(image.mpp * source.scale, IMAGE_FILE))
    if not stated and not known:
        msg = f"The size of a pixel of slide {library!r} is unknown"
        where = f'neither {source.name} nor attrs["{Key.uns.ROOT}"] states it'
        why = "without it a tile shows an unknown piece of tissue"
        raise ResolutionError(msg, where=where, why=why, fix="state it in µm per pixel: `mpp=0.5`", code="BI-14")
    return choose_mpp(stated, known, slide=library)


def _no_tissue(library: str, n_places: int, tiling: Tiling, threshold: float, picture: np.ndarray) -> InputError:
    most = float(tiling.tissue.max()) if len(tiling.tissue) else 0.0
    light = float((picture @ np.array([0.299, 0.587, 0.114])).mean())
    return InputError(
        f"No tissue was found on slide {library!r}",
        where=f"0 of {n_places} tiles reach the threshold {threshold}; the most stained has {most:.3f}; "
        f"the mean luminance is {light:.0f} of 255",
        why="there is nothing to predict from",
        fix="look at the image; for a very pale stain lower `tissue_threshold=`",
        code="BI-40",
    )


def _write(data: Any, slides: Sequence[GriddedSlide], table_key: str, suffix: str, *, copy: bool) -> Any:
    table = grid_table(slides, suffix)
    shapes = {}
    for slide in slides:
        shapes[slide.library + suffix + Key.element.SPOTS] = place_circles(slide)
        rows = np.flatnonzero((table.obs[Key.obs.LIBRARY] == slide.library).to_numpy())
        squares = tile_squares(data, table, slide.library, slide.tiling.at(rows))
        shapes[slide.library + suffix + Key.element.TILES] = squares
    if copy:
        kinds = ("images", "labels", "points", "shapes", "tables")
        data = type(data)(**{kind: dict(getattr(data, kind)) for kind in kinds}, attrs=dict(data.attrs))
    for name, element in shapes.items():
        data.shapes.pop(name, None)
        data.shapes[name] = element
    data.tables.pop(table_key, None)
    data.tables[table_key] = table
    return data if copy else None
