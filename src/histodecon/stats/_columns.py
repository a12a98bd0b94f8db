"""Columns of a table, centered and scaled."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_FLAT = 1e-13  # relative spread below which float64 values carry no variance


def unit_columns(
    values: NDArray[np.float64], valid: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Center each column and scale it to unit length, so that the product of two columns is their correlation.

    Parameters
    ----------
    values
        Shape (n, K).
    valid
        Entries that count, shape (n, K); all by default.

    Returns
    -------
    The columns, 0 where an entry does not count and in columns without variance; and which columns have none.
    """
    if valid is None:
        return _all_unit_columns(values)
    kept = np.where(valid, values, 0.0)
    top = np.abs(kept).max(axis=0, initial=0.0)
    kept = np.divide(kept, top, out=np.zeros_like(kept), where=top > 0)
    for _ in range(2):  # the second pass removes what rounding left of a large mean
        kept = np.where(valid, kept - column_means(kept, valid), 0.0)
    flat = ~(np.abs(kept).max(axis=0, initial=0.0) > _FLAT)
    norm = np.sqrt((kept**2).sum(axis=0))
    return np.divide(kept, norm, out=np.zeros_like(kept), where=~flat), flat


def _all_unit_columns(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Do the same where every entry counts, with as few passes over the values as it takes."""
    top = np.maximum(values.max(axis=0, initial=0.0), -values.min(axis=0, initial=0.0))
    kept = values / np.where(top > 0, top, 1.0)
    for _ in range(2):
        kept -= kept.sum(axis=0) / max(len(kept), 1)
    spread = np.maximum(kept.max(axis=0, initial=0.0), -kept.min(axis=0, initial=0.0))
    flat = ~(spread > _FLAT)
    norm = np.sqrt(np.einsum("ij,ij->j", kept, kept))
    kept *= np.where(flat, 0.0, 1.0 / np.where(flat, 1.0, norm))
    return kept, flat


def column_means(values: NDArray[np.float64], valid: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Mean of the entries of each column that count.

    Parameters
    ----------
    values, valid
        Shape (n, K).

    Returns
    -------
    Shape (K,); NaN where none counts.
    """
    count = valid.sum(axis=0)
    total = np.where(valid, values, 0.0).sum(axis=0)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
