"""Which tile belongs to which spot: by barcode, or by where they lie."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from histodecon._core import AlignmentError, GeometryError, ResolutionError, first_names

ABSENT = -1
FITS, MISFIT = 0.9, 0.2
"""Parts of the spots that have a tile: so many must have one for a factor to be named, so few before one is sought."""
SPANS = (0.5, 3.0)
"""Extent of the tiles over that of the spots: tissue is tiled beyond the spots or not quite to the last."""
FACTORS = tuple(2.0**power for power in range(-7, 8) if power)


def match_barcodes(names: pd.Index, barcodes: pd.Index, source: str, *, has_points: bool) -> np.ndarray:
    """Find the row of every spot by its name.

    Parameters
    ----------
    names
        Names of the spots.
    barcodes
        Names of the rows.
    source
        How to call the rows in an error.
    has_points
        Whether the rows could be matched by coordinates instead.

    Returns
    -------
    int (n_spots,): row, or -1.

    Raises
    ------
    AlignmentError
        A name stands twice, or none is common.
    """
    if not barcodes.is_unique:
        twice = barcodes[barcodes.duplicated()].unique()
        msg = f"Some barcodes stand more than once in {source}"
        where, why = f"{len(twice)}: {first_names(twice)}", "rows are matched by barcode"
        raise AlignmentError(msg, where=where, why=why, fix="keep one row of each", code="BI-04")
    rows = np.asarray(barcodes.get_indexer(names.astype(str)), dtype=np.int64)
    if (rows == ABSENT).all():
        msg = f"No spot is common to {source} and the table"
        where = f"{source} has {first_names(barcodes)}; obs_names has {first_names(names)}"
        by_place = ', or `match="coordinates"`' if has_points else ", or `assume_aligned=True` if the order is the same"
        fix = f"give the rows the barcodes of obs_names{by_place}"
        raise AlignmentError(msg, where=where, why="rows are matched by barcode", fix=fix, code="BI-08")
    return rows


def match_places(
    xy: np.ndarray, centers: np.ndarray, side: float | None, reach: float | None
) -> tuple[np.ndarray, np.ndarray]:
    """Find the nearest tile of every spot.

    Parameters
    ----------
    xy
        Centers of the spots, shape (n, 2).
    centers
        Centers of the tiles, same unit.
    side
        Side of a tile: a spot takes the tile that it lies in, the one with the nearest center.
    reach
        Largest distance instead.

    Returns
    -------
    int (n,): row, or -1; and the distance to the center of that tile.
    """
    if len(centers) == 0:
        return np.full(len(xy), ABSENT), np.full(len(xy), np.inf)
    if reach is not None:
        far, rows = cKDTree(centers).query(xy)
    else:
        far, rows = cKDTree(centers).query(xy, p=np.inf)
        reach = float(side or 0.0) / 2
    rows = np.where(far <= reach, rows, ABSENT).astype(np.int64)
    return rows, np.hypot(*(xy - centers[rows]).T)


def refuse_misfit(
    xy: np.ndarray, centers: np.ndarray, side: float, *, units: Mapping[str, float], source: str, slide: str
) -> None:
    """Say what is wrong with coordinates that hardly any spot agrees with, where that can be told.

    Parameters
    ----------
    xy, centers
        Centers of spots and tiles.
    side
        Side of a tile.
    units
        Factors from other units to full-resolution pixels, by the name of the unit.
    source, slide
        How to call them.

    Raises
    ------
    GeometryError
        x and y are exchanged.
    ResolutionError
        The tiles lie in pixels of another image, or in another unit.
    """
    if _part(xy, centers, side) > MISFIT:
        return
    if _fit(xy, centers[:, ::-1], side) is not None:
        msg = f"x and y of the tiles of {source} are exchanged"
        turned = _part(xy, centers[:, ::-1], side)
        where = (
            f"the other way round {turned:.0%} of the spots of slide {slide!r} lie in a tile; as they are, hardly any"
        )
        fix = 'exchange them, or those of the spots if they are wrong: `obsm["spatial"]` holds x first'
        raise GeometryError(msg, where=where, fix=fix, code="BI-10")
    factors = {**units, **{f"pixels of an image {_times(f)} this one": f for f in FACTORS}}
    fits = {unit: _fit(xy, factor * centers, factor * side) for unit, factor in factors.items()}
    good = sorted((unit for unit, fit in fits.items() if fit is not None), key=lambda unit: fits[unit] or (0.0, 0.0))
    if good:
        msg = f"The coordinates of {source} are not full-resolution pixels of slide {slide!r}"
        told = " or ".join(f"{unit} (times {factors[unit]:.6g})" for unit in good[:2])
        why = "spots would get the embedding of another place"
        fix = f'make the tiles on the image of the spots, or hand in an AnnData with `obsm["spatial"]` times {factors[good[0]]:.6g}'
        raise ResolutionError(msg, where=f"they fit as {told}", why=why, fix=fix, code="BI-11")


def refuse_other_places(
    xy: np.ndarray, found: tuple[np.ndarray, bool, float | None], names: pd.Index, *, source: str
) -> None:
    """Refuse rows whose barcodes agree and whose places do not: all Visium slides have the same barcodes.

    Parameters
    ----------
    xy
        Centers of the spots that have a row.
    found
        Points of these rows, whether they are corners, and the side of a tile.
    names
        Names of these spots.
    source
        How to call the rows.

    Raises
    ------
    GeometryError
        Some spots do not lie in the middle of their tile.
    """
    points, corner, side = found
    shift = xy - points
    half = max(float(np.median(shift)), 0.0) if side is None else side / 2
    expected = half if corner else 0.0
    room = max(half / 2, 2.0) if corner or side is not None else np.inf
    off = np.abs(shift - expected).max(axis=1) > room
    if off.any():
        msg = f"Barcodes of {source} agree with the table, places do not"
        where = (
            f"{int(off.sum())} of {len(off)} spots do not lie in the middle of their tile: {first_names(names[off])}"
        )
        why = "slides of one kind share their barcodes: this may be another slide"
        fix = '`match="barcode"` where the tiles were made on another scan of this slide'
        raise GeometryError(msg, where=where, why=why, fix=fix, code="BI-11")


def _part(xy: np.ndarray, centers: np.ndarray, side: float) -> float:
    rows, _ = match_places(xy, centers, side, None)
    return float((rows != ABSENT).mean())


def _fit(xy: np.ndarray, centers: np.ndarray, side: float) -> tuple[float, float] | None:
    """How well spots and tiles agree, small is well: distance in tiles, and difference of extents; None where they do not."""
    rows, far = match_places(xy, centers, side, None)
    span = _span(xy, centers)
    if (rows != ABSENT).mean() < FITS or span.min() < SPANS[0] or span.max() > SPANS[1]:
        return None
    return round(float(np.median(far)) / side, 1), abs(float(np.log(span).mean()))


def _span(xy: np.ndarray, centers: np.ndarray) -> np.ndarray:
    return (np.ptp(centers, axis=0) + 1.0) / (np.ptp(xy, axis=0) + 1.0)


def _times(factor: float) -> str:
    return f"{factor:.4g} times smaller than" if factor > 1 else f"{1 / factor:.4g} times larger than"
