"""Columns of a table, centered and scaled."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import DTypeLike, NDArray

_FLAT = 1e-13  # relative spread below which float64 values carry no variance
_ALMOST_FLAT = 1e-8
_ROUNDING = 1e-14
_SMALL = 1e-100
_PART = 2**16  # values


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
        unit, flat = unit_table(values)
        return unit.astype(np.float64, copy=False), flat
    kept = np.where(valid, values, 0.0)
    top = np.abs(kept).max(axis=0, initial=0.0)
    kept = np.divide(kept, top, out=np.zeros_like(kept), where=top > 0)
    for _ in range(2):  # the second pass removes what rounding left of a large mean
        kept = np.where(valid, kept - column_means(kept, valid), 0.0)
    flat = ~(np.abs(kept).max(axis=0, initial=0.0) > _FLAT)
    norm = np.sqrt((kept**2).sum(axis=0))
    return np.divide(kept, norm, out=np.zeros_like(kept), where=~flat), flat


def unit_table(
    values: NDArray[np.float64], dtype: DTypeLike = np.float64
) -> tuple[NDArray[np.floating], NDArray[np.bool_]]:
    """Do what :func:`unit_columns` does where every entry counts, some rows at a time.

    Parameters
    ----------
    values
        Finite, shape (n, K).
    dtype
        Precision of the result.

    Returns
    -------
    The columns, and which have no variance.
    """
    n, k = values.shape
    parts = list(row_parts(n, k))
    rest, squares = np.zeros(k), np.zeros(k)
    with np.errstate(over="ignore", invalid="ignore"):
        mean = np.add.reduce([values[part].sum(axis=0) for part in parts], axis=0) / n if n else np.zeros(k)
        for part in parts:
            centered = values[part] - mean
            rest += centered.sum(axis=0)
            squares += np.einsum("ij,ij->j", centered, centered)
        rest /= max(n, 1)  # what rounding left of a large mean
        squares -= n * rest**2
        plain = (squares > _SMALL) & (squares > n * (_ALMOST_FLAT * mean) ** 2) & (squares < 1 / _SMALL)
    factor = 1.0 / np.sqrt(np.where(plain, squares, 1.0))
    mean, rest = np.where(plain, mean, 0.0), np.where(plain, rest, 0.0)
    centered_already = bool((np.abs(rest) * factor <= _ROUNDING / np.sqrt(max(n, 1))).all())
    out = np.empty(values.shape, dtype=dtype)
    for part in parts:
        centered = values[part] - mean
        if not centered_already:
            centered -= rest
        np.multiply(centered, factor, out=out[part], casting="same_kind")
    flat = np.zeros(k, dtype=np.bool_)
    if not plain.all():
        out[:, ~plain], flat[~plain] = _scaled_unit_columns(values[:, ~plain])
    return out, flat


def _scaled_unit_columns(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Do it for columns that are flat, or almost, or whose squares leave the range of floats."""
    top = np.abs(values).max(axis=0, initial=0.0)
    kept = values / np.where(top > 0, top, 1.0)
    for _ in range(2):
        kept -= kept.sum(axis=0) / max(len(kept), 1)
    flat = ~(np.abs(kept).max(axis=0, initial=0.0) > _FLAT)
    norm = np.sqrt(np.einsum("ij,ij->j", kept, kept))
    kept *= np.where(flat, 0.0, 1.0 / np.where(flat, 1.0, norm))
    return kept, flat


def row_parts(n: int, k: int) -> Iterator[slice]:
    """Cut a table into parts that stay in the cache while several things are done to them.

    Parameters
    ----------
    n, k
        Rows and columns.

    Yields
    ------
    Rows of each part.
    """
    step = max(64, _PART // max(k, 1))
    for start in range(0, n, step):
        yield slice(start, min(start + step, n))


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
