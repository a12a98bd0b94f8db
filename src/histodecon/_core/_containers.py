"""Finding the table, the slides and the images in what a user hands in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from histodecon._core._errors import GeometryError, InputError, MissingKeyError, first_names
from histodecon._core._keys import Key, safe_key
from histodecon._core._regions import region_labels

if TYPE_CHECKING:
    from anndata import AnnData


def is_spatialdata(data: Any) -> bool:
    """Tell a SpatialData from an AnnData without importing either.

    Parameters
    ----------
    data
        Anything.

    Returns
    -------
    True for a SpatialData.
    """
    return hasattr(data, "tables") and hasattr(data, "images")


def table_of(data: Any, table_key: str = Key.element.TABLE) -> AnnData:
    """Return the AnnData of what was handed in.

    Parameters
    ----------
    data
        AnnData or SpatialData.
    table_key
        Name of the table of a SpatialData.

    Returns
    -------
    The table itself, not a copy.

    Raises
    ------
    InputError
        The table cannot be chosen, or ``data`` is neither.
    """
    if is_spatialdata(data):
        names = list(data.tables)
        if table_key in names:
            return data.tables[table_key]
        if len(names) == 1:
            return data.tables[names[0]]
        msg = f"The SpatialData has no table {table_key!r}"
        raise InputError(
            msg,
            where=f"{len(names)} tables: {first_names(names)}",
            fix="name one with `table_key=`",
            code="BI-35",
        )
    if not (hasattr(data, "obsm") and hasattr(data, "obs_names")):
        msg = f"Expected an AnnData or SpatialData, got {type(data).__name__}"
        raise InputError(
            msg,
            fix="read one with `histodecon.io.read_st(...)` or `histodecon.datasets.toy_slide()`",
            code="BI-35",
        )
    return data


def copy_of(data: Any, table_key: str = Key.element.TABLE) -> Any:
    """Copy what a function is about to change.

    Parameters
    ----------
    data
        AnnData or SpatialData.
    table_key
        Name of the table of a SpatialData.

    Returns
    -------
    A copy of the AnnData; or a new SpatialData with a copy of the table, which shares images and other elements.
    """
    table = table_of(data, table_key)
    if not is_spatialdata(data):
        return table.copy()
    names = ("images", "labels", "points", "shapes", "tables")
    elements = {name: dict(getattr(data, name)) for name in names}
    key = next(name for name, value in elements["tables"].items() if value is table)
    elements["tables"][key] = table.copy()
    return type(data)(**elements, attrs=dict(data.attrs))


def require_spots(adata: AnnData) -> None:
    """Refuse a table without rows.

    Parameters
    ----------
    adata
        The table.

    Raises
    ------
    InputError
        There are no spots.
    """
    if adata.n_obs == 0:
        msg = "The table has 0 spots"
        raise InputError(
            msg,
            why="there is nothing to work on",
            fix="look at the filter that was applied last, for example `adata[adata.obs['in_tissue'] == 1]`",
            code="BI-31",
        )


def require_unique_names(adata: AnnData) -> None:
    """Refuse barcodes that stand twice.

    Parameters
    ----------
    adata
        The table.

    Raises
    ------
    AlignmentError
        Some barcodes are not unique.
    """
    from histodecon._core._errors import AlignmentError

    if not adata.obs_names.is_unique:
        twice = adata.obs_names[adata.obs_names.duplicated()].unique()
        msg = "Some barcodes stand more than once in obs_names"
        raise AlignmentError(
            msg,
            where=f"{len(twice)}: {first_names(twice)}",
            why="rows are matched by barcode",
            fix='`adata.obs_names_make_unique()`, or join slides with `anndata.concat(..., index_unique="-")`',
            code="BI-04",
        )


def obs_column(adata: AnnData, column: str) -> np.ndarray:
    """Read a grouping column of ``obs`` as strings.

    Parameters
    ----------
    adata
        The table.
    column
        Name of the column.

    Returns
    -------
    Array of str, shape (n_obs,).

    Raises
    ------
    MissingKeyError
        The column is absent.
    InputError
        Some spots have no value.
    """
    if column not in adata.obs:
        msg = f"obs[{column!r}] is absent"
        raise MissingKeyError(
            msg,
            where=f"columns present: {first_names(adata.obs.columns, 8)}",
            fix=f'add it, for example `adata.obs["{column}"] = "A"`',
            code="BI-37",
        )
    values = adata.obs[column]
    missing = values.isna().to_numpy()
    if missing.any():
        msg = f"obs[{column!r}] has no value for some spots"
        raise InputError(
            msg,
            where=f"{int(missing.sum())} of {adata.n_obs}: {first_names(adata.obs_names[missing])}",
            why="a spot without a group can be neither trained on nor held out",
            fix=f'fill it, for example `adata.obs["{column}"] = adata.obs["{column}"].cat.add_categories("unknown").fillna("unknown")`',
            code="BI-37",
        )
    return values.astype(str).to_numpy(dtype=object)


def iter_libraries(adata: AnnData, library_key: str = Key.obs.LIBRARY) -> Iterator[tuple[str, np.ndarray]]:
    """Walk over the slides of a table.

    Parameters
    ----------
    adata
        The table.
    library_key
        Column of ``obs`` with the slide; without the default column the regions that a table of a SpatialData annotates are
        slides, else all rows are one slide, named as in ``uns["spatial"]``.

    Yields
    ------
    Name of the slide and the positions of its rows, in order of first appearance.

    Raises
    ------
    InputError
        Several slides are known and no column tells them apart.
    """
    named = library_key in adata.obs or library_key != Key.obs.LIBRARY
    labels = obs_column(adata, library_key) if named else region_labels(adata)
    if labels is not None:
        for library in pd.unique(labels):
            yield str(library), np.flatnonzero(labels == library)
        return
    known = list(adata.uns.get(Key.uns.SPATIAL, {}))
    if len(known) > 1:
        msg = f'uns["spatial"] holds {len(known)} slides but obs[{library_key!r}] is absent'
        raise InputError(
            msg,
            where=first_names(known),
            why="distances between spots of different slides mean nothing",
            fix="name the column that tells slides apart with `library_key=`",
            code="BI-36",
        )
    yield (str(known[0]) if known else "slide"), np.arange(adata.n_obs)


def coordinates(adata: AnnData, spatial_key: str = Key.obsm.SPATIAL) -> np.ndarray:
    """Read spot centres.

    Parameters
    ----------
    adata
        The table.
    spatial_key
        Key of ``obsm``.

    Returns
    -------
    float64, shape (n_obs, 2), x then y, full-resolution pixels.

    Raises
    ------
    MissingKeyError
        The key is absent.
    GeometryError
        The shape is wrong or some coordinates are not finite.
    """
    if spatial_key not in adata.obsm:
        msg = f"obsm[{spatial_key!r}] is absent"
        raise MissingKeyError(
            msg,
            where=f"keys present: {first_names(adata.obsm.keys(), 8)}",
            why="it holds the centre of every spot in full-resolution pixels",
            fix="read the sample with `histodecon.io.read_st(...)`, or set it: x first, then y",
            code="BI-03",
        )
    values = np.asarray(adata.obsm[spatial_key], dtype=np.float64)
    if values.ndim != 2 or values.shape[1] != 2:
        msg = f"obsm[{spatial_key!r}] must have two columns, x and y"
        raise GeometryError(msg, where=f"shape {values.shape}", code="BI-10")
    bad = ~np.isfinite(values).all(axis=1)
    if bad.any():
        msg = f"Some spots of obsm[{spatial_key!r}] have no position"
        raise GeometryError(
            msg,
            where=f"{int(bad.sum())} of {len(values)}: {first_names(adata.obs_names[bad])}",
            why="no tile can be cut and no distance taken there",
            fix=f'`adata = adata[np.isfinite(adata.obsm["{spatial_key}"]).all(axis=1)].copy()`',
            code="BI-98",
        )
    return values


def slide_mpp(adata: AnnData, library: str) -> float | None:
    """Return the µm per pixel of a slide that ``pp.tile_spots`` or a reader has recorded, else None.

    Parameters
    ----------
    adata
        The table.
    library
        Name of the slide.

    Returns
    -------
    µm per full-resolution pixel, or None.
    """
    from histodecon._core._tables import uns_branch

    for branch in (Key.uns.TILES, Key.uns.SLIDES):
        record = uns_branch(adata, branch).get(safe_key(library))
        if isinstance(record, Mapping) and "mpp" in record:
            return float(record["mpp"])
    return None
