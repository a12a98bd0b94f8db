"""Read whole slides that have no spots."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from histodecon._core import (
    HistodeconError,
    InputError,
    Key,
    NamingError,
    ResolutionError,
    doc,
    first_names,
    is_safe_key,
    raise_together,
    safe_key,
    set_slide_notes,
)
from histodecon.images import SlideImage, open_image
from histodecon.images._scale import IMAGE_FILE, PLAUSIBLE_MPP, USER, Estimate, choose_mpp
from histodecon.io._lazy_pixels import levels_of
from histodecon.io._slide_element import slide_element

if TYPE_CHECKING:
    from spatialdata import SpatialData

_SUFFIXES = (".ome.tiff", ".ome.tif", ".ome.btf")


@doc
def read_slide(
    path: Any,
    *,
    library_id: str | None = None,
    mpp: float | Mapping[str, float] | None = None,
    patient: str | Mapping[str, str] | None = None,
) -> SpatialData:
    """Read H&E slides without spots: whole-slide images, pyramidal, OME- and plain TIFF, JPEG, PNG.

    :func:`histodecon.pp.tile_grid` then lays tiles over the tissue and makes the table that the other steps work on.

    Parameters
    ----------
    path
        Path of an image file, or anything else that :func:`histodecon.images.open_image` opens. SVS, NDPI, MRXS, SCN, BIF, CZI
        and DICOM need the extra ``slide`` (openslide). Several slides: a dict from library id to these.
    library_id
        Name of the slide; default is the name of the file. Letters, digits, ``_``, ``.`` and ``-``.
    mpp
        µm per pixel of the largest level, for all slides or a dict from library id. Default: what the file states as
        openslide, OME or Aperio metadata, or as TIFF resolution in centimeters or inches when that is 0.1 to 2 µm per pixel.
        The dpi of a JPEG or PNG is never believed.
    patient
        Patient, for all slides or a dict from library id; :func:`histodecon.pp.tile_grid` writes it to ``obs["patient"]``.

    Returns
    -------
    SpatialData without a table: for each slide the image ``{library_id}_image`` in a coordinate system of the name of the slide,
    whose unit is the pixel of the largest level; and ``attrs["histodecon"]["slides"][library_id]`` with ``mpp``, ``mpp_source``,
    ``width_px``, ``height_px``, ``image_mpp``, ``image_source`` and ``patient`` where given. Images stay on disk and keep their
    pyramid (scale0 ... scaleN); JPEG and PNG cannot be read by parts and are decoded at once.

    Raises
    ------
    ResolutionError
        The size of a pixel is unknown, or lies outside 0.1 to 4 µm, or what you state and the file differ by a factor of 5.
    ImageError
        The file is absent, damaged, too large, or not a color image.
    MissingDependencyError
        The file needs openslide and it is not installed.
    NamingError
        A library id holds other characters.

    Warns
    -----
    ResolutionWarning
        ``mpp`` differs by more than 5 %% from what the file states.

    Notes
    -----
    Only the tissue is read. The label and the overview that scanners store beside it, which may show a name, are not opened.
    ``attrs`` are kept by ``write`` and ``read_zarr``; ``spatialdata.concatenate`` keeps them with ``attrs_merge="unique"``.

    Examples
    --------
    >>> import numpy as np
    >>> import histodecon as hd
    >>> pixels = np.full((300, 400, 3), 230, dtype=np.uint8)
    >>> sdata = hd.io.read_slide(pixels, library_id="biopsy", mpp=0.5)
    >>> list(sdata.images), sdata.attrs["histodecon"]["slides"]["biopsy"]["mpp"]
    (['biopsy_image'], 0.5)
    """
    from spatialdata import SpatialData

    sources = _sources(path, library_id)
    _require_known(sources, mpp=mpp, patient=patient)
    elements: dict[str, Any] = {}
    notes: dict[str, dict[str, Any]] = {}
    faults: list[HistodeconError] = []
    for library, source in sources.items():
        try:
            levels, notes[library] = _read(source, library, _of(mpp, library))
        except HistodeconError as fault:
            faults.append(fault)
            continue
        if (name := _of(patient, library)) is not None:
            notes[library][Key.obs.PATIENT] = str(name)
        elements[library + Key.element.IMAGE] = slide_element(levels, library)
    raise_together(faults)
    sdata = SpatialData(images=elements)
    set_slide_notes(sdata, notes)
    return sdata


def _sources(path: Any, library_id: str | None) -> dict[str, Any]:
    if isinstance(path, Mapping) and not hasattr(path, "children"):  # a DataTree is a mapping, too
        if library_id is not None:
            msg = "`library_id` names one slide, and several were handed in"
            raise InputError(msg, fix="name them as keys: `read_slide({'A1': path, ...})`", code="BI-36")
        sources = {str(library): source for library, source in path.items()}
    elif isinstance(path, (str, os.PathLike)):
        sources = {library_id or safe_key(_stem(Path(path))): path}
    else:
        sources = {library_id or "slide": path}
    if not sources:
        msg = "No slide was handed in"
        raise InputError(msg, fix="`read_slide({'A1': path, ...})`", code="BI-31")
    unsafe = [library for library in sources if not is_safe_key(library)]
    if unsafe:
        msg = "Some library ids cannot name elements of a SpatialData"
        why = "letters, digits, '_', '.' and '-' are kept by every format"
        raise NamingError(msg, where=first_names(unsafe), why=why, fix=f"use {safe_key(unsafe[0])!r}", code="BI-67")
    return {
        library: Path(source).absolute() if isinstance(source, (str, os.PathLike)) else source
        for library, source in sources.items()
    }


def _stem(path: Path) -> str:
    for suffix in _SUFFIXES:
        if path.name.lower().endswith(suffix):
            return path.name[: -len(suffix)]
    return path.stem


def _require_known(sources: Mapping[str, Any], **given: Any) -> None:
    for name, value in given.items():
        unknown = [library for library in value if library not in sources] if isinstance(value, Mapping) else []
        if unknown:
            msg = f"`{name}` names slides that were not handed in"
            where = f"{first_names(unknown)}; slides: {first_names(sources)}"
            raise InputError(msg, where=where, fix="check the spelling", code="BI-36")


def _of(value: Any, library: str) -> Any:
    return value.get(library) if isinstance(value, Mapping) else value


def _read(source: Any, library: str, mpp: Any) -> tuple[list[Any], dict[str, Any]]:
    opened = open_image(source)
    with nullcontext(opened) if opened is source else opened as image:
        value, value_source = _mpp(image, library, mpp)
        note = {
            "mpp": value,
            "mpp_source": value_source,
            "width_px": image.width,
            "height_px": image.height,
            "image_mpp": value,
            "image_source": image.source,
        }
        return levels_of(source, image), note


def _mpp(image: SlideImage, library: str, mpp: Any) -> tuple[float, str]:
    if mpp is not None and (not isinstance(mpp, (int, float, np.number)) or not np.isfinite(mpp)):
        msg = f"`mpp` must be a number, not {mpp!r}"
        raise ResolutionError(msg, fix="`mpp=0.5`", code="BI-15")
    low, high = PLAUSIBLE_MPP
    if mpp is None and (image.mpp is None or not low <= image.mpp <= high):
        stated = "states none" if image.mpp is None else f"states {image.mpp:.6g} µm, which is not plausible"
        msg = f"The size of a pixel of slide {library!r} is unknown"
        why = "without it a tile shows an unknown piece of tissue; the dpi of an image is never believed"
        fix = "state it in µm per pixel: `mpp=0.5`; scanners write it beside the image"
        raise ResolutionError(msg, where=f"{image.source} {stated}", why=why, fix=fix, code="BI-14")
    known = [] if image.mpp is None else [Estimate(image.mpp, IMAGE_FILE)]
    return choose_mpp([] if mpp is None else [(float(mpp), USER)], known, slide=library)
