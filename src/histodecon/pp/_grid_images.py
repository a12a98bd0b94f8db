"""Images of a SpatialData that a grid is laid over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from histodecon._core import InputError, Key, MissingKeyError, first_names


def image_names(
    data: Any, library_id: str | Sequence[str] | None, image_key: Any, notes: Mapping[str, Any]
) -> dict[str, str]:
    """Find the image element of every slide that is to be tiled.

    Parameters
    ----------
    data
        SpatialData.
    library_id, image_key
        As in :func:`histodecon.pp.tile_grid`.
    notes
        Records of the slides.

    Returns
    -------
    Name of the image element by library id.

    Raises
    ------
    InputError
        One image was named for several slides.
    MissingKeyError
        There is no such image, or none at all.
    """
    present = list(data.images)
    named = dict(image_key) if isinstance(image_key, Mapping) else {}
    if library_id is not None:
        libraries = [library_id] if isinstance(library_id, str) else [str(library) for library in library_id]
    elif named:
        libraries = list(named)
    elif isinstance(image_key, str):
        libraries = [image_key.removesuffix(Key.element.IMAGE)]
    else:
        noted = [library for library in notes if library + Key.element.IMAGE in present]
        libraries = noted or [name.removesuffix(Key.element.IMAGE) for name in present]
    if isinstance(image_key, str):
        if len(libraries) > 1:
            msg = f"One image element was named for {len(libraries)} slides"
            fix = f"name one for each: `image_key={{{libraries[0]!r}: {image_key!r}, ...}}`"
            raise InputError(msg, fix=fix, code="BI-36")
        named = {libraries[0]: image_key}
    found = {library: named.get(library, _default_name(library, present, len(libraries))) for library in libraries}
    missing = [name for name in found.values() if name not in present]
    if missing or not found:
        msg = f"The SpatialData has no image {missing[0]!r}" if missing else "The SpatialData has no image"
        where = f"images present: {first_names(present, 8)}"
        fix = "name the image with `image_key=`, or read a slide with `histodecon.io.read_slide(path)`"
        raise MissingKeyError(msg, where=where, fix=fix, code="BI-35")
    return found


def _default_name(library: str, present: Sequence[str], n_slides: int) -> str:
    if library + Key.element.IMAGE in present:
        return library + Key.element.IMAGE
    if library in present:
        return library
    return present[0] if n_slides == 1 and len(present) == 1 else library + Key.element.IMAGE
