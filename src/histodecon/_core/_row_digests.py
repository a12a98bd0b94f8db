"""A digest of every row of a table, kept with the barcode: what was lost or edited afterwards is known."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from anndata import AnnData

ROWS = "rows"
"""Where the record of a table keeps them."""


def row_digests(names: Iterable[object], values: np.ndarray) -> np.ndarray:
    """Compute digests of rows and of their barcodes, and count zeros.

    Parameters
    ----------
    names
        Barcodes.
    values
        Shape (n, width).

    Returns
    -------
    uint64, shape (n, 3): digest of the barcode, digest of the row, number of zeros in the row.
    """
    rows = np.ascontiguousarray(values).data.cast("B") if values.size else memoryview(b"")
    step = values.dtype.itemsize * values.shape[1]
    return np.column_stack(
        [
            _digests(str(name).encode() for name in names),
            _digests(rows[i * step : (i + 1) * step] for i in range(len(values))),
            (values == 0).sum(axis=1).astype(np.uint64),
        ]
    )


def _digests(parts: Iterable[Any]) -> np.ndarray:
    return np.frombuffer(b"".join(hashlib.blake2b(part, digest_size=8).digest() for part in parts), dtype="<u8").astype(
        np.uint64
    )


def changed_rows(adata: AnnData, record: Mapping[str, Any] | None, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the rows that are not what was written.

    Parameters
    ----------
    adata
        The table that holds the values now; some of its rows may be gone, or in another order.
    record
        What is recorded about them.
    values
        The values now, as they were handed to :func:`row_digests`.

    Returns
    -------
    Their positions, and whether each holds more zeros than were written. Rows of barcodes that were not there are left out,
    except where none was there: then barcodes were renamed, and a row is as written when any row was. Empty when no digests are
    recorded.
    """
    written = np.asarray((record or {}).get(ROWS, ()))
    if written.ndim != 2 or written.shape[1:] != (3,) or not len(written):
        return np.arange(0), np.zeros(0, dtype=bool)
    now = row_digests(adata.obs_names, values)
    order = np.argsort(written[:, 0], kind="stable")
    at = order[np.clip(np.searchsorted(written[order, 0], now[:, 0]), 0, len(written) - 1)]
    known = written[at, 0] == now[:, 0]
    if known.any():
        changed = np.flatnonzero(known & (written[at, 1] != now[:, 1]))
        return changed, now[changed, 2] > written[at[changed], 2]
    changed = np.flatnonzero(~np.isin(now[:, 1], written[:, 1]))
    return changed, now[changed, 2] > written[:, 2].max()
