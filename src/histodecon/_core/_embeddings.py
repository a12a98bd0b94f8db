"""Embeddings in ``obsm`` and the record that tells which recipe made them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from histodecon._core._errors import InputError, IntegrityError, MissingKeyError, first_names
from histodecon._core._keys import Key
from histodecon._core._results import note_where_results_go, note_zeros_or_edits
from histodecon._core._row_digests import ROWS, changed_rows, row_digests
from histodecon._core._tables import set_uns_branch, uns_branch

if TYPE_CHECKING:
    from anndata import AnnData

UNRECORDED = "unrecorded"


def as_2d_float(values: Any, name: str) -> np.ndarray:
    """Turn any container of a matrix into a float32 array; the result does not depend on the container.

    Parameters
    ----------
    values
        Array, sparse matrix, DataFrame, dask array; any real dtype.
    name
        How to call it in an error.

    Returns
    -------
    float32, C order, shape (n, width).

    Raises
    ------
    InputError
        It is not a real matrix.
    """
    if isinstance(values, pd.DataFrame):
        values = values.to_numpy()
    elif hasattr(values, "toarray"):
        values = values.toarray()
    elif hasattr(values, "compute"):
        values = values.compute()
    array = np.asarray(values)
    if array.ndim != 2 or array.dtype.kind not in "fiu":
        msg = f"{name} is not a matrix of real numbers"
        raise InputError(
            msg,
            where=f"shape {array.shape}, dtype {array.dtype}",
            fix="store a float array of shape (n_obs, width)",
            code="BI-48",
        )
    return np.ascontiguousarray(array, dtype=np.float32)


def write_embedding(adata: AnnData, key: str, values: np.ndarray, record: Mapping[str, Any]) -> None:
    """Write an embedding and its record.

    Parameters
    ----------
    adata
        Where to write.
    key
        Key in ``obsm``.
    values
        float32, shape (n_obs, width).
    record
        At least ``encoder`` (name) and ``fingerprint`` (of the recipe: encoder, weights, field of view); ``license`` and
        ``commercial`` where known. ``width`` is added, and ``rows``: a digest of each barcode and row, by which a store that lost
        parts, and an edit, is known when it is read.
    """
    records = dict(uns_branch(adata, Key.uns.EMBEDDINGS))
    records[key] = {
        **record,
        "width": int(values.shape[1]),
        ROWS: row_digests(adata.obs_names, as_2d_float(values, key)),
    }
    note_where_results_go(adata)
    adata.obsm[key] = values
    set_uns_branch(adata, Key.uns.EMBEDDINGS, records)


def read_embedding(adata: AnnData, key: str) -> tuple[np.ndarray, dict[str, Any]]:
    """Read an embedding with its record.

    Parameters
    ----------
    adata
        Where to read.
    key
        Key in ``obsm``.

    Returns
    -------
    The matrix, float32 (n_obs, width), and its record with ``key``, ``encoder``, ``fingerprint``, ``width``, ``license``, ``commercial``.
    A matrix that ``pp.embed_tiles`` did not write has the fingerprint ``"unrecorded"``.

    Raises
    ------
    MissingKeyError
        The key is absent.
    InputError
        It is not a finite matrix.
    IntegrityError
        It is not as wide as recorded.
    IncompleteStoreError
        It holds zeros where none were written: parts of the file that it was read from are lost.

    Warns
    -----
    HistodeconWarning
        Rows were edited since they were written.
    """
    if key not in adata.obsm:
        present = [name for name in adata.obsm if name.startswith(Key.obsm.EMBEDDING_PREFIX)]
        msg = f"obsm[{key!r}] is absent"
        raise MissingKeyError(
            msg,
            where=f"embeddings present: {first_names(present, 8)}",
            fix="`histodecon.pp.embed_tiles(data, encoder)` writes it",
            code="BI-87",
        )
    values = as_2d_float(adata.obsm[key], f"obsm[{key!r}]")
    bad = ~np.isfinite(values).all(axis=1)
    if bad.any():
        msg = f"obsm[{key!r}] has values that are not finite"
        raise InputError(
            msg,
            where=f"{int(bad.sum())} of {len(values)} spots: {first_names(adata.obs_names[bad])}",
            why="one such value spoils every prediction",
            fix="run `histodecon.pp.embed_tiles` again for these spots, or leave them out",
            code="BI-42",
        )
    record = uns_branch(adata, Key.uns.EMBEDDINGS).get(key)
    if not isinstance(record, Mapping):
        facts = {"encoder": key, "fingerprint": UNRECORDED, "width": values.shape[1]}
        return values, {"key": key, "license": "unknown", "commercial": False, **facts}
    if int(record["width"]) != values.shape[1]:
        msg = f"obsm[{key!r}] is not as wide as recorded"
        raise IntegrityError(
            msg,
            where=f"{values.shape[1]} columns, {int(record['width'])} recorded",
            why="`anndata.concat` narrows matrices of different width without a word",
            fix="join the slides before embedding, or embed again with `histodecon.pp.embed_tiles`",
            code="BI-89",
        )
    note_zeros_or_edits(adata, key, changed_rows(adata, record, values), "histodecon.pp.embed_tiles")
    facts = {name: value for name, value in record.items() if name != ROWS}
    return values, {"license": "unknown", "commercial": False, **facts, "key": key}


def embedding_keys(use_rep: str | Sequence[str]) -> list[str]:
    """Turn ``use_rep`` into a list.

    Parameters
    ----------
    use_rep
        One key or several.

    Returns
    -------
    The keys in order.

    Raises
    ------
    InputError
        There is none, or one stands twice.
    """
    keys = [use_rep] if isinstance(use_rep, str) else list(use_rep)
    if not keys or len(set(keys)) != len(keys):
        msg = f"use_rep must name each embedding once, got {keys}"
        raise InputError(msg, fix='use `use_rep=["X_conch", "X_uni"]`', code="BI-46")
    return keys
