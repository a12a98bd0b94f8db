"""Sums of Gaussian spatial weights: everything that Moran's R and its null need, without the n x n matrix."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class SpatialSums:
    """What a weight matrix ``w`` does to ``v``, and its own moments (weights as they are, not normalized).

    Any method that fills the first five fields can stand behind :func:`~histodecon.stats.morans_r`.

    Parameters
    ----------
    product
        ``w @ v``, shape (n, K), in the precision of ``v``; shape (n, 0) where ``gram`` is there instead.
    row_sums
        Σⱼ wᵢⱼ, shape (n,).
    self_weight
        wᵢᵢ: 1.0, or 0.0 when self-weights are left out.
    total
        Σᵢⱼ wᵢⱼ.
    sum_of_squares
        Σᵢⱼ wᵢⱼ².
    gram
        ``v.T @ w @ v``, shape (K, K), from a method that was asked for no more and can do without the product.
    """

    product: NDArray[np.floating]
    row_sums: NDArray[np.float64]
    self_weight: float
    total: float
    sum_of_squares: float
    gram: NDArray[np.float64] | None = None


def gaussian_sums(
    coords: NDArray[np.float64],
    v: NDArray[np.floating],
    length: float,
    *,
    include_self: bool = True,
    block_size: int = 1024,
) -> SpatialSums:
    """Sum weights exp(-d² / 2 length²) over all pairs of spots, tile by tile in float64.

    Parameters
    ----------
    coords
        Positions, shape (n, dims), in the unit of ``length``.
    v
        Values to be smoothed, shape (n, K).
    length
        Length scale of the Gaussian.
    include_self
        Whether a spot is its own neighbor with weight 1.
    block_size
        Side of a tile.

    Returns
    -------
    The smoothed values and the moments of the weights.

    Notes
    -----
    Distances come from differences of coordinates, never from the expanded square, so nothing cancels. Each tile above
    the diagonal serves both of its halves. Memory beyond the (n, K) result: three tiles of ``block_size`` × ``block_size`` float64
    (24 MiB by default), whatever n is. Time grows with n².
    """
    n = len(coords)
    product = np.zeros(v.shape, dtype=np.float64)
    row_sums = np.zeros(n, dtype=np.float64)
    sum_of_squares = 0.0
    starts = range(0, n, block_size)
    with np.errstate(under="ignore"):  # far spots weigh 0
        for i in starts:
            rows = slice(i, i + block_size)
            for j in starts[i // block_size :]:
                columns = slice(j, j + block_size)
                tile = _gaussian_tile(coords[rows], coords[columns], length)
                if i == j and not include_self:
                    np.fill_diagonal(tile, 0.0)
                product[rows] += tile @ v[columns]
                row_sums[rows] += tile.sum(axis=1)
                squares = float(np.vdot(tile, tile))
                if i != j:
                    product[columns] += tile.T @ v[rows]
                    row_sums[columns] += tile.sum(axis=0)
                    squares *= 2.0
                sum_of_squares += squares
    return SpatialSums(product, row_sums, float(include_self), float(row_sums.sum()), sum_of_squares)


def _gaussian_tile(a: NDArray[np.float64], b: NDArray[np.float64], length: float) -> NDArray[np.float64]:
    exponent = np.zeros((len(a), len(b)), dtype=np.float64)
    for axis in range(a.shape[1]):
        difference = np.subtract.outer(a[:, axis], b[:, axis])
        difference /= length
        np.multiply(difference, difference, out=difference)
        exponent += difference
    exponent *= -0.5
    return np.exp(exponent, out=exponent)
