"""Is what was written still there?"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from histodecon._core import ROWS as RECORDED
from histodecon._core import (
    IncompleteStoreError,
    IntegrityError,
    Key,
    StoreError,
    doc,
    first_names,
    read_embedding,
    read_table,
    restore,
    table_of,
    uns_branch,
)
from histodecon.io._seals import broken_parts

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

COLUMNS = ["checked", "against"]


@doc
def verify(data: AnnData | SpatialData | str | os.PathLike[str], *, table_key: str = Key.element.TABLE) -> pd.DataFrame:
    """Compare a file, a store or a table with the digests of what was written.

    A file that :func:`~histodecon.io.write` made carries digests of all that is in it. A table, wherever it was kept meanwhile,
    carries digests of the rows of embeddings and cell-type tables, by barcode: it may have been subset and put into another order.

    Parameters
    ----------
    data
        Path of an h5ad file or zarr store; or an AnnData, or a SpatialData whose table is used.
    %(table_key)s

    Returns
    -------
    One row for each thing that was checked and is whole: ``"file"``, or a key of ``obsm``, with what it was checked against. Empty
    when there are no digests.

    Raises
    ------
    StoreError
        There is nothing at the path, or it cannot be read.
    IncompleteStoreError
        Parts are lost: files of a store, or the end of a file; or rows are zero that were not.
    IntegrityError
        Parts are not what was written, or an embedding is narrower.

    Warns
    -----
    HistodeconWarning
        Rows of a table were edited after the step that wrote them.

    Examples
    --------
    >>> import histodecon as hd
    >>> adata = hd.datasets.toy_slide()["table"]
    >>> hd.tl.set_targets(adata, "true_abundance")
    >>> hd.verify(adata).index.tolist()
    ['true_abundance', 'cell_abundance']
    >>> hd.verify(adata[::-2]).index.tolist()
    ['true_abundance', 'cell_abundance']
    """
    if not isinstance(data, str | os.PathLike):
        return _verify_table(table_of(data, table_key))
    path = Path(data)
    restore(path)
    if not path.exists():
        msg = "There is no file or store"
        raise StoreError(msg, where=str(path), fix="look at the path", code="FI-06")
    broken = broken_parts(path)
    if broken is None:
        return _verify_table(_read_table(path, table_key))
    _require_whole(path, *broken)
    return pd.DataFrame([["every byte", "what histodecon.write wrote"]], index=["file"], columns=COLUMNS)


def _require_whole(path: Path, lost: list[str], changed: list[str]) -> None:
    if lost:
        msg = f"{path.name} has lost parts"
        raise IncompleteStoreError(
            msg,
            where=f"{len(lost)} files are absent or cut short: {first_names(lost)}",
            why="parts of a zarr store that are lost are read as zeros",
            fix="restore a copy, or make it again",
            code="FI-05",
        )
    if changed:
        msg = f"{path.name} is not what was written"
        raise IntegrityError(
            msg,
            where=f"{len(changed)} files differ: {first_names(changed)}",
            why="bits changed on the disk or on the way, or another program wrote into it",
            fix="restore a copy; if it was changed on purpose, read it and write it anew with `histodecon.write(data, path)`",
            code="FI-09",
        )


def _read_table(path: Path, table_key: str) -> AnnData:
    import anndata

    try:
        if path.is_file():
            return anndata.read_h5ad(path)
        if (path / "tables").is_dir():
            import spatialdata

            return table_of(spatialdata.read_zarr(path, selection=("tables",)), table_key)
        return anndata.read_zarr(path)
    except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        msg = f"{path.name} cannot be read"
        raise StoreError(msg, where=f"{path.parent}: {error}", fix="restore a copy", code="FI-06") from error


def _verify_table(adata: AnnData) -> pd.DataFrame:
    checked = []
    for branch, read in ((Key.uns.EMBEDDINGS, read_embedding), (Key.uns.TABLES, read_table)):
        for key, record in uns_branch(adata, branch).items():
            if key in adata.obsm and _has_digests(record):
                read(adata, key)
                checked.append(key)
    rows = [["rows, by barcode", f"{Key.uns.ROOT} record in uns"] for _ in checked]
    return pd.DataFrame(rows, index=checked, columns=COLUMNS)


def _has_digests(record: Any) -> bool:
    return isinstance(record, Mapping) and RECORDED in record
