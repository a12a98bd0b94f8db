"""Centered sums over rows, from which ridge is solved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCK = 256
LOST = 1e-3
"""Least share of a column's variation that must be left when rows leave."""


@dataclass(frozen=True)
class Sums:
    """Centered sums over some rows.

    Parameters
    ----------
    size
        Rows.
    mean, target_mean
        Means, shape (d,) and (K,).
    gram
        Shape (d, d).
    cross
        Shape (d, K).
    """

    size: float
    mean: NDArray[np.float64]
    target_mean: NDArray[np.float64]
    gram: NDArray[np.float64]
    cross: NDArray[np.float64]


def sums_of(X: NDArray, Y: NDArray, center: NDArray, scale: NDArray) -> Sums:
    """Sum over rows.

    Parameters
    ----------
    X
        Inputs as they are, shape (n, d).
    Y
        Targets, shape (n, K).
    center, scale
        Scale of the sums, shape (d,).

    Returns
    -------
    The sums, in float64.
    """
    from scipy.linalg.blas import dsyrk

    mean, target_mean = X.mean(axis=0, dtype=np.float64), Y.mean(axis=0)
    Z = np.subtract(X, mean, dtype=np.float64)
    Z /= scale
    gram = dsyrk(1.0, Z.T, lower=1)
    for start in range(0, len(gram), BLOCK):  # the other half, without a second matrix
        stop = start + BLOCK
        gram[start:stop, stop:] = gram[stop:, start:stop].T
        own = gram[start:stop, start:stop]
        own[...] = np.tril(own) + np.tril(own, -1).T
    return Sums(float(len(X)), (mean - center) / scale, target_mean, gram, Z.T @ (Y - target_mean))


def pool(parts: Sequence[Sums]) -> Sums:
    """Sum over the rows of several parts.

    Parameters
    ----------
    parts
        Their sums.

    Returns
    -------
    The sums.
    """
    if len(parts) == 1:
        return parts[0]
    size = sum(part.size for part in parts)
    mean = np.sum([part.size * part.mean for part in parts], axis=0) / size
    target_mean = np.sum([part.size * part.target_mean for part in parts], axis=0) / size
    root = np.sqrt([part.size for part in parts])[:, None]
    apart = root * (np.array([part.mean for part in parts]) - mean)
    targets_apart = root * (np.array([part.target_mean for part in parts]) - target_mean)
    gram = apart.T @ apart
    for part in parts:
        gram += part.gram
    cross = apart.T @ targets_apart + np.sum([part.cross for part in parts], axis=0)
    return Sums(size, mean, target_mean, gram, cross)


def downdated(total: Sums, gone: Sums) -> Sums | None:
    """Take rows off sums.

    Parameters
    ----------
    total
        Sums over all rows.
    gone
        Sums over those that leave.

    Returns
    -------
    The sums over the others; None where a column varies so much more in the rows that leave that digits would be lost.
    """
    size = total.size - gone.size
    mean = (total.size * total.mean - gone.size * gone.mean) / size
    target_mean = (total.size * total.target_mean - gone.size * gone.target_mean) / size
    apart, weight = gone.mean - total.mean, gone.size * total.size / size
    left = np.diagonal(total.gram) - np.diagonal(gone.gram) - weight * apart**2
    if (left < LOST * np.diagonal(total.gram)).any():
        return None
    gram = total.gram - gone.gram
    for start in range(0, len(gram), BLOCK):  # without a second matrix
        gram[start : start + BLOCK] -= np.outer(weight * apart[start : start + BLOCK], apart)
    cross = total.cross - gone.cross - np.outer(weight * apart, gone.target_mean - total.target_mean)
    return Sums(size, mean, target_mean, gram, cross)
