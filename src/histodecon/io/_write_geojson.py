"""Spots or tiles with their cell types, for QuPath."""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from histodecon._core import (
    InputError,
    Key,
    MissingKeyError,
    coordinates,
    doc,
    first_names,
    iter_libraries,
    read_table,
    table_of,
    uns_branch,
    write_atomic,
)

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from numpy.typing import NDArray

CORNERS = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1], [-1, -1]]) / 2
N_ARC = 24
DECIMALS = 2
COLORS = (
    (31, 119, 180),
    (255, 127, 14),
    (44, 160, 44),
    (214, 39, 40),
    (148, 103, 189),
    (140, 86, 75),
    (227, 119, 194),
    (127, 127, 127),
    (188, 189, 34),
    (23, 190, 207),
)


@doc
def write_geojson(
    data: Any,
    path: str | os.PathLike[str],
    *,
    abundance: str = Key.obsm.PREDICTED,
    library_id: str | None = None,
    outline: Literal["tile", "spot"] = "tile",
    classify: bool = True,
    table_key: str = Key.element.TABLE,
    library_key: str = Key.obs.LIBRARY,
) -> Path:
    """Write the spots of one slide as objects that QuPath opens, with their cell types as measurements.

    In QuPath: open the slide, then *File > Import objects from file*. Measurement maps color the objects by any cell type.

    Parameters
    ----------
    %(data)s
    path
        File to write, ending in ``.geojson``.
    abundance
        Key of ``obsm`` with the cell types.
    library_id
        Slide to write; needed where there are several.
    outline
        ``"tile"``: the square that was embedded; ``"spot"``: the circle of the spot.
    classify
        Give every object the class of its most abundant cell type.
    %(table_key)s
    %(library_key)s

    Returns
    -------
    The path.

    Raises
    ------
    MissingKeyError
        The table of cell types, the places or the size of the tiles is absent.
    InputError
        There are several slides and none was named, or the named one is unknown.
    StoreError
        The file cannot be written.

    Notes
    -----
    Places are full-resolution pixels, x then y, as QuPath counts them. Spots whose values are NaN are written without
    measurements. Measurements are called after the cell type and its unit; ids of objects depend on slide and barcode alone.

    References
    ----------
    Bankhead et al. 2017, doi:10.1038/s41598-017-17204-5.

    Examples
    --------
    >>> import histodecon as hd, json, tempfile, pathlib
    >>> sdata = hd.datasets.toy_slide()
    >>> hd.pp.tile_spots(sdata)
    >>> hd.tl.set_targets(sdata["table"], "true_abundance")
    >>> path = pathlib.Path(tempfile.mkdtemp(), "toy.geojson")
    >>> features = json.loads(hd.io.write_geojson(sdata, path, abundance="cell_abundance").read_text())["features"]
    >>> len(features) == sdata["table"].n_obs
    True
    """
    adata = table_of(data, table_key)
    if Path(path).suffix not in {".geojson", ".json"}:
        msg = f"The file must end in .geojson, got {Path(path).name!r}"
        raise InputError(msg, fix=f"`{Path(path).stem}.geojson`", code="BI-120")
    library, rows = _slide(adata, library_id, library_key)
    table = read_table(adata, abundance).iloc[rows]
    unit = str(uns_branch(adata, Key.uns.TABLES).get(abundance, {}).get("unit", ""))
    centers = coordinates(adata)[rows]
    ring = _ring(adata, library, outline)
    features = _features(library, table, unit, centers, ring, classify=classify)
    text = json.dumps({"type": "FeatureCollection", "features": features}, ensure_ascii=False, allow_nan=False)
    return write_atomic(path, text.encode())


def _slide(adata: AnnData, library_id: str | None, library_key: str) -> tuple[str, NDArray[np.intp]]:
    slides = dict(iter_libraries(adata, library_key))
    if library_id is None and len(slides) == 1:
        return next(iter(slides.items()))
    if library_id not in slides:
        msg = "Several slides do not fit into one file" if library_id is None else f"There is no slide {library_id!r}"
        where = f"slides: {first_names(list(slides), 8)}"
        raise InputError(msg, where=where, fix=f'`library_id="{next(iter(slides))}"`', code="BI-104")
    return library_id, slides[library_id]


def _ring(adata: AnnData, library: str, outline: str) -> NDArray[np.float64]:
    """Outline around the center, in full-resolution pixels, closed."""
    if outline == "tile":
        size = uns_branch(adata, Key.uns.TILES).get(library, {}).get("size_px")
        if size is None:
            msg = f"It is not recorded how large the tiles of {library!r} are"
            fix = '`histodecon.pp.tile_spots(data)`, or `outline="spot"`'
            raise MissingKeyError(msg, where='uns["histodecon"]["tiles"]', fix=fix, code="BI-104")
        return CORNERS * float(size)
    if outline != "spot":
        msg = f"`outline` is tile or spot, not {outline!r}"
        raise InputError(msg, fix='`outline="tile"`', code="BI-104")
    factors = adata.uns.get(Key.uns.SPATIAL, {}).get(library, {}).get("scalefactors", {})
    if "spot_diameter_fullres" not in factors:
        msg = f"It is not recorded how large the spots of {library!r} are"
        raise MissingKeyError(msg, where='uns["spatial"]', fix='`outline="tile"`', code="BI-104")
    angle = np.linspace(0, 2 * np.pi, N_ARC + 1)
    ring = np.stack([np.cos(angle), np.sin(angle)], axis=1) * float(factors["spot_diameter_fullres"]) / 2
    ring[-1] = ring[0]
    return ring


def _features(
    library: str,
    table: pd.DataFrame,
    unit: str,
    centers: NDArray,
    ring: NDArray[np.float64],
    *,
    classify: bool,
) -> list[dict[str, Any]]:
    names = [str(name) for name in table.columns]
    labels = [f"{name} ({unit})" if unit else name for name in names]
    found = []
    for barcode, center, values in zip(table.index, centers, table.to_numpy(dtype=float), strict=True):
        properties: dict[str, Any] = {"objectType": "detection", "name": str(barcode)}
        if np.isfinite(values).all():
            properties["measurements"] = {label: float(value) for label, value in zip(labels, values, strict=True)}
            if classify and values.max() > 0:
                most = int(values.argmax())
                color = list(COLORS[most % len(COLORS)])
                properties["classification"] = {"name": names[most], "color": color}
        found.append(
            {
                "type": "Feature",
                "id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{library}/{barcode}")),
                "geometry": {"type": "Polygon", "coordinates": [np.round(center + ring, DECIMALS).tolist()]},
                "properties": properties,
            }
        )
    return found
