"""Outlines of nuclei from whatever holds them: shapes, labels, a GeoJSON file, a table of areas, a segmentation."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from histodecon import images
from histodecon._core import (
    GeometryError,
    ImageSource,
    InputError,
    MissingKeyError,
    feature_area,
    first_names,
    read_features,
)
from histodecon.images._segment_nuclei import label_outlines

if TYPE_CHECKING:
    from numpy.typing import NDArray

SEGMENT = "segment"
FILES = (".geojson", ".json")
QUPATH_NUCLEUS = "nucleusGeometry"
"""Under which QuPath keeps the nucleus of a cell whose ``geometry`` is the cell."""


@dataclass(frozen=True)
class Outlines:
    """Nuclei of one slide.

    Parameters
    ----------
    areas
        Polygons in full-resolution pixels, shape (n,).
    names
        What identifies each, whole numbers or texts, shape (n,).
    element
        Name of the shapes element that holds them already; None where there is none yet.
    source
        Where they come from, in words.
    """

    areas: NDArray[np.object_]
    names: NDArray[Any]
    element: str | None
    source: str

    def only(self, keep: NDArray[np.bool_]) -> Outlines:
        """Keep some nuclei.

        Parameters
        ----------
        keep
            Shape (n,).

        Returns
        -------
        They.
        """
        return Outlines(self.areas[keep], self.names[keep], self.element, self.source)


def of_slide(nuclei: Any, library: str, n_slides: int) -> Any:
    """Pick what was handed in for one slide.

    Parameters
    ----------
    nuclei
        As in :func:`histodecon.pp.embed_nuclei`.
    library
        Name of the slide.
    n_slides
        Number of slides.

    Returns
    -------
    A name, path, function or table.

    Raises
    ------
    InputError
        There is nothing for this slide, or one thing for several.
    """
    if isinstance(nuclei, Mapping):
        if library not in nuclei:
            msg = f"`nuclei` holds none of slide {library!r}"
            raise InputError(msg, where=f"it holds {first_names(nuclei)}", fix=_FIX_DICT, code="BI-104")
        return nuclei[library]
    if not hasattr(nuclei, "geometry") and (callable(nuclei) or nuclei == SEGMENT):
        return nuclei
    if isinstance(nuclei, str) and "{library_id}" in nuclei:
        return nuclei.replace("{library_id}", library)
    if n_slides > 1:
        msg = f"Nuclei of one slide were given for {n_slides} slides"
        raise InputError(msg, fix=_FIX_DICT, code="BI-36")
    return nuclei


_FIX_DICT = '`nuclei="{library_id}_nuclei"`, or a dict from slide to name, path or table'


def read_outlines(data: Any, given: Any, source: ImageSource, library: str, mpp: float) -> Outlines:
    """Read the nuclei of a slide.

    Parameters
    ----------
    data
        SpatialData.
    given
        What :func:`of_slide` gave.
    source
        Image of the slide.
    library
        Its name.
    mpp
        µm per full-resolution pixel.

    Returns
    -------
    The outlines; those that have no area are left out.

    Raises
    ------
    InputError
        There are no nuclei, or what was given is of no known kind.
    MissingKeyError
        No shapes or labels have this name.
    GeometryError
        They are not in the coordinate system of the slide.
    StoreError
        A file cannot be read.
    """
    if hasattr(given, "geometry"):
        found = _of_frame(given, "a table of areas", None)
    elif callable(given) or given == SEGMENT:
        found = _segmented(source, mpp, given)
    elif isinstance(given, str) and given in data.shapes:
        frame = data.shapes[given]
        found = _of_frame(frame, f'shapes["{given}"]', given, _matrix(frame, given, source, library))
    elif isinstance(given, str) and given in data.labels:
        found = _of_labels(data, given, source, library)
    elif isinstance(given, os.PathLike) or (isinstance(given, str) and given.lower().endswith(FILES)):
        found = _of_file(Path(given))
    else:
        msg = f"There are no nuclei {given!r}"
        have = [*data.shapes, *data.labels]
        fix = f"name shapes or labels, a file ending in {FILES[0]}, or let them be found: `nuclei={SEGMENT!r}`"
        raise MissingKeyError(msg, where=f"shapes and labels present: {first_names(have, 8)}", fix=fix, code="BI-35")
    import shapely

    found = found.only(shapely.area(found.areas) > 0)
    if not len(found.areas):
        msg = f"No nuclei were found on slide {library!r}"
        raise InputError(msg, where=f"in {found.source}", fix="look at the image and at the outlines", code="BI-40")
    return found


def _of_frame(frame: Any, source: str, element: str | None, matrix: NDArray | None = None) -> Outlines:
    import shapely

    areas = frame.geometry.to_numpy()
    if "radius" in frame:
        points = shapely.get_type_id(areas) == 0
        areas = np.where(points, shapely.buffer(areas, np.where(points, frame["radius"].to_numpy(), 0.0)), areas)
    if matrix is not None and not np.allclose(matrix, np.eye(3)):
        areas = shapely.transform(areas, lambda xy: _moved(xy, matrix))
    names = frame.index.to_numpy()
    if not frame.index.is_unique:
        msg = f"Nuclei of {source} share their names"
        raise InputError(msg, where=first_names(frame.index[frame.index.duplicated()]), fix="`.reset_index(drop=True)`")
    return Outlines(np.asarray(areas, dtype=object), names, element, source)


def _of_labels(data: Any, name: str, source: ImageSource, library: str) -> Outlines:
    import shapely

    element = data.labels[name]
    matrix = _matrix(element, name, source, library)
    whole = element["scale0"]["image"] if hasattr(element, "children") else element  # the finest of several scales
    found = list(label_outlines(np.asarray(whole)))
    areas = np.array([shapely.Polygon(_moved(outline, matrix)) for _, outline in found], dtype=object)
    return Outlines(areas, np.array([label for label, _ in found], dtype=np.int64), None, f'labels["{name}"]')


def _moved(xy: NDArray, matrix: NDArray) -> NDArray:
    return np.asarray(xy @ matrix[:2, :2].T + matrix[:2, 2])


def _of_file(path: Path) -> Outlines:
    rows = [row for row in (feature_area(one, QUPATH_NUCLEUS) for one in read_features(path)) if row is not None]
    areas = np.array([row["geometry"] for row in rows], dtype=object)
    return Outlines(areas, np.arange(len(rows)), None, path.name)


def _segmented(source: ImageSource, mpp: float, given: Any) -> Outlines:
    import shapely

    from histodecon.pp._tile_stream import opened

    find = given if callable(given) else None
    with opened(source.image) as image:
        outlines = images.segment_nuclei(image, mpp / source.scale, find=find)
    areas = np.array([shapely.Polygon(source.to_fullres(xy)) for xy in outlines], dtype=object)
    source_text = "a segmentation by hematoxylin" if find is None else f"a segmentation by {_name_of(find)}"
    return Outlines(areas, np.arange(len(areas)), None, source_text)


def _name_of(function: Any) -> str:
    return str(getattr(function, "__name__", type(function).__name__))


def _matrix(element: Any, name: str, source: ImageSource, library: str) -> NDArray:
    """From the element's own coordinates to full-resolution pixels."""
    from spatialdata.transformations import get_transformation

    known = get_transformation(element, get_all=True)
    wanted = [source.coordinate_system, library]
    system = next((one for one in wanted if one in known), None)
    if system is None and "global" in known and (source.coordinate_system is None or len(known) == 1):
        system = "global"
    if system is None:
        msg = f"{name!r} is not in the coordinate system of slide {library!r}"
        where = f"it is in {first_names(known)}; the slide is in {first_names([one for one in wanted if one])}"
        fix = "`spatialdata.transformations.set_transformation(...)`"
        raise GeometryError(msg, where=where, why="nuclei would lie elsewhere", fix=fix, code="BI-17")
    return np.asarray(known[system].to_affine_matrix(("x", "y"), ("x", "y")))
