"""What was measured over an area, shared out among the places within it."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

TOLERANCE = 1e-9
MOST_ROUNDS = 2_000
_TRACE = 1e-6  # of a prediction: where nothing was predicted and something was measured, it is spread evenly


def share_out(
    predicted: ArrayLike, measured: ArrayLike, parent: ArrayLike, *, proportions: bool = False
) -> NDArray[np.float64]:
    """Rescale predictions of places so that those of one parent add up to what was measured there.

    Parameters
    ----------
    predicted
        Predictions of the places, shape (n, n_types), not negative. Only their ratios within a parent count.
    measured
        Values of the parents, shape (m, n_types), not negative; rows of proportions sum to 1.
    parent
        Position of each place's parent, shape (n,); -1 for none.
    proportions
        False: within a parent each column sums to what was measured. True: each row sums to 1 and each column has the measured
        mean, found by iterative proportional fitting, which changes the predictions as little as possible (Kullback-Leibler).

    Returns
    -------
    Shape (n, n_types); NaN for places without a parent, with a parent that has no value, or without a prediction. Where nothing
    was predicted of what was measured, it is spread evenly.

    Raises
    ------
    ValueError
        Shapes do not fit, values are negative, or a parent does not exist.

    Examples
    --------
    >>> from histodecon.stats import share_out
    >>> share_out([[1.0, 0.0], [3.0, 0.0]], [[8.0, 2.0]], [0, 0]).tolist()
    [[2.0, 1.0], [6.0, 1.0]]
    >>> share_out([[0.5, 0.5], [0.8, 0.2]], [[0.5, 0.5]], [0, 0], proportions=True).round(2).tolist()
    [[0.33, 0.67], [0.67, 0.33]]
    """
    x, y, of = np.asarray(predicted, np.float64), np.asarray(measured, np.float64), np.asarray(parent)
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or of.shape != x.shape[:1]:
        msg = f"predicted {x.shape}, measured {y.shape} and parent {of.shape} do not fit each other"
        raise ValueError(msg)
    if len(of) and (of.dtype.kind not in "iu" or of.max() >= len(y) or of.min() < -1):
        msg = f"a parent is a row of measured, 0 to {len(y) - 1}, or -1"
        raise ValueError(msg)
    if (x < 0).any() or (y < 0).any():
        msg = "predicted and measured must not be negative"
        raise ValueError(msg)
    out = np.full(x.shape, np.nan)
    rows = np.flatnonzero((of >= 0) & np.isfinite(x).all(axis=1))
    rows = rows[np.isfinite(y[of[rows]]).all(axis=1)]
    rows = rows[np.argsort(of[rows], kind="stable")]
    if len(rows):
        parents, first, size = np.unique(of[rows], return_index=True, return_counts=True)
        share = _proportions if proportions else _amounts
        out[rows] = share(x[rows], y[parents], first, size)
    return out


def _amounts(
    x: NDArray[np.float64], y: NDArray[np.float64], first: NDArray[np.intp], size: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Columns of each block of rows sum to its row of ``y``."""
    largest = np.maximum.reduceat(x, first, axis=0)
    x = np.where(np.repeat(largest, size, axis=0) > 0, x, 1.0)  # nothing predicted: evenly
    x = x / np.repeat(np.where(largest > 0, largest, 1.0), size, axis=0)  # tiny and huge numbers keep their ratios
    return x * np.repeat(y / np.add.reduceat(x, first, axis=0), size, axis=0)


def _proportions(
    x: NDArray[np.float64], y: NDArray[np.float64], first: NDArray[np.intp], size: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Rows sum to 1, columns of each block have the mean ``y``."""
    y = y / np.maximum(y.sum(axis=1, keepdims=True), np.finfo(float).tiny)
    x = np.where(np.repeat(y, size, axis=0) > 0, x + _TRACE, 0.0)
    x /= np.maximum(x.sum(axis=1, keepdims=True), np.finfo(float).tiny)
    wanted = y * size[:, None]
    for _ in range(MOST_ROUNDS):
        sums = np.add.reduceat(x, first, axis=0)
        if np.abs(sums - wanted).max() <= TOLERANCE:
            return x
        x = x * np.repeat(wanted / np.where(sums > 0, sums, 1.0), size, axis=0)
        x /= np.maximum(x.sum(axis=1, keepdims=True), np.finfo(float).tiny)
    late = np.abs(np.add.reduceat(x, first, axis=0) - wanted).max(axis=1) > TOLERANCE
    return np.where(np.repeat(late, size)[:, None], np.repeat(y, size, axis=0), x)
