"""Slides where nuclei are looked for, and the crops around the nuclei."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from histodecon import images
from histodecon._core import (
    ImageSource,
    InputError,
    Key,
    coordinates,
    element_source,
    image_source,
    iter_libraries,
    require_spots,
    require_unique_names,
    safe_key,
    slide_notes,
)
from histodecon.images._placement import require_inside
from histodecon.pp._grid_images import image_names
from histodecon.pp._nuclei_outlines import read_outlines
from histodecon.pp._nuclei_table import SlideOfNuclei, centers, nearest_spots
from histodecon.pp._resolution import resolve_mpp
from histodecon.pp._tile_grid import THUMBNAIL_PX, scale_without_spots
from histodecon.pp._tile_size import TileSize
from histodecon.pp._tiling import lay_tiles

if TYPE_CHECKING:
    from anndata import AnnData

NOT_OF_NUCLEI = ("pitch_um", "layout", "n_places", Key.obs.PATIENT)


@dataclass(frozen=True)
class Place:
    """A slide where nuclei are looked for.

    Parameters
    ----------
    library
        Its name.
    source
        Its image.
    spots
        Table of spots; None where there is none.
    rows
        Its rows in that table.
    """

    library: str
    source: ImageSource
    spots: AnnData | None
    rows: np.ndarray


def find_places(data: Any, image_key: Any, table_key: str, library_key: str) -> list[Place]:
    """Find the slides; without a table of spots every image is one.

    Parameters
    ----------
    data
        SpatialData.
    image_key, table_key, library_key
        As in :func:`histodecon.pp.embed_nuclei`.

    Returns
    -------
    The slides.

    Raises
    ------
    InputError
        There are no spots, or slides cannot be told apart.
    MissingKeyError
        There is no image.
    """
    if table_key in data.tables:
        spots = data.tables[table_key]
        require_spots(spots)
        require_unique_names(spots)
        libraries = dict(iter_libraries(spots, library_key))
        how = {"image_key": image_key, "library_key": library_key}
        return [Place(name, image_source(data, spots, name, **how), spots, rows) for name, rows in libraries.items()]
    names = image_names(data, None, image_key, slide_notes(data))
    return [Place(library, element_source(data, name, library), None, np.arange(0)) for library, name in names.items()]


def lay_crops(
    data: Any,
    place: Place,
    given: Any,
    crop: TileSize,
    *,
    spot_um: float | None,
    mpp: float | Mapping[str, float] | None,
    only_in_spots: bool,
) -> SlideOfNuclei:
    """Find the nuclei of a slide, the spots they lie in, and their crops.

    Parameters
    ----------
    data
        SpatialData.
    place
        The slide.
    given
        Where its nuclei are.
    crop
        Size of a crop.
    spot_um, mpp, only_in_spots
        As in :func:`histodecon.pp.embed_nuclei`.

    Returns
    -------
    The nuclei.

    Raises
    ------
    HistodeconError
        As in :func:`histodecon.pp.embed_nuclei`.
    """
    library, source = place.library, place.source
    notes = slide_notes(data)
    note = notes.get(library, notes.get(safe_key(library), {}))
    diameter = float(spot_um or note.get("spot_diameter_um", images.VISIUM_SPOT_UM))
    opened = images.open_image(source.image)
    with nullcontext(opened) if opened is source.image else opened as image:
        scale = _scale(image, place, note, mpp)
        outlines = read_outlines(data, given, source, library, scale[0])
        held = _held(place, centers(outlines.areas), diameter / scale[0] / 2)
        if only_in_spots:
            outlines, held = outlines.only(held != ""), held[held != ""]
        if not len(held):
            msg = f"No nucleus of slide {library!r} lies in a spot"
            raise InputError(msg, where=f"spots are {diameter:g} µm wide", fix="`only_in_spots=False`", code="BI-12")
        xy = centers(outlines.areas)
        require_inside(image, source.to_pixels(xy), outlines.names.astype(str), library=library, hires_factor=None)
        tiling = lay_tiles(image, source, np.arange(len(xy)), xy, library, scale, crop, 0.0)
        small, factor = image.thumbnail(THUMBNAIL_PX)
    record = {**{key: value for key, value in note.items() if key not in NOT_OF_NUCLEI}}
    record |= {"mpp": scale[0], "mpp_source": scale[1]}
    facts = {"source": outlines.source, "spot_um": diameter, "n_nuclei": len(xy), "n_in_spots": int((held != "").sum())}
    facts["own_shapes"] = outlines.element is None
    factors = {"tissue_hires_scalef": float(factor * source.scale), "spot_diameter_fullres": _usual_px(outlines)}
    picture = {"images": {"hires": small}, "scalefactors": factors}
    patient = _patient(place, note)
    return SlideOfNuclei(library, source, outlines, held, tiling, record, facts, picture, patient)


def _scale(
    image: images.SlideImage, place: Place, note: Mapping[str, Any], mpp: float | Mapping[str, float] | None
) -> tuple[float, str]:
    if place.spots is None:
        stated = mpp.get(place.library) if isinstance(mpp, Mapping) else mpp
        return scale_without_spots(image, place.source, place.library, note, stated)
    of_image = None if image.mpp is None else image.mpp * place.source.scale
    xy = coordinates(place.spots)[place.rows]
    return resolve_mpp(place.spots, place.library, place.rows, xy, mpp=mpp, image_mpp=of_image)


def _held(place: Place, xy: np.ndarray, radius: float) -> np.ndarray:
    if place.spots is None:
        return np.full(len(xy), "", dtype=object)
    names = place.spots.obs_names[place.rows].to_numpy()
    return nearest_spots(xy, coordinates(place.spots)[place.rows], names, radius)


def _usual_px(outlines: Any) -> float:
    """Diameter of a usual nucleus in full-resolution pixels."""
    import shapely

    return float(2 * np.sqrt(np.median(shapely.area(outlines.areas)) / np.pi))


def _patient(place: Place, note: Mapping[str, Any]) -> str | None:
    if place.spots is not None and Key.obs.PATIENT in place.spots.obs:
        found = place.spots.obs[Key.obs.PATIENT].iloc[place.rows].dropna().astype(str).unique()
        if len(found) == 1:
            return str(found[0])
    return None if note.get(Key.obs.PATIENT) is None else str(note[Key.obs.PATIENT])
