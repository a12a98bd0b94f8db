"""A table into an h5ad file, as anndata writes it, on a disk that may be full."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from histodecon.io._spared_file import SparedFile

if TYPE_CHECKING:
    from anndata import AnnData

FORMAT = {"encoding-type": "anndata", "encoding-version": "0.1.0"}
TABLES = ("obs", "var")
MAPPINGS = ("layers", "obsm", "varm", "obsp", "varp", "uns")


def write_h5ad(adata: AnnData, path: Path, compression: str | None) -> None:
    """Write a table.

    Parameters
    ----------
    adata
        The table; it does not change.
    path
        Where to; nothing is there yet.
    compression
        As h5py calls it.

    Raises
    ------
    OSError
        The disk is full.
    """
    import h5py
    from anndata.io import write_elem

    options = {"compression": compression} if compression else {}
    with closing(SparedFile(path)) as spared:
        with h5py.File(spared, "w") as file:
            file.attrs.update(FORMAT)
            whole = {name: getattr(adata, name) for name in ("X", "raw", *TABLES)}
            for name, value in whole.items():
                if value is not None:
                    write_elem(file, name, value, dataset_kwargs=options)
                    spared.check()
            for name in MAPPINGS:
                write_elem(file, name, {}, dataset_kwargs=options)
                for key, value in getattr(adata, name).items():
                    write_elem(file[name], key, value, dataset_kwargs=options)
                    spared.check()
        spared.check()
