"""The safe way to disk."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histodecon._core import InputError, NamingError, StoreError, doc, is_spatialdata, replacing, table_of
from histodecon.io._h5ad import write_h5ad
from histodecon.io._seals import seal

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

SUFFIXES = (".h5ad", ".zarr")
LAZY = ("images", "labels", "points")


@doc
def write(data: AnnData | SpatialData, path: str | os.PathLike[str], *, compression: str | None = None) -> None:
    """Write a table, or a whole SpatialData, so that a kill or a full disk leaves the old file or the new one.

    It is written beside its place, flushed to the disk, and takes the place in one step; ``anndata`` and ``zarr`` write into the old
    file, and a kill in between loses both. Digests of what was written go with it: :func:`~histodecon.io.verify` knows later
    whether something was lost or changed.

    Parameters
    ----------
    %(data)s
    path
        Where to, ending in ``.h5ad`` or ``.zarr``; a SpatialData goes to ``.zarr``. What is there is replaced, also when ``data``
        was read from it. A symbolic link keeps pointing.
    compression
        ``"gzip"`` or ``"lzf"`` for h5ad; zarr is always compressed.

    Returns
    -------
    None.

    Raises
    ------
    InputError
        The path does not end as it should, something that is no zarr store is in the place, or parts of ``data`` are still in the
        store that would be replaced.
    NamingError
        ``data`` holds keys or values that the format cannot hold.
    StoreError
        The folder is absent or not writable, or the disk is full.
    LockedError
        Somebody reads the old file, and the system does not let it be replaced meanwhile.

    Notes
    -----
    ``data`` does not change, except that a SpatialData lives in the new store afterwards, as after its own ``write``: images that were
    read from the place are read from the new store. Text columns are not turned into categories. Read with
    ``anndata.read_h5ad``, ``anndata.read_zarr``, ``spatialdata.read_zarr``.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import anndata
    >>> import histodecon as hd
    >>> adata = hd.datasets.toy_slide()["table"]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     hd.write(adata, Path(folder, "toy.h5ad"))
    ...     back = anndata.read_h5ad(Path(folder, "toy.h5ad"))
    >>> back.n_obs == adata.n_obs
    True
    """
    target = Path(path)
    _check(data, target, compression)
    with replacing(target) as new, _in_words(target):
        if is_spatialdata(data):
            _write_spatialdata(data, new)
        else:
            _write_table(data, new, target.suffix, compression)
        seal(new)
    if is_spatialdata(data):
        _live_in(data, target)


def _check(data: Any, target: Path, compression: str | None) -> None:
    table = None if is_spatialdata(data) else table_of(data)
    suffixes = SUFFIXES if table is not None else (".zarr",)
    if target.suffix not in suffixes:
        msg = f"{target.name!r} does not end in {' or '.join(suffixes)}"
        fix = "a SpatialData goes to `.zarr`; its table alone to `.h5ad`" if table is None else "choose one of these"
        raise InputError(msg, fix=fix, code="BI-120")
    if compression is not None and (compression not in ("gzip", "lzf") or target.suffix != ".h5ad"):
        msg = f"`compression={compression!r}` cannot be had for {target.suffix}"
        raise InputError(msg, fix='"gzip" or "lzf" for h5ad; zarr is always compressed', code="BI-120")
    if target.exists() and target.is_dir() == (target.suffix == ".h5ad"):
        msg = f"A {'folder' if target.is_dir() else 'file'} stands where {target.name} should"
        raise InputError(msg, where=str(target.parent), fix="choose another name", code="BI-120")
    if target.is_dir() and not any((target / name).exists() for name in ("zarr.json", ".zgroup")):
        msg = f"{target.name} is a folder that is no zarr store"
        why = "it would be replaced with all that is in it"
        raise InputError(msg, where=str(target.parent), why=why, fix="choose another name", code="BI-120")
    if table is not None:
        _require_memory(table, target)
        _require_space(table, target, compression)


def _matrices(adata: AnnData) -> list[Any]:
    return [adata.X, *adata.layers.values(), *adata.obsm.values(), *adata.obsp.values()]


def _require_memory(adata: AnnData, target: Path) -> None:
    if target.is_dir() and any(hasattr(values, "dask") for values in _matrices(adata)):
        msg = "Parts of the table are not in memory yet, and may be parts of the store that would be replaced"
        fix = "`adata.to_memory()`, or write to another place"
        raise InputError(msg, where=target.name, fix=fix, code="BI-33")


def _require_space(adata: AnnData, target: Path, compression: str | None) -> None:
    if compression is not None or target.suffix != ".h5ad" or not target.parent.is_dir() or adata.isbacked:
        return
    needed, free = sum(_bytes_of(one) for one in _matrices(adata)), shutil.disk_usage(target.parent).free
    if needed > free:
        msg = f"{target.name} does not fit on the disk"
        raise StoreError(
            msg,
            where=f"{target.parent.resolve()}: {needed:,} bytes are needed, {free:,} are free",
            why="nothing was written",
            fix='choose another folder, free some space, or try `compression="gzip"`',
            code="FI-06",
        )


def _bytes_of(values: Any) -> int:
    parts = [getattr(values, name, None) for name in ("data", "indices", "indptr")]
    if any(part is None for part in parts):
        return int(getattr(values, "nbytes", 0))
    return sum(int(getattr(part, "nbytes", 0)) for part in parts)


@contextmanager
def _in_words(target: Path) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # how HDF5 tells that the disk is full
        raise OSError(str(error)) from error
    except OSError:
        raise
    except Exception as error:
        msg = f"Something in the data cannot be stored in {target.suffix}"
        raise NamingError(
            msg,
            where=str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__,
            why=f"{target.name} was not written; what was there before is intact",
            fix="keys are text without `/`; values in `uns` are text, numbers, arrays or dicts of these",
            code="BI-67",
        ) from error


def _write_table(adata: AnnData, new: Path, suffix: str, compression: str | None) -> None:
    if suffix == ".h5ad":
        write_h5ad(adata, new, compression)
        return
    import anndata

    anndata.io.write_zarr(new, adata, convert_strings_to_categoricals=False)


def _write_spatialdata(data: SpatialData, new: Path) -> None:
    import zarr

    data.write(new, consolidate_metadata=False, update_sdata_path=False)
    zarr.consolidate_metadata(new)


def _live_in(data: SpatialData, target: Path) -> None:
    """Let what was read from the store that is gone be read from the new one."""
    import spatialdata

    place = target.resolve()
    gone = [
        (kind, name)
        for kind in LAZY
        for name, element in getattr(data, kind).items()
        if any(Path(one).resolve().is_relative_to(place) for one in spatialdata.get_dask_backing_files(element))
    ]
    if gone:
        fresh = spatialdata.read_zarr(target, selection=tuple({kind for kind, _ in gone}))
        for kind, name in gone:
            elements = getattr(data, kind)
            del elements[name]
            elements[name] = getattr(fresh, kind)[name]
    data.path = target
