"""Annotations of a pathologist, from QuPath."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histodecon._core import InputError, StoreError, first_names

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

MOST_BYTES = 2_000_000_000
UNNAMED = "unnamed"
AREAS = ("Polygon", "MultiPolygon")


def read_geojson(path: str | os.PathLike[str]) -> GeoDataFrame:
    """Read the annotations that QuPath exported from one slide.

    Parameters
    ----------
    path
        GeoJSON: a FeatureCollection, a list of features or one feature. Coordinates are full-resolution pixels.

    Returns
    -------
    GeoDataFrame, a row an area: ``geometry`` (valid polygons, x then y, full-resolution pixels), ``name`` (the class, where there is
    none the object's own name, else ``"unnamed"``), ``object_type`` (``"annotation"``, ``"detection"``, ...), ``id``.
    It goes into a SpatialData as ``sdata.shapes["regions"] = spatialdata.models.ShapesModel.parse(...)`` and into
    :func:`histodecon.pp.assign_regions` as it is.

    Raises
    ------
    StoreError
        The file cannot be read.
    InputError
        It is not GeoJSON, or holds no area.

    Notes
    -----
    Points and lines have no inside and are left out. Outlines that cross themselves are mended.

    References
    ----------
    Butler et al. 2016, RFC 7946; Bankhead et al. 2017, doi:10.1038/s41598-017-17204-5.

    Examples
    --------
    >>> import histodecon as hd, json, tempfile, pathlib
    >>> square = [[[0, 0], [100, 0], [100, 100], [0, 100], [0, 0]]]
    >>> feature = {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": square}}
    >>> feature["properties"] = {"objectType": "annotation", "classification": {"name": "Tumor"}}
    >>> path = pathlib.Path(tempfile.mkdtemp(), "regions.geojson")
    >>> _ = path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    >>> list(hd.io.read_geojson(path)["name"])
    ['Tumor']
    """
    import geopandas as gpd

    features = _read(Path(path))
    rows = [row for row in map(_row, features) if row is not None]
    if not rows:
        msg = f"{Path(path).name} holds no area"
        kinds = sorted({str((one.get("geometry") or {}).get("type")) for one in features})
        where = f"{len(features)} objects: {first_names(kinds, 5)}" if features else "no objects"
        fix = "export annotations with *File > Export objects as GeoJSON*"
        raise InputError(msg, where=where, fix=fix, code="BI-120")
    return gpd.GeoDataFrame(rows, geometry="geometry")


def _read(path: Path) -> list[Mapping[str, Any]]:
    try:
        if path.stat().st_size > MOST_BYTES:
            msg = f"{path.name} is too large for a file of annotations"
            raise InputError(msg, where=f"{path.stat().st_size} bytes", fix="export annotations alone", code="BI-120")
        found = json.loads(path.read_bytes())
    except OSError as error:
        msg = f"{path.name} cannot be read"
        raise StoreError(msg, where=f"{path}: {error.strerror}", fix="check the path", code="FI-06") from error
    except (ValueError, RecursionError) as error:
        raise _not_geojson(path, str(error)) from error
    if isinstance(found, Mapping):
        found = found.get("features", [found])
    if not isinstance(found, list) or not all(isinstance(one, Mapping) and "geometry" in one for one in found):
        raise _not_geojson(path, "no features")
    return found


def _not_geojson(path: Path, why: str) -> InputError:
    fix = "export it from QuPath with *File > Export objects as GeoJSON*"
    return InputError(f"{path.name} is not GeoJSON", where=why, fix=fix, code="BI-120")


def _row(feature: Mapping[str, Any]) -> dict[str, Any] | None:
    import shapely
    from shapely.geometry import shape

    geometry = feature["geometry"]
    if not isinstance(geometry, Mapping) or geometry.get("type") not in AREAS:
        return None
    try:
        area = shapely.make_valid(shape(geometry))
    except (ValueError, TypeError, AttributeError, IndexError, shapely.errors.ShapelyError) as error:
        msg = f"The outline of an object is no {geometry.get('type')}"
        raise InputError(msg, where=f"id {feature.get('id')}", why=str(error), code="BI-120") from error
    if area.is_empty or area.area == 0:
        return None
    properties = feature.get("properties") or {}
    classification = properties.get("classification") or {}
    named = classification.get("name") if isinstance(classification, Mapping) else None
    return {
        "name": str(named or properties.get("name") or UNNAMED),
        "object_type": str(properties.get("objectType") or properties.get("object_type") or "annotation"),
        "id": str(feature.get("id", "")),
        "geometry": area,
    }
