"""Which spot a small tile belongs to, and what the spots around say about its prediction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from histodecon._core import AlignmentError, ResolutionError, coordinates, first_names, iter_libraries, slide_mpp
from histodecon.stats import nearest_neighbor_pitch

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray

REACH = 0.75  # of the pitch: the corner of a square cell is 0.707 from its spot, that of a hexagonal one 0.577; lattices vary
AROUND = 6  # spots that a difference is interpolated from
_SMALL = 1e-3  # of the largest prediction: what a prediction may sink to


@dataclass(frozen=True)
class Families:
    """Tiles and their spots.

    Parameters
    ----------
    parent
        Row of each tile's spot, shape (n_tiles,); -1 for none.
    distance_um
        To the nearest spot of the slide, shape (n_tiles,); infinite on slides without spots.
    radius_um
        How far a spot reaches, by library id.
    around
        Rows of the spots of the slide, positions of spots and tiles in µm, rows of the tiles; one entry a slide.
    """

    parent: NDArray[np.intp]
    distance_um: NDArray[np.float64]
    radius_um: Mapping[str, float]
    around: tuple[tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.float64], NDArray[np.intp]], ...]


def find_parents(
    tiles: AnnData,
    spots: AnnData,
    *,
    radius_um: float | None,
    mpp: float | Mapping[str, float] | None,
    library_key: str,
) -> Families:
    """Find the nearest spot of each tile, slide by slide.

    Parameters
    ----------
    tiles, spots
        Two tables of the same slides.
    radius_um
        How far a spot reaches; None for 0.75 times the pitch.
    mpp
        µm per full-resolution pixel where neither table knows it.
    library_key
        Column of ``obs`` that tells slides apart.

    Returns
    -------
    The families.

    Raises
    ------
    AlignmentError
        No slide is in both tables.
    ResolutionError
        The size of a pixel is unknown.
    """
    from scipy.spatial import cKDTree

    spots_of, tiles_of = (dict(iter_libraries(table, library_key)) for table in (spots, tiles))
    shared = [name for name in tiles_of if name in spots_of]
    if not shared:
        msg = "No slide is in both tables"
        where = f"tiles: {first_names(tiles_of)}; spots: {first_names(spots_of)}"
        fix = f"give both the same names in obs[{library_key!r}], or name the column with `library_key=`"
        raise AlignmentError(msg, where=where, why="a tile belongs to a spot of its own slide", fix=fix)
    parent, distance = np.full(tiles.n_obs, -1, dtype=np.intp), np.full(tiles.n_obs, np.inf)
    places, centers = coordinates(tiles), coordinates(spots)
    reach, around = {}, []
    for name in shared:
        scale = _mpp(tiles, spots, name, mpp)
        own, rows = spots_of[name], tiles_of[name]
        own = own[np.lexsort(centers[own].T)]  # ties do not depend on the order of the rows
        at, to = centers[own] * scale, places[rows] * scale
        pitch = nearest_neighbor_pitch(at)
        reach[name] = float(radius_um if radius_um is not None else REACH * pitch if np.isfinite(pitch) else np.inf)
        distance[rows], nearest = cKDTree(at).query(to)
        parent[rows] = np.where(distance[rows] <= reach[name], own[nearest], -1)
        around.append((own, at, to, rows))
    return Families(parent, distance, reach, tuple(around))


def smoothed(
    families: Families, guess: NDArray[np.float64], values: NDArray[np.float64], known: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Move predictions by what the spots around were found to differ, on the scale of one spot.

    Parameters
    ----------
    families
        Tiles and their spots.
    guess
        Predictions of the tiles, shape (n_tiles, n_types).
    values
        What was measured, shape (n_spots, n_types).
    known
        Spots that have a value.

    Returns
    -------
    Predictions, shape (n_tiles, n_types), not negative.
    """
    from scipy.spatial import cKDTree

    out = guess.copy()
    usable = np.flatnonzero((families.parent >= 0) & np.isfinite(guess).all(axis=1))
    size = np.bincount(families.parent[usable], minlength=len(values))
    mean = np.zeros_like(values)
    np.add.at(mean, families.parent[usable], guess[usable])
    mean /= np.maximum(size, 1)[:, None]
    for own, at, to, rows in families.around:
        have = known[own] & (size[own] > 0)
        if not have.any():
            continue
        difference = (values - mean)[own[have]]
        distance, near = cKDTree(at[have]).query(to, k=min(AROUND, int(have.sum())))
        distance, near = distance.reshape(len(to), -1), near.reshape(len(to), -1)
        weight = 1.0 / np.maximum(distance, 1e-6 + 1e-3 * distance.max()) ** 2
        weight /= weight.sum(axis=1, keepdims=True)
        out[rows] = guess[rows] + np.einsum("ij,ijk->ik", weight, difference[near])
    floor = _SMALL * np.nanmax(np.abs(guess), axis=0, initial=0.0)
    return np.where(np.isnan(out), np.nan, np.maximum(out, np.minimum(floor, guess)))


def _mpp(tiles: AnnData, spots: AnnData, library: str, mpp: float | Mapping[str, float] | None) -> float:
    given = mpp.get(library) if isinstance(mpp, Mapping) else mpp
    for found in (given, slide_mpp(spots, library), slide_mpp(tiles, library)):
        if found is not None:
            if np.isfinite(found) and found > 0:
                return float(found)
            msg = f"mpp={found} of slide {library!r} is not a positive number"
            raise ResolutionError(msg, why="it is the size of a pixel in µm", fix="use `mpp=0.5`", code="BI-15")
    msg = f"The size of a pixel of slide {library!r} is unknown"
    fix = "state it in µm per full-resolution pixel: `mpp=0.5`"
    raise ResolutionError(msg, where="neither table records mpp", why="distances are in µm", fix=fix, code="BI-14")
