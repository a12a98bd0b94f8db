"""Embeddings in tables: those of LazySlide and sopa, and any AnnData."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from histodecon._core import InputError, Key, MissingKeyError, as_2d_float, first_names
from histodecon.pp._imported import Imported

if TYPE_CHECKING:
    from anndata import AnnData

SOPA = "embedding_config"
LAZYSLIDE = "tile_spec"
TILE_ID = "tile_id"


def read_spatialdata(data: Any, values_key: str | None) -> Imported:
    """Read a table of a SpatialData whose rows are tiles.

    Parameters
    ----------
    data
        SpatialData, such as LazySlide and sopa write.
    values_key
        Name of the table; not needed where one table is of either tool.

    Returns
    -------
    What it holds.

    Raises
    ------
    MissingKeyError
        There is no such table, or its tiles are absent.
    InputError
        Several tables may be meant.
    """
    name = _named(data, values_key)
    table = data.tables[name]
    region = _region(table)
    if SOPA in table.uns or region is None or region not in data.shapes:
        return read_table(table, None, name=f"table {name!r}")
    low, high = _bounds(data.shapes[region], table, name)
    side = float(np.median(high - low))
    spec = data.attrs.get(LAZYSLIDE, {}).get(region)
    encoder = name.removesuffix(f"_{region}") if spec is not None and name.endswith(f"_{region}") else None
    return Imported(
        _matrix(table, None, f"table {name!r}"),
        f"table {name!r}",
        tool="LazySlide" if spec is not None else None,
        encoder=encoder,
        points=(low + high) / 2,
        **{"side_px": side} | _of_spec(spec),
    )


def read_table(table: AnnData, values_key: str | None, *, name: str = "the AnnData") -> Imported:
    """Read an AnnData whose rows are tiles or spots.

    Parameters
    ----------
    table
        With embeddings in ``X`` or ``obsm``, and centers of the tiles in ``obsm["spatial"]`` where it has any.
    values_key
        Key of ``obsm``; ``X`` without it.
    name
        How to call it in an error.

    Returns
    -------
    What it holds. Rows of LazySlide and sopa are numbered tiles, those of other tables have barcodes.

    Raises
    ------
    MissingKeyError
        There is no such key, or a table of LazySlide came without its tiles.
    """
    values = _matrix(table, values_key, name)
    places = table.obsm.get(Key.obsm.SPATIAL)
    points = None if places is None else np.asarray(places, dtype=np.float64)
    if SOPA in table.uns:
        return _of_sopa(table.uns[SOPA], values, points, name)
    spec = table.uns.get(LAZYSLIDE)
    if isinstance(spec, Mapping) and points is not None:
        return Imported(values, name, tool="LazySlide", points=points, corner=True, **_of_spec(spec))
    if TILE_ID in table.obs and points is None and values_key is None:
        msg = f"{name} has numbers of tiles and does not say where they lie"
        fix = "hand in the SpatialData that it is from, `values_key=` names the table"
        raise MissingKeyError(msg, where=f"obs[{TILE_ID!r}] without coordinates in obsm", fix=fix, code="BI-03")
    return Imported(values, name, barcodes=table.obs_names.copy(), points=points)


def _named(data: Any, values_key: str | None) -> str:
    tables = dict(data.tables)
    if values_key is not None and values_key not in tables:
        msg = f"The SpatialData has no table {values_key!r}"
        raise MissingKeyError(msg, where=f"tables: {first_names(tables, 8)}", fix="`values_key=`", code="BI-87")
    if values_key is not None:
        return values_key
    specs = data.attrs.get(LAZYSLIDE, {})
    found = [name for name, table in tables.items() if SOPA in table.uns or _region(table) in specs]
    found = found or (list(tables) if len(tables) == 1 else [])
    if len(found) != 1:
        msg = "Several tables may hold the embeddings" if found else "No table is known to hold embeddings of tiles"
        raise InputError(msg, where=f"tables: {first_names(tables, 8)}", fix="`values_key=` names it", code="BI-35")
    return found[0]


def _region(table: AnnData) -> str | None:
    region = table.uns.get("spatialdata_attrs", {}).get("region")
    names = [region] if isinstance(region, str) else [] if region is None else list(region)
    return str(names[0]) if len(names) == 1 else None


def _matrix(table: AnnData, values_key: str | None, name: str) -> np.ndarray:
    if values_key is not None and values_key not in table.obsm:
        msg = f"{name} has no obsm[{values_key!r}]"
        raise MissingKeyError(msg, where=f"keys: {first_names(table.obsm, 8)}", fix="`values_key=`", code="BI-87")
    return as_2d_float(table.X if values_key is None else table.obsm[values_key], name)


def _bounds(shapes: Any, table: AnnData, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Corners of the tile of every row; rows and tiles are joined by number, never by position."""
    instance = table.uns["spatialdata_attrs"]["instance_key"]
    numbers = shapes[instance] if instance in shapes.columns else shapes.index
    rows = pd.Index(numbers).get_indexer(table.obs[instance])
    if (rows < 0).any():
        lost = table.obs[instance][rows < 0]
        msg = f"Some rows of table {name!r} have no tile"
        raise MissingKeyError(msg, where=f"{len(lost)} of {len(rows)}: {first_names(lost)}", code="BI-09")
    boxes = shapes.bounds.to_numpy(dtype=np.float64)[rows]
    return boxes[:, :2], boxes[:, 2:]


def _of_spec(spec: Mapping[str, Any] | None) -> dict[str, Any]:
    """Size of the tiles as LazySlide states it."""
    if spec is None:
        return {}
    width = float(spec["width"])
    facts: dict[str, Any] = {"recipe": {"tile_px": width}}
    if spec.get("mpp") is not None:
        facts["tile_mpp"] = float(spec["mpp"])
    if spec.get("base_downsample") is not None:
        shrink = float(spec["base_downsample"])
        facts |= {"shrink": shrink, "side_px": float(int(width * shrink))}
    return facts


def _of_sopa(config: Mapping[str, Any], values: np.ndarray, points: np.ndarray | None, name: str) -> Imported:
    """Sopa keeps centers in pixels of the level that it read."""
    level, width = float(config.get("level_downsample", 1)), float(config["patch_width"])
    shrink = level / float(config.get("tile_resize_factor", 1))
    recipe = {"tile_px": width}
    if config.get("magnification") is not None:
        recipe["magnification"] = float(config["magnification"])
    return Imported(
        values,
        name,
        tool="sopa",
        encoder=str(config["model_name"]) if config.get("model_name") else None,
        points=None if points is None else points * level,
        side_px=width * shrink,
        shrink=shrink,
        recipe=recipe,
    )
