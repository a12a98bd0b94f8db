"""Where the spots lie on the tissue, and the tiles that an encoder sees there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from histodecon import images
from histodecon._core import (
    ImageSource,
    InputError,
    Key,
    MissingKeyError,
    doc,
    first_names,
    image_source,
    safe_key,
    table_of,
    uns_branch,
)
from histodecon.pl._figure import finish, plain
from histodecon.pl._tile_choice import Choice, choose_tiles
from histodecon.pl._tissue import Tissue, draw_scale_bar, draw_tissue, find_tissue

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes

MAP_PX = 1600
IN_TISSUE, OUTSIDE_TISSUE, CHOSEN = "#111111", "#D55E00", "#F0E442"


@doc
def tiles(
    data: Any,
    *,
    barcodes: str | Sequence[str] | None = None,
    cell_types: str | Sequence[str] | None = None,
    abundance: str = Key.obsm.PREDICTED,
    n_tiles: int = 12,
    output_px: int = 224,
    image: Any = None,
    image_key: str | Mapping[str, str] | None = None,
    library_id: str | None = None,
    table_key: str = Key.element.TABLE,
    library_key: str = Key.obs.LIBRARY,
    show: bool | None = None,
    save: str | Path | None = None,
) -> np.ndarray | None:
    """Draw the spots on the H&E image, and some tiles as an encoder sees them: from pale to stained, or those with most of a type.

    Left the slide, cut to its spots: circles have the true diameter of a spot, black where its tile is tissue, orange where
    it is not; numbered yellow squares are the tiles on the right. If the circles miss the tissue, image and coordinates
    do not belong together.

    With ``cell_types`` the tiles are those with the most and those with the least of each type: does what the model calls T-cells
    look like lymphocytes? Only tiles that hold tissue take part.

    Parameters
    ----------
    %(data)s
    barcodes
        Spots whose tiles are shown. Default: ``n_tiles`` of them, evenly from the least to the most stained.
    cell_types
        Types whose extremes are shown instead, two rows each: the highest, the lowest.
    abundance
        Key of ``obsm`` with the table that ranks them.
    n_tiles
        Number of tiles when ``barcodes`` are not given, of each cell type when these are; 0 draws the slide alone.
    output_px
        Side of a tile as handed to the encoder.
    %(image)s
    %(image_key)s
    library_id
        Name of the slide; may be left out when there is one.
    %(table_key)s
    %(library_key)s
    %(show)s
    %(save)s

    Returns
    -------
    The axes: the slide, then the tiles. None when the figure is shown.

    Raises
    ------
    MissingKeyError
        :func:`histodecon.pp.tile_spots` has not been run, there is no image, or no such table.
    InputError
        A slide, barcode or cell type is unknown, no tile has a value of a type, or the image is not the one that was tiled.

    Examples
    --------
    >>> import histodecon as hd
    >>> sdata = hd.datasets.toy_slide(n_rows=6, n_cols=6)
    >>> hd.pp.tile_spots(sdata)
    >>> axes = hd.pl.tiles(sdata, n_tiles=4, show=False)
    >>> len(axes)
    5
    >>> axes = hd.pl.tiles(sdata, cell_types="T-cells", abundance="true_abundance", n_tiles=6, show=False)
    >>> [ax.get_ylabel().splitlines()[1] for ax in axes[[1, 4]]]
    ['highest, cells per spot', 'lowest, cells per spot']
    """
    adata = table_of(data, table_key)
    tissue = find_tissue(adata, library_id, library_key, with_picture=False)
    record = _record(adata, tissue.library)
    names = adata.obs_names[tissue.rows]
    choice = choose_tiles(
        adata, tissue.rows, barcodes=barcodes, cell_types=cell_types, abundance=abundance, n_tiles=n_tiles
    )
    chosen = choice.at
    source = image_source(data, adata, tissue.library, image=image, image_key=image_key, library_key=library_key)
    opened = images.open_image(source.image)
    with nullcontext(opened) if opened is source.image else opened as slide:
        _require_same(slide, record, tissue.library)
        picture, _ = slide.thumbnail(MAP_PX)
        corners = source.to_fullres(np.array([[0, 0], [slide.width, slide.height]]))
        cut = _cut(slide, source, tissue.xy[chosen], int(record["size_px"]), output_px)
    axes = _figure(choice, tissue)
    axes[0].imshow(
        picture, extent=(corners[0, 0], corners[1, 0], corners[1, 1], corners[0, 1]), interpolation="antialiased"
    )
    _draw_map(axes[0], adata, tissue, chosen, float(record["size_px"]))
    captions = [f"{text}\n{plain(names[row], 24)}" for row, text in zip(chosen, choice.captions, strict=True)]
    for number, (ax, caption, tile) in enumerate(zip(axes[1:], captions, cut, strict=True), start=1):
        _draw_tile(ax, tile, float(record["size_px"]), f"{number} · {caption}")
    for row, label in enumerate(choice.labels):
        axes[1 + row * choice.n_columns].set_ylabel(label, fontsize=9)
    if len(axes) > 1:
        draw_scale_bar(axes[-1], replace(tissue, mpp=float(record["mpp"])))
    return None if finish(axes[0].figure, show=show, save=save) else axes


def _record(adata: AnnData, library: str) -> Mapping[str, Any]:
    record = uns_branch(adata, Key.uns.TILES).get(safe_key(library))
    columns = {Key.obs.TISSUE_FRACTION, Key.obs.IN_TISSUE_TILE}
    if not isinstance(record, Mapping) or not columns <= set(adata.obs.columns):
        msg = f"Slide {library!r} has no tiles"
        where = f"tiled slides: {first_names(uns_branch(adata, Key.uns.TILES))}"
        raise MissingKeyError(msg, where=where, fix="run `histodecon.pp.tile_spots(data)` first", code="BI-87")
    return record


def _require_same(slide: images.SlideImage, record: Mapping[str, Any], library: str) -> None:
    if slide.digest() != record["image_digest"]:
        msg = f"This is not the image that slide {library!r} was tiled on"
        where = f"{slide!r}; tiled was {record['image']}"
        fix = "hand in the same `image=`, or run `histodecon.pp.tile_spots` on this one"
        raise InputError(
            msg, where=where, why="the recorded tissue would be that of other pixels", fix=fix, code="BI-52"
        )


def _cut(slide: images.SlideImage, source: ImageSource, xy: np.ndarray, size_px: int, output_px: int) -> np.ndarray:
    out = np.empty((len(xy), output_px, output_px, 3), dtype=np.uint8)
    box_px = max(1, round(size_px * source.scale))
    for rows, part in images.iter_tiles(slide, source.to_pixels(xy), box_px, output_px):
        out[rows] = part
    return out


def _figure(choice: Choice, tissue: Tissue) -> np.ndarray:
    """A panel for the slide, and a grid of panels as high as it, or as wide as a page where rows are named."""
    import matplotlib.pyplot as plt

    n_tiles, n_columns = len(choice.at), choice.n_columns
    wide, tall = np.ptp(tissue.xy, axis=0) + 3 * tissue.diameter
    n_rows = -(-n_tiles // n_columns) if n_tiles else 0
    height = float(np.clip(6.0 * tall / wide, 3.5, 7.5))
    if choice.labels:
        height = max(height, min(1.5 * n_rows, 14.0))
    slide = min(height * wide / tall, 7.5)
    gallery = height / n_rows * 0.85 * n_columns + 0.4 * bool(choice.labels) if n_tiles else 0.0
    figure = plt.figure(figsize=(slide + gallery, height + 0.3), layout="constrained")
    if not n_tiles:
        return np.array([figure.add_subplot()])
    halves = figure.add_gridspec(1, 2, width_ratios=[slide, gallery])
    grid = halves[1].subgridspec(n_rows, n_columns)
    panels = [figure.add_subplot(grid[i // n_columns, i % n_columns]) for i in range(n_tiles)]
    return np.array([figure.add_subplot(halves[0]), *panels])


def _draw_map(ax: Axes, adata: AnnData, tissue: Tissue, chosen: np.ndarray, size_px: float) -> None:
    from matplotlib.collections import EllipseCollection
    from matplotlib.patches import Rectangle

    draw_tissue(ax, tissue)
    flag = adata.obs[Key.obs.IN_TISSUE_TILE].to_numpy(dtype=bool)[tissue.rows]
    size = np.full(len(flag), tissue.diameter)
    ax.add_collection(
        EllipseCollection(
            size,
            size,
            np.zeros_like(size),
            units="xy",
            offsets=tissue.xy,
            offset_transform=ax.transData,
            facecolors="none",
            edgecolors=np.where(flag, IN_TISSUE, OUTSIDE_TISSUE),
            linewidths=np.where(flag, 0.6, 1.4),
        )
    )
    for number, (x, y) in enumerate(tissue.xy[chosen], start=1):
        corner = (x - size_px / 2, y - size_px / 2)
        ax.add_patch(Rectangle(corner, size_px, size_px, fill=False, edgecolor=CHOSEN, linewidth=1.6))
        box = {"facecolor": CHOSEN, "edgecolor": "none", "pad": 0.8}
        ax.annotate(str(number), corner, fontsize=7, ha="right", va="bottom", bbox=box)
    outside = f", {int((~flag).sum())} below the tissue threshold" if not flag.all() else ""
    ax.set_title(f"{plain(tissue.library)}: {len(flag)} spots{outside}", fontsize=10)
    draw_scale_bar(ax, tissue)


def _draw_tile(ax: Axes, tile: np.ndarray, size_px: float, title: str) -> None:
    ax.imshow(tile, extent=(0, size_px, size_px, 0), interpolation="antialiased")
    room = ax.get_window_extent().width * 72 / ax.figure.dpi  # points
    ax.set_title(title, fontsize=min(7.5, max(4.0, room / (0.62 * max(map(len, title.splitlines()))))))
    ax.set_xticks([])
    ax.set_yticks([])
