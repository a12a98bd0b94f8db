"""Areas of a GeoJSON file, such as QuPath exports."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from histodecon._core._errors import InputError, StoreError

MOST_BYTES = 2_000_000_000
UNNAMED = "unnamed"
AREAS = ("Polygon", "MultiPolygon")


def read_features(path: Path) -> list[Mapping[str, Any]]:
    """Read the features of a file.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    The features, each with a ``geometry``.

    Raises
    ------
    StoreError
        The file cannot be read.
    InputError
        It is not GeoJSON, or is too large.
    """
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


def feature_area(feature: Mapping[str, Any], geometry_key: str = "geometry") -> dict[str, Any] | None:
    """Make a row of a feature that has an inside.

    Parameters
    ----------
    feature
        One of :func:`read_features`.
    geometry_key
        Which of its outlines; where it lacks that one, its ``geometry``.

    Returns
    -------
    ``name``, ``object_type``, ``id`` and ``geometry``, a valid area; None for points, lines and what is empty.

    Raises
    ------
    InputError
        The outline makes no sense.
    """
    import shapely
    from shapely.geometry import shape

    geometry = feature.get(geometry_key) or feature["geometry"]
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
