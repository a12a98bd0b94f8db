"""Opening and keeping the stores that commands work on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from histodecon._core import StoreError

if TYPE_CHECKING:
    from anndata import AnnData

Store = Annotated[Path, typer.Argument(help="AnnData (.h5ad, .zarr) or SpatialData (.zarr).")]
Stores = Annotated[list[Path], typer.Argument(help="AnnData or SpatialData; several are joined, slide by slide.")]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", help="Where to keep the result; by default the store itself.")
]
SUFFIXES = (".h5ad", ".zarr")


def open_store(path: Path) -> Any:
    """Open a store.

    Parameters
    ----------
    path
        A file ending in ``.h5ad`` or a folder ending in ``.zarr``.

    Returns
    -------
    AnnData, or SpatialData where the folder holds one.

    Raises
    ------
    StoreError
        There is none, or it cannot be read.
    """
    if path.suffix not in SUFFIXES or not path.exists():
        msg = "There is no store" if not path.exists() else "The store is of an unknown kind"
        raise StoreError(
            msg,
            where=str(path),
            why=f"stores end in {' or '.join(SUFFIXES)}",
            fix="`histodecon read-visium FOLDER -o slide.zarr` makes one",
            code="FI-06",
        )
    import anndata as ad

    try:
        if path.suffix == ".h5ad":
            return ad.read_h5ad(path)
        if _is_spatialdata(path):
            from spatialdata import read_zarr

            return read_zarr(path)
        return ad.read_zarr(path)
    except (OSError, ValueError, KeyError) as error:
        msg = "The store cannot be read"
        raise StoreError(msg, where=f"{path}: {error}", fix="restore a copy", code="FI-06") from error


def _is_spatialdata(path: Path) -> bool:
    import zarr

    attributes = dict(zarr.open_group(path, mode="r").attrs)
    return "spatialdata_attrs" in attributes or any((path / name).is_dir() for name in ("images", "tables", "shapes"))


def open_table(path: Path, table_key: str = "table") -> AnnData:
    """Open the table of a store.

    Parameters
    ----------
    path
        The store.
    table_key
        Which table of a SpatialData.

    Returns
    -------
    The table.
    """
    from histodecon._core import table_of

    return table_of(open_store(path), table_key)


def open_tables(paths: list[Path], table_key: str = "table") -> AnnData:
    """Open the tables of several stores as one.

    Parameters
    ----------
    paths
        The stores.
    table_key
        Which table of a SpatialData.

    Returns
    -------
    One table; with several stores, what they have in common. Barcodes that stand in two of them get the name of their slide.
    """
    import histodecon as hd

    tables = [open_table(path, table_key) for path in paths]
    if len(tables) == 1:
        return tables[0]
    names = [name for table in tables for name in table.obs_names]
    return hd.concat(tables, index_unique=None if len(set(names)) == len(names) else "-")


def keep(data: Any, path: Path, output: Path | None) -> Path:
    """Keep what was changed.

    Parameters
    ----------
    data
        What :func:`open_store` gave, changed.
    path
        Where it came from.
    output
        Where to put it; None for where it came from.

    Returns
    -------
    Where it is now.

    Raises
    ------
    StoreError
        It cannot be written; what was there is as it was.
    """
    import histodecon as hd

    hd.write(data, output or path)
    return output or path
