"""Whether coordinates and image belong together."""

from __future__ import annotations

import numpy as np

from histodecon._core import GeometryError, InputError, ResolutionError, first_names
from histodecon.images._slide_image import SlideImage
from histodecon.images._tiles import iter_tiles
from histodecon.images._tissue import require_brightfield, tissue_fraction

MEASURED_PX = 64
"""Tiles are shrunk to this side before their tissue is measured."""

OUTSIDE_ALLOWED = 0.01
CLEARLY = 0.3
LOOKED_AT = 64


def outside(image: SlideImage, xy: np.ndarray) -> np.ndarray:
    """Tell which centers lie outside the image.

    Parameters
    ----------
    image
        The image.
    xy
        Centers in its pixels, shape (n, 2).

    Returns
    -------
    bool (n,).
    """
    return np.any((xy < 0) | (xy > [image.width, image.height]), axis=1)


def require_inside(
    image: SlideImage, xy: np.ndarray, names: np.ndarray, *, library: str, hires_factor: float | None
) -> None:
    """Refuse coordinates that leave the image, and say what they look like.

    Parameters
    ----------
    image
        The image.
    xy
        Centers in its pixels, shape (n, 2).
    names
        Barcodes.
    library
        Name of the slide.
    hires_factor
        ``tissue_hires_scalef`` where known.

    Raises
    ------
    GeometryError
        More than 1 % of the centers lie outside.
    ResolutionError
        They do, and they fit when scaled by ``hires_factor``.
    """
    bad = outside(image, xy)
    if bad.mean() <= OUTSIDE_ALLOWED:
        return
    reach = xy.max(axis=0)
    where = (
        f"{int(bad.sum())} of {len(bad)}: {first_names(names[bad])}; x reaches {reach[0]:.0f} and y {reach[1]:.0f}, "
        f"the image has {image.width} × {image.height} px"
    )
    msg = f"Spots of slide {library!r} lie outside its image"
    swapped = outside(image, xy[:, ::-1]).mean() <= OUTSIDE_ALLOWED
    if swapped:
        why, fix = "with x and y exchanged they fit", _SWAP
        raise GeometryError(msg, where=where, why=why, fix=fix, code="BI-10")
    if hires_factor is not None and outside(image, xy * hires_factor).mean() <= OUTSIDE_ALLOWED:
        why = f"scaled by {hires_factor:.4g} (tissue_hires_scalef) they fit: this is the small picture, they are of the large one"
        raise ResolutionError(
            msg, where=where, why=why, fix="hand in the full-resolution image with `image=`", code="BI-11"
        )
    fix = "check that image and coordinates are of one slide and one scale (full-resolution pixels, x first)"
    raise GeometryError(msg, where=where, fix=fix, code="BI-12")


def measure_tissue(image: SlideImage, xy: np.ndarray, size_px: int) -> np.ndarray:
    """Measure the stained part of every tile.

    Parameters
    ----------
    image
        The image.
    xy
        Centers in its pixels, shape (n, 2).
    size_px
        Side of a tile.

    Returns
    -------
    float64 (n,).
    """
    out = np.empty(len(xy))
    for rows, tiles in iter_tiles(image, xy, size_px, MEASURED_PX):
        out[rows] = tissue_fraction(tiles)
    return out


def require_tissue(
    image: SlideImage,
    xy: np.ndarray,
    size_px: int,
    tissue: np.ndarray,
    threshold: float,
    *,
    library: str,
    hires_factor: float | None,
) -> None:
    """Refuse coordinates that point at glass while others, made of them, point at tissue.

    Parameters
    ----------
    image
        The image.
    xy
        Centers in its pixels, shape (n, 2).
    size_px
        Side of a tile.
    tissue
        Stained part of every tile, shape (n,).
    threshold
        A tile with less is glass.
    library
        Name of the slide.
    hires_factor
        ``tissue_hires_scalef`` where known.

    Raises
    ------
    ImageError
        The tiles are as dark as a fluorescence image.
    GeometryError
        With x and y exchanged at least 30 % more of the tiles hold tissue.
    ResolutionError
        The same, when scaled up by ``hires_factor``.
    InputError
        No tile holds tissue.
    """
    some = np.linspace(0, len(xy) - 1, min(len(xy), LOOKED_AT)).astype(int)
    require_brightfield(
        np.concatenate([tile for _, tiles in iter_tiles(image, xy[some], size_px, MEASURED_PX) for tile in tiles])
    )
    share = float((tissue >= threshold).mean())
    if share >= 0.5:
        return
    where = f"{share:.0%} of {len(xy)} tiles hold tissue"
    msg = f"Spots of slide {library!r} do not lie on tissue"
    sample = xy[np.linspace(0, len(xy) - 1, min(len(xy), 200)).astype(int)]
    if _share(image, sample[:, ::-1], size_px, threshold) >= share + CLEARLY:
        raise GeometryError(msg, where=where, why="with x and y exchanged they do", fix=_SWAP, code="BI-10")
    if (
        hires_factor is not None
        and hires_factor < 1
        and _share(image, sample / hires_factor, size_px, threshold) - share >= CLEARLY
    ):
        why = f"divided by {hires_factor:.4g} (tissue_hires_scalef) they do: they are of the small picture"
        fix = f'`adata.obsm["spatial"] = adata.obsm["spatial"] / {hires_factor:.6g}`'
        raise ResolutionError(msg, where=where, why=why, fix=fix, code="BI-11")
    if not share:
        why = f"the most stained of them has {tissue.max():.3f}, the threshold is {threshold}"
        fix = "check that image and coordinates are of one slide; for a very pale stain lower `tissue_threshold=`"
        raise InputError(msg, where=where, why=why, fix=fix, code="BI-40")


_SWAP = "`histodecon.pp.tile_spots(data, swap_xy=True)`, or exchange the columns where they are read"


def _share(image: SlideImage, xy: np.ndarray, size_px: int, threshold: float) -> float:
    if outside(image, xy).mean() > OUTSIDE_ALLOWED:
        return 0.0
    return float((measure_tissue(image, xy, size_px) >= threshold).mean())
