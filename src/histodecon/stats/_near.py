"""Gaussian sums over near pairs: for spots that stand anywhere."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from histodecon.stats._weights import SpatialSums

BLOCK = 96
"""Spots of a block of pairs."""

_COMPACT = 30.0  # length scales: squares of coordinates then round off some 1e-13


def near_sums(
    coords: NDArray[np.float64],
    v: NDArray[np.floating],
    length: float,
    *,
    include_self: bool = True,
    tolerance: float = 1e-13,
) -> SpatialSums:
    """Sum weights exp(-d² / 2 length²) over the pairs of spots whose weight is at least ``tolerance``.

    Parameters
    ----------
    coords
        Positions, shape (n, 2), in the unit of ``length``.
    v
        Values to be smoothed, shape (n, K), float64 or float32; the exponential is taken in their precision.
    length
        Length scale of the Gaussian.
    include_self
        Whether a spot is its own neighbor with weight 1.
    tolerance
        Weights below this may be left out.

    Returns
    -------
    The sums, those of the weights in float64.

    Notes
    -----
    Spots are sorted into strips as high as the distance at which a weight falls to ``tolerance``, and along each strip. The
    neighbors of a run of spots are then two runs: one of its own strip, one of the next. Both are dense blocks, so that
    matrix products do the work, and no list of pairs is made. Each block serves both of its halves.

    What is left out of the sum of weights is at most a share ``tolerance`` of it where spots are spread evenly, and R changes
    by no more than that share. Memory beyond the (n, K) result: some blocks of 96 × the spots of two strips.
    """
    n = len(coords)
    reach = length * np.sqrt(-2.0 * np.log(tolerance))
    order, strips = _strips(coords, reach)
    xy = coords[order]
    values = np.ascontiguousarray(v[order])
    product = np.zeros_like(values)
    row_sums = np.zeros(n, dtype=np.float64)
    squares = 0.0
    for strip in range(len(strips) - 1):
        first, last = strips[strip], strips[strip + 1]
        below = (last, strips[strip + 2]) if strip + 2 < len(strips) else (last, last)
        for start in range(first, last, BLOCK):
            rows = slice(start, min(start + BLOCK, last))
            low, high = xy[start, 0] - reach, xy[rows.stop - 1, 0] + reach
            ahead = slice(rows.stop, rows.stop + int(np.searchsorted(xy[rows.stop : last, 0], high, "right")))
            next_x = xy[below[0] : below[1], 0]
            beneath = slice(*(below[0] + int(i) for i in np.searchsorted(next_x, [low, np.nextafter(high, np.inf)])))
            for columns in (rows, ahead, beneath):
                if columns.stop > columns.start:
                    alone = columns is rows and not include_self
                    squares += _add_block(xy, values, rows, columns, length, product, row_sums, alone=alone)
    back = np.empty(n, dtype=np.int64)
    back[order] = np.arange(n)
    return SpatialSums(product[back], row_sums[back], float(include_self), float(row_sums.sum()), squares)


def _strips(coords: NDArray[np.float64], reach: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Order spots by strip and along it; where each strip begins, empty ones included, and the end."""
    y = coords[:, 1] - coords[:, 1].min()
    count = int(y.max() / reach) + 1
    strip = np.minimum((y / reach).astype(np.int64), count - 1)
    order = np.lexsort((coords[:, 0], strip))
    return order, np.searchsorted(strip[order], np.arange(count + 1))


def _add_block(
    xy: NDArray[np.float64],
    values: NDArray[np.floating],
    rows: slice,
    columns: slice,
    length: float,
    product: NDArray[np.floating],
    row_sums: NDArray[np.float64],
    *,
    alone: bool,
) -> float:
    """Add what a block of pairs contributes, both ways when it is off the diagonal; return its squared weights.

    Weights of spots with themselves are set to 0 where they are left ``alone``: to subtract them afterwards would round.
    """
    center = xy[rows.start]
    weights = _block((xy[rows] - center) / length, (xy[columns] - center) / length, values.dtype)
    if alone:
        np.fill_diagonal(weights, 0.0)
    product[rows] += weights @ values[columns]
    row_sums[rows] += weights.sum(axis=1, dtype=np.float64)
    squares = float(np.einsum("ij,ij->", weights, weights, dtype=np.float64))
    if rows == columns:
        return squares
    product[columns] += weights.T @ values[rows]
    row_sums[columns] += weights.sum(axis=0, dtype=np.float64)
    return 2.0 * squares


def _block(a: NDArray[np.float64], b: NDArray[np.float64], dtype: np.dtype) -> NDArray[np.floating]:
    """Gaussian of the distances between two runs of spots."""
    longest = max(float(np.abs(part).max()) for part in (a, b))
    if longest < _COMPACT:  # -d²/2 = ab - a²/2 - b²/2, one matrix product, loses no digit that counts
        left, right = np.ones((len(a), 4)), np.ones((4, len(b)))
        left[:, :2], left[:, 2] = a, -0.5 * np.einsum("ij,ij->i", a, a)
        right[:2], right[3] = b.T, -0.5 * np.einsum("ij,ij->i", b, b)
        weights = (left @ right).astype(dtype, copy=False)
    else:
        across, down = (np.subtract.outer(a[:, axis], b[:, axis]) for axis in range(2))
        weights = (-0.5 * (across**2 + down**2)).astype(dtype)
    with np.errstate(under="ignore"):
        return np.exp(weights, out=weights)
