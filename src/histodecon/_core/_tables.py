"""Cell-type tables in ``obsm``: real names, safe columns, kind and digest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from histodecon._core._errors import AlignmentError, InputError, MissingKeyError, NamingError, first_names
from histodecon._core._keys import Key, safe_key
from histodecon._core._results import note_where_results_go, note_zeros_or_edits
from histodecon._core._row_digests import ROWS, changed_rows, row_digests

if TYPE_CHECKING:
    from anndata import AnnData

KINDS = ("abundance", "proportion")
UNITS = {"abundance": "cells per spot", "proportion": "proportion"}


def safe_columns(names: Sequence[str]) -> list[str]:
    """Turn cell-type names into column names that every format keeps.

    Parameters
    ----------
    names
        Real names, in order.

    Returns
    -------
    One safe name for each, in the same order.

    Raises
    ------
    NamingError
        A name is empty or reserved, stands twice, or two of them become the same column.
    """
    bad = [
        name for name in names if not isinstance(name, str) or name.strip() in {"", ".", ".."} or name.startswith("__")
    ]
    if bad:
        msg = "Some cell-type names cannot be stored"
        raise NamingError(
            msg,
            where=f"{len(bad)} of {len(names)}: {first_names(bad)}",
            why="an empty name, '.', '..' or a leading '__' corrupts h5ad and zarr files",
            fix="rename these columns, for example `targets.rename(columns={...})`",
            code="BI-66",
        )
    columns = [safe_key(name) for name in names]
    folded: dict[str, list[str]] = {}
    for name, column in zip(names, columns, strict=True):
        folded.setdefault(column.lower(), []).append(name)
    clashes = [group for group in folded.values() if len(group) > 1]
    if clashes:
        msg = "Some cell-type names would become the same column"
        raise NamingError(
            msg,
            where="; ".join(first_names(group) for group in clashes[:3]),
            why="characters outside letters, digits, '_', '.' and '-' are stored as '_', and case is not kept by every file system",
            fix="rename one of each pair",
            code="BI-65",
        )
    return columns


def write_table(
    adata: AnnData, key: str, table: pd.DataFrame, *, kind: str, record: Mapping[str, Any] | None = None
) -> None:
    """Write a cell-type table into ``obsm`` and its record into ``uns["histodecon"]["tables"][key]``.

    Parameters
    ----------
    adata
        Where to write.
    key
        Key in ``obsm``.
    table
        Shape (n_obs, n_types), index equal to ``obs_names``, columns are the real names.
    kind
        ``"abundance"`` (cells per spot) or ``"proportion"``.
    record
        More facts to keep: str, number, bool, array or dict.
    """
    if kind not in KINDS:
        msg = f"Unknown kind {kind!r} for obsm[{key!r}]"
        raise InputError(msg, fix=f"use one of {KINDS}", code="BI-61")
    names = [str(name) for name in table.columns]
    columns = safe_columns(names)
    if not table.index.equals(adata.obs_names):
        msg = f"The table for obsm[{key!r}] is not in the order of obs_names"
        raise AlignmentError(msg, code="BI-09")
    values = pd.DataFrame(table.to_numpy(), index=adata.obs_names.copy(), columns=columns)
    tables = dict(uns_branch(adata, Key.uns.TABLES))
    tables[key] = {
        **(record or {}),
        "names": np.array(names, dtype=object),
        "columns": np.array(columns, dtype=object),
        "kind": kind,
        "unit": UNITS[kind],
        ROWS: row_digests(adata.obs_names, table.to_numpy(dtype=np.float64)),
    }
    note_where_results_go(adata)
    adata.obsm[key] = values
    set_uns_branch(adata, Key.uns.TABLES, tables)


def read_table(adata: AnnData, key: str) -> pd.DataFrame:
    """Read a cell-type table from ``obsm`` under its real names.

    Parameters
    ----------
    adata
        Where to read.
    key
        Key in ``obsm``.

    Returns
    -------
    A copy, shape (n_obs, n_types), float64, columns are the real names.

    Raises
    ------
    MissingKeyError
        The key is absent.
    InputError
        The entry is an array without names.
    IncompleteStoreError
        It holds zeros where none were written: parts of the file that it was read from are lost.

    Warns
    -----
    HistodeconWarning
        Rows were edited since they were written.
    """
    if key not in adata.obsm:
        msg = f"obsm[{key!r}] is absent"
        raise MissingKeyError(
            msg,
            where=f"tables present: {first_names(table_keys(adata), 8)}",
            fix="write it with `histodecon.tl.set_targets(adata, targets)` or `histodecon.tl.predict_abundance(adata)`",
            code="BI-87",
        )
    values = adata.obsm[key]
    if not isinstance(values, pd.DataFrame):
        msg = f"obsm[{key!r}] has no cell-type names"
        raise InputError(
            msg,
            where=f"it is a {type(values).__name__} of shape {getattr(values, 'shape', '?')}",
            why="columns are matched by name, never by position",
            fix=f"store a DataFrame: `adata.obsm[{key!r}] = pd.DataFrame(values, index=adata.obs_names, columns=names)`",
            code="BI-64",
        )
    stored = table_record(adata, key)
    names = [str(column) for column in values.columns]
    if stored is not None:
        real = dict(zip(map(str, stored["columns"]), map(str, stored["names"]), strict=True))
        names = [real.get(name, name) for name in names]
    numbers = values.to_numpy(dtype=np.float64)
    note_zeros_or_edits(adata, key, changed_rows(adata, stored, numbers), "histodecon.tl.set_targets")
    return pd.DataFrame(numbers, index=adata.obs_names.copy(), columns=names)


def table_record(adata: AnnData, key: str) -> Mapping[str, Any] | None:
    """Return what is recorded about a table, or None.

    Parameters
    ----------
    adata
        Where to read.
    key
        Key in ``obsm``.

    Returns
    -------
    The record with ``names``, ``columns``, ``kind``, ``unit`` and what the writer added; None for a table we did not write.
    """
    record = uns_branch(adata, Key.uns.TABLES).get(key)
    return record if isinstance(record, Mapping) else None


def table_kind(adata: AnnData, key: str) -> str:
    """Return ``"abundance"`` or ``"proportion"``: as recorded, else read off the row sums.

    Parameters
    ----------
    adata
        Where to read.
    key
        Key in ``obsm``.

    Returns
    -------
    The kind.
    """
    record = table_record(adata, key)
    return str(record["kind"]) if record is not None else detect_kind(read_table(adata, key).to_numpy())


def detect_kind(values: np.ndarray) -> str:
    """Tell proportions from abundances by their row sums.

    Parameters
    ----------
    values
        Shape (n, n_types); rows of NaN are left out.

    Returns
    -------
    ``"proportion"`` when every row sums to 1 within 1e-3, else ``"abundance"``.
    """
    rows = values[np.isfinite(values).all(axis=1)]
    return "proportion" if len(rows) and bool(np.all(np.abs(rows.sum(axis=1) - 1) <= 1e-3)) else "abundance"


def table_keys(adata: AnnData) -> list[str]:
    """List the keys of ``obsm`` that hold a DataFrame.

    Parameters
    ----------
    adata
        Where to look.

    Returns
    -------
    The keys.
    """
    return [key for key, value in adata.obsm.items() if isinstance(value, pd.DataFrame)]


def uns_branch(adata: AnnData, branch: str) -> Mapping[str, Any]:
    """Return ``uns["histodecon"][branch]``, empty when absent. Not for writing.

    Parameters
    ----------
    adata
        Where to read.
    branch
        One of the names of ``Key.uns``.

    Returns
    -------
    The mapping.
    """
    root = adata.uns.get(Key.uns.ROOT, {})
    value = root.get(branch, {}) if isinstance(root, Mapping) else {}
    return value if isinstance(value, Mapping) else {}


def set_uns_branch(adata: AnnData, branch: str, value: Mapping[str, Any]) -> None:
    """Write ``uns["histodecon"][branch]`` and leave its siblings alone.

    Parameters
    ----------
    adata
        Where to write.
    branch
        One of the names of ``Key.uns``.
    value
        The new content.
    """
    note_where_results_go(adata)
    root = adata.uns.get(Key.uns.ROOT, {})
    adata.uns[Key.uns.ROOT] = {**(root if isinstance(root, Mapping) else {}), branch: dict(value)}


def digest(*parts: object) -> str:
    """Sha256 over arrays, texts and numbers, in order.

    Parameters
    ----------
    *parts
        Arrays (dtype, shape and content count), bytes, or anything with a stable ``str``.

    Returns
    -------
    64 hexadecimal digits.
    """
    sha = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            sha.update(f"{part.dtype.str}{part.shape}".encode())
            sha.update(np.ascontiguousarray(part).tobytes())
        elif isinstance(part, bytes):
            sha.update(part)
        elif isinstance(part, Iterable) and not isinstance(part, str):
            sha.update(digest(*part).encode())
        else:
            sha.update(str(part).encode())
        sha.update(b"\x1f")
    return sha.hexdigest()
