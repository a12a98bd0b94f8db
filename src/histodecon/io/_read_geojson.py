"""Annotations of a pathologist, from QuPath."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from histodecon._core import InputError, feature_area, first_names, read_features

if TYPE_CHECKING:
    from geopandas import GeoDataFrame


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

    features = read_features(Path(path))
    rows = [row for row in map(feature_area, features) if row is not None]
    if not rows:
        msg = f"{Path(path).name} holds no area"
        kinds = sorted({str((one.get("geometry") or {}).get("type")) for one in features})
        where = f"{len(features)} objects: {first_names(kinds, 5)}" if features else "no objects"
        fix = "export annotations with *File > Export objects as GeoJSON*"
        raise InputError(msg, where=where, fix=fix, code="BI-120")
    return gpd.GeoDataFrame(rows, geometry="geometry")
