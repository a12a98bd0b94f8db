"""Embeddings as other tools leave them: what a source holds, whatever its kind."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from histodecon._core import (
    AlignmentError,
    InputError,
    Key,
    MissingKeyError,
    UnsafeFileError,
    as_2d_float,
    first_names,
    is_spatialdata,
)

if TYPE_CHECKING:
    from anndata import AnnData


@dataclass(frozen=True)
class Imported:
    """Embeddings of one source, a row a tile.

    Parameters
    ----------
    values
        float32, shape (n, width).
    name
        How to call the source in an error.
    tool
        What made it, where the source says so.
    encoder
        Name of the encoder, where the source says so.
    barcodes
        Names of the rows.
    points
        float64 (n, 2), x then y, full-resolution pixels: where the tiles lie.
    corner
        Whether the points are upper-left corners; else they are centers.
    side_px
        Side of a tile in full-resolution pixels.
    shrink
        Full-resolution pixels in a pixel of a tile.
    tile_mpp
        µm in a pixel of a tile.
    recipe
        What else is said of the recipe: ``tile_px``, ``magnification``.
    """

    values: np.ndarray
    name: str
    tool: str | None = None
    encoder: str | None = None
    barcodes: pd.Index | None = None
    points: np.ndarray | None = None
    corner: bool = False
    side_px: float | None = None
    shrink: float | None = None
    tile_mpp: float | None = None
    recipe: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        points = self.points
        parts = {"barcodes": self.barcodes, "coordinates": points}
        for part, rows in parts.items():
            if rows is not None and len(rows) != len(self.values):
                msg = f"{self.name} has {len(self.values)} embeddings and {len(rows)} {part}"
                raise AlignmentError(msg, why="rows would belong to other tiles", fix="make it again", code="BI-09")
        if points is not None and (points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all()):
            msg = f"The coordinates of {self.name} are not x and y of every tile"
            raise InputError(msg, where=f"shape {points.shape}", fix="two finite numbers a tile", code="BI-10")


def read_imported(source: Any, *, data: Any, adata: AnnData, values_key: str | None) -> Imported:
    """Read embeddings of any source.

    Parameters
    ----------
    source
        As ``values`` of :func:`histodecon.pp.set_embedding`, of one slide or all.
    data
        What is written to; a name may be that of one of its tables.
    adata
        Its table; a name may be that of a key of ``obsm``.
    values_key
        Which table of a SpatialData, or which key of ``obsm`` of an AnnData.

    Returns
    -------
    What it holds.

    Raises
    ------
    MissingKeyError
        There is no such key and no such file.
    InputError
        It holds no embeddings of tiles.
    UnsafeFileError
        Opening it could run code.
    """
    from histodecon.pp._imported_tables import read_spatialdata, read_table

    if isinstance(source, str) and source in adata.obsm:
        name = f"obsm[{source!r}]"
        return Imported(as_2d_float(adata.obsm[source], name), name, barcodes=adata.obs_names.copy())
    if isinstance(source, str) and is_spatialdata(data) and data.tables.get(source, adata) is not adata:
        return read_spatialdata(data, source)
    if isinstance(source, (str, os.PathLike)):
        return _read_file(source, adata, values_key)
    if is_spatialdata(source):
        return read_spatialdata(source, values_key)
    if hasattr(source, "obsm") and hasattr(source, "obs_names"):
        return read_table(source, values_key)
    if isinstance(source, pd.DataFrame):
        return _read_frame(source, "the DataFrame")
    if hasattr(source, "shape"):
        return Imported(as_2d_float(source, "The array"), "the array")
    msg = f"Embeddings cannot be taken from a {type(source).__name__}"
    fix = "pass a key of obsm, a DataFrame whose index are barcodes, an AnnData, a SpatialData or a file"
    raise InputError(msg, fix=fix, code="BI-48")


def _read_file(source: str | os.PathLike[str], adata: AnnData, values_key: str | None) -> Imported:
    path = Path(source)
    if not path.exists():
        msg = f"There is neither obsm[{str(source)!r}] nor a file of this name"
        present = [name for name in adata.obsm if name != Key.obsm.SPATIAL]
        fix = "check the spelling; files end in .h5, .h5ad, .zarr, .csv, .tsv, .parquet or .npy"
        raise MissingKeyError(msg, where=f"keys of obsm: {first_names(present, 8)}", fix=fix, code="BI-87")
    suffix = next((end for end in reversed(path.suffixes) if end != ".gz"), "")
    if suffix in {".pt", ".pth", ".pkl", ".pickle"}:
        msg = f"{path.name} is not opened: files of this kind can run code, and this one has no coordinates"
        fix = "let the tool save h5 (TRIDENT: `saveas='h5'`), or hand in an array with `assume_aligned=True`"
        raise UnsafeFileError(msg, where=f"its name ends in {suffix!r}", fix=fix, code="BI-83")
    try:
        return _opened(path, suffix, values_key)
    except (ValueError, OSError, KeyError) as error:
        if isinstance(error, InputError):
            raise
        msg = f"{path.name} cannot be read"
        where = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        fix = "make or download the file again; a file that was downloaded may be a web page or a pointer"
        raise InputError(msg, where=where, fix=fix, code="BI-29") from error


def _opened(path: Path, suffix: str, values_key: str | None) -> Imported:
    from histodecon.pp._imported_h5 import read_h5
    from histodecon.pp._imported_tables import read_spatialdata, read_table

    if suffix in {".h5", ".hdf5"}:
        return read_h5(path)
    if suffix == ".h5ad":
        import anndata

        return read_table(anndata.read_h5ad(path), values_key, name=path.name)
    if suffix == ".zarr":
        import spatialdata

        return read_spatialdata(spatialdata.read_zarr(path), values_key)
    if suffix == ".npy":
        return Imported(as_2d_float(np.load(path, allow_pickle=False), path.name), path.name)
    if suffix == ".parquet":
        return _read_frame(_barcodes_first(pd.read_parquet(path)), path.name)
    if suffix in {".csv", ".tsv", ".txt"}:
        table = pd.read_csv(path, sep="," if suffix == ".csv" else "\t", converters={0: str})
        return _read_frame(table.set_index(table.columns[0]), path.name)
    msg = f"{path.name} is of no kind that embeddings are read from"
    fix = "use .h5, .h5ad, .zarr, .csv, .tsv, .parquet or .npy"
    raise InputError(msg, where=f"its name ends in {suffix!r}", fix=fix, code="BI-29")


def _barcodes_first(table: pd.DataFrame) -> pd.DataFrame:
    """Take a first column of texts for the barcodes where the index only counts."""
    counts = isinstance(table.index, pd.RangeIndex) and table.shape[1] > 1
    return table.set_index(table.columns[0]) if counts and not _is_number(table.iloc[:, 0]) else table


def _is_number(column: pd.Series) -> bool:
    return bool(pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column))


def _read_frame(table: pd.DataFrame, name: str) -> Imported:
    texts = [str(column) for i, column in enumerate(table.columns) if not _is_number(table.iloc[:, i])]
    if texts or table.shape[1] == 0:
        msg = f"Some columns of {name} are not numbers" if texts else f"{name} has no columns but its index"
        fix = f"leave them out, `table.drop(columns={texts[:3]})`" if texts else "give one column a dimension"
        raise InputError(msg, where=f"{len(texts)}: {first_names(texts)}", fix=fix, code="BI-48")
    return Imported(as_2d_float(table, name), name, barcodes=table.index.astype(str))
