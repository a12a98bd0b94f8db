"""Which annotated region a spot lies in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from histodecon._core import InputError, Key, coordinates, copy_of, doc, first_names, iter_libraries, table_of

if TYPE_CHECKING:
    from anndata import AnnData
    from geopandas import GeoDataFrame


@doc
def assign_regions(
    data: Any,
    regions: GeoDataFrame | Mapping[str, GeoDataFrame],
    *,
    name_column: str = "name",
    key_added: str = Key.obs.ANNOTATION,
    table_key: str = Key.element.TABLE,
    library_key: str = Key.obs.LIBRARY,
    copy: bool = False,
) -> Any:
    """Write for every spot the name of the annotated region that its center lies in.

    Parameters
    ----------
    %(data)s
    regions
        Areas in full-resolution pixels with a column of names, such as :func:`histodecon.io.read_geojson` gives; with several
        slides a dict from slide to areas.
    name_column
        Column of ``regions`` with the names.
    key_added
        Column of ``obs`` to write.
    %(table_key)s
    %(library_key)s
    %(copy)s

    Returns
    -------
    None, or the copy.

    Raises
    ------
    InputError
        There are several slides and one set of regions, a slide is unknown, or the column is absent.

    Notes
    -----
    Writes ``obs[key_added]``, categorical; spots in no region are missing. Where regions overlap the smaller one counts, so
    that a nest inside a lobule is the nest.

    Examples
    --------
    >>> import histodecon as hd, geopandas as gpd, shapely
    >>> adata = hd.datasets.toy_slide()["table"]
    >>> left = gpd.GeoDataFrame({"name": ["left"]}, geometry=[shapely.box(0, 0, 400, 5000)])
    >>> hd.pp.assign_regions(adata, left)
    >>> bool((adata.obsm["spatial"][adata.obs["annotation"] == "left", 0] <= 400).all())
    True
    """
    out = copy_of(data, table_key) if copy else data
    adata = table_of(out, table_key)
    found = _labels(adata, regions, name_column, library_key)
    import pandas as pd

    adata.obs[key_added] = pd.Categorical(found)
    return out if copy else None


def _labels(
    adata: AnnData, regions: GeoDataFrame | Mapping[str, GeoDataFrame], column: str, library_key: str
) -> np.ndarray:
    import shapely

    slides = dict(iter_libraries(adata, library_key))
    if not isinstance(regions, Mapping):
        if len(slides) > 1:
            msg = f"Regions of one slide, but {len(slides)} slides"
            where = f"slides: {first_names(list(slides))}"
            raise InputError(msg, where=where, fix=f'`{{"{next(iter(slides))}": regions}}`', code="BI-104")
        regions = {next(iter(slides)): regions}
    unknown = [name for name in regions if name not in slides]
    if unknown:
        msg = f"There are regions of slides that are not here: {first_names(unknown)}"
        raise InputError(msg, where=f"slides: {first_names(list(slides))}", code="BI-104")
    found = np.full(adata.n_obs, None, dtype=object)
    centers = coordinates(adata)
    for library, table in regions.items():
        if column not in table:
            msg = f"The regions of {library!r} have no column {column!r}"
            where = f"columns: {first_names(list(map(str, table.columns)))}"
            raise InputError(msg, where=where, fix="`name_column=`", code="BI-104")
        rows = slides[library]
        points = shapely.points(centers[rows])
        for i in np.argsort(-shapely.area(table.geometry.to_numpy()), kind="stable"):
            inside = shapely.intersects(table.geometry.to_numpy()[i], points)
            found[rows[inside]] = str(table[column].iloc[i])
    return found
