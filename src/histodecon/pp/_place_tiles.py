"""The row of a source for every spot of a slide, and the spots that have none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from histodecon._core import (
    AlignmentError,
    InputError,
    Key,
    ResolutionError,
    coordinates,
    first_names,
    slide_mpp,
)
from histodecon.pp._imported import Imported
from histodecon.pp._match_tiles import (
    ABSENT,
    match_barcodes,
    match_places,
    refuse_misfit,
    refuse_other_places,
)
from histodecon.pp._resolution import resolve_mpp

if TYPE_CHECKING:
    from anndata import AnnData

SAME_SIZE = 1.05
TWICE = 1.7
"""Below a factor of 2, above what two scanners call the same magnification."""
UM_AT_ONE = 10.0
"""µm per pixel at a magnification of 1: 0.5 at 20."""


@dataclass(frozen=True)
class Wish:
    """How the user wants rows and spots to be joined; names as in :func:`histodecon.pp.set_embedding`."""

    match: str
    tile_um: float | None
    max_distance_um: float | None
    mpp: float | Mapping[str, float] | None
    assume_aligned: bool


@dataclass(frozen=True)
class Placed:
    """Rows of a source for the spots of a slide.

    Parameters
    ----------
    rows
        Rows of the table, shape (n,).
    picked
        Rows of the source, shape (n,); -1 for none.
    matched
        ``"barcode"``, ``"coordinates"`` or ``"position"``.
    distance
        Pixels from spots to the centers of their tiles, where they were matched by coordinates.
    tile_mpp
        µm in a pixel of a tile, where known.
    """

    rows: np.ndarray
    picked: np.ndarray
    matched: str
    distance: np.ndarray | None
    tile_mpp: float | None


def place(adata: AnnData, library: str | None, rows: np.ndarray, found: Imported, wish: Wish) -> Placed:
    """Join the rows of a source with the spots of a slide.

    Parameters
    ----------
    adata
        The table.
    library
        Name of the slide; None where the rows are those of several.
    rows
        Rows of the table.
    found
        The source.
    wish
        How to join.

    Returns
    -------
    What belongs together.

    Raises
    ------
    AlignmentError
        Nothing does, or lengths differ.
    InputError
        There is nothing to match by.
    ResolutionError
        The size of the tiles or of a pixel is needed and unknown.
    GeometryError
        Coordinates and spots contradict each other.
    """
    names = adata.obs_names[rows]
    mpp = _mpp(adata, library, rows, wish)
    side = _side(found, wish, mpp)
    tile_mpp = found.shrink * mpp if found.shrink and mpp else found.tile_mpp
    how = _how(found, wish)
    distance = None
    if how == "position":
        picked = _by_position(rows, found)
    elif how == "barcode" and found.barcodes is not None:
        picked = match_barcodes(names, found.barcodes, found.name, has_points=found.points is not None)
        if wish.match == "auto" and found.points is not None and Key.obsm.SPATIAL in adata.obsm:
            has = picked != ABSENT
            seen = (found.points[picked[has]], found.corner, side)
            refuse_other_places(coordinates(adata)[rows][has], seen, names[has], source=found.name)
    else:
        if wish.match == "auto":
            _check_scale(found, library, tile_mpp, mpp)
        picked, distance = _by_place(adata, library, rows, found, wish, (side, mpp))
    return Placed(rows, picked, how, distance, tile_mpp)


def _how(found: Imported, wish: Wish) -> str:
    if wish.assume_aligned:
        return "position"
    has = {"barcode": found.barcodes is not None, "coordinates": found.points is not None}
    if wish.match == "auto" and not any(has.values()):
        msg = f"{found.name} has neither barcodes nor coordinates"
        fix = "a DataFrame whose index are barcodes; or `assume_aligned=True` if its rows are the spots, in their order"
        raise AlignmentError(msg, why="rows are never matched by position unasked", fix=fix, code="BI-09")
    if wish.match == "auto":
        return "barcode" if has["barcode"] else "coordinates"
    if not has[wish.match]:
        msg = f"{found.name} has nothing to match by {wish.match}"
        other = next((how for how, there in has.items() if there), None)
        fix = f'`match="{other}"`' if other else "`assume_aligned=True` if its rows are the spots, in their order"
        raise InputError(msg, fix=fix, code="BI-09")
    return wish.match


def _by_position(rows: np.ndarray, found: Imported) -> np.ndarray:
    if len(found.values) != len(rows):
        msg = f"{len(found.values)} embeddings cannot be aligned with {len(rows)} spots by position"
        why, fix = "one missing spot would shift all rows after it", "name the rows: a DataFrame with barcodes"
        raise AlignmentError(msg, where=found.name, why=why, fix=fix, code="BI-09")
    return np.arange(len(rows))


def _by_place(
    adata: AnnData,
    library: str | None,
    rows: np.ndarray,
    found: Imported,
    wish: Wish,
    sizes: tuple[float | None, float | None],
) -> tuple[np.ndarray, np.ndarray]:
    side, mpp = sizes
    if library is None:
        msg = f"{found.name} lies on one slide and the table holds several"
        why, fix = "coordinates say nothing across slides", '`values={"slide_1": ..., "slide_2": ...}`'
        raise InputError(msg, why=why, fix=fix, code="BI-36")
    points = np.empty((0, 2)) if found.points is None else found.points
    if side is None and (found.corner or wish.max_distance_um is None):
        msg = f"{found.name} does not say how large its tiles are"
        fix = "state what a tile shows, in µm: `tile_um=112`"
        raise ResolutionError(msg, why="its coordinates are corners, spots are centers", fix=fix, code="BI-14")
    if mpp is None and wish.max_distance_um is not None:
        msg = f"The size of a pixel of slide {library!r} is unknown"
        raise ResolutionError(msg, why="`max_distance_um` is in µm", fix="`mpp=0.5`", code="BI-14")
    reach = None if wish.max_distance_um is None or mpp is None else wish.max_distance_um / mpp
    xy = coordinates(adata)[rows]
    centers = points + (side or 0.0) / 2 if found.corner else points
    picked, distance = match_places(xy, centers, side, reach)
    if (picked == ABSENT).any() and len(centers):
        wide = side if side is not None else 2 * float(reach or 0.0)
        refuse_misfit(xy, centers, wide, units=_units(adata, library, mpp), source=found.name, slide=library)
    return picked, distance


def _check_scale(found: Imported, library: str | None, tile_mpp: float | None, mpp: float | None) -> None:
    """Refuse tiles whose stated scale cannot be that of this slide: they lie in pixels of another image."""
    magnification = found.recipe.get("magnification")
    stated = found.tile_mpp or (UM_AT_ONE / magnification if magnification else None)
    if stated is None or tile_mpp is None or mpp is None or 1 / TWICE < tile_mpp / stated < TWICE:
        return
    msg = f"The tiles of {found.name} were not made on the image of slide {library!r}"
    where = (
        f"their pixels would have {tile_mpp:.4g} µm at {mpp:.4g} µm per full-resolution pixel, they are said to have "
        f"{stated:.4g}: a factor of {tile_mpp / stated:.3g}"
    )
    fix = '`mpp=` if that of the slide is wrong; `match="coordinates"` trusts the coordinates alone'
    raise ResolutionError(msg, where=where, why="coordinates are pixels of one image", fix=fix, code="BI-11")


def _units(adata: AnnData, library: str, mpp: float | None) -> dict[str, float]:
    """Factors from units that tools write to full-resolution pixels."""
    units = {} if mpp is None else {"µm": 1 / mpp}
    factors: Mapping[str, Any] = adata.uns.get(Key.uns.SPATIAL, {}).get(library, {}).get("scalefactors", {})
    small = {name: float(factors.get(f"tissue_{name}_scalef", 0)) for name in ("hires", "lowres")}
    units |= {f"pixels of the {name} image": 1 / factor for name, factor in small.items() if factor > 0}
    return {name: factor for name, factor in units.items() if abs(factor - 1) > 0.01}


def _mpp(adata: AnnData, library: str | None, rows: np.ndarray, wish: Wish) -> float | None:
    """µm per pixel of a slide, None where nothing speaks of it."""
    if library is None or Key.obsm.SPATIAL not in adata.obsm:
        return None
    known = slide_mpp(adata, library) if wish.mpp is None else None
    if known is not None:
        return known
    try:
        return resolve_mpp(adata, library, rows, coordinates(adata)[rows], mpp=wish.mpp, image_mpp=None)[0]
    except ResolutionError as error:
        if error.code == "BI-14":
            return None
        raise


def _side(found: Imported, wish: Wish, mpp: float | None) -> float | None:
    """Side of a tile in full-resolution pixels."""
    stated = wish.tile_um / mpp if wish.tile_um is not None and mpp is not None else None
    side = found.side_px
    if side is not None and stated is not None and not 1 / SAME_SIZE <= side / stated <= SAME_SIZE:
        msg = f"`tile_um={wish.tile_um:g}` contradicts {found.name}"
        where = f"its tiles are {side:.4g} px wide, which is {side * (mpp or 0):.4g} µm at {mpp:.4g} µm per pixel"
        raise ResolutionError(msg, where=where, fix="leave `tile_um` out, or correct `mpp`", code="BI-16")
    return side if side is not None else stated


def absent_spots(adata: AnnData, placed: list[Placed], missing: str) -> np.ndarray:
    """Find the spots that no row belongs to.

    Parameters
    ----------
    adata
        The table.
    placed
        Slide by slide.
    missing
        ``"error"`` or ``"drop"``.

    Returns
    -------
    bool (n_obs,).

    Raises
    ------
    AlignmentError
        There are some and that is an error, or there are no others.
    """
    absent = np.ones(adata.n_obs, dtype=bool)
    for one in placed:
        absent[one.rows[one.picked != ABSENT]] = False
    if absent.any() and (missing == "error" or absent.all()):
        msg = "Some spots have no embedding" if not absent.all() else "No spot has an embedding"
        where = f"{int(absent.sum())} of {adata.n_obs}: {first_names(adata.obs_names[absent])}"
        by_place = any(one.matched == "coordinates" for one in placed)
        why = "they lie in no tile; a table without holes is needed" if by_place else "a table without holes is needed"
        fix = '`copy=True, missing="drop"` returns a table without them' if not absent.all() else "check the source"
        raise AlignmentError(msg, where=where, why=why, fix=fix, code="BI-09")
    return absent
