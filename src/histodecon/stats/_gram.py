"""Products of all columns of two tables."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_ROWS = 256  # of a part of a product: OpenBLAS does not copy the factors of small ones


def gram(a: NDArray[np.floating], b: NDArray[np.floating]) -> NDArray[np.float64]:
    """Compute aᵀ b.

    Parameters
    ----------
    a, b
        Shapes (n, K) and (n, L), float64 or float32.

    Returns
    -------
    Shape (K, L), summed in float64.
    """
    out = np.zeros((a.shape[1], b.shape[1]))
    for start in range(0, len(a), _ROWS):
        out += a[start : start + _ROWS].T @ b[start : start + _ROWS]
    return out


def symmetric_gram(a: NDArray[np.floating], b: NDArray[np.floating]) -> NDArray[np.float64]:
    """Compute aᵀ b where it is symmetric; a quarter of it is not computed twice.

    Parameters
    ----------
    a, b
        Shape (n, K), float64 or float32.

    Returns
    -------
    Shape (K, K), summed in float64.
    """
    k, half = a.shape[1], a.shape[1] // 2
    top, corner = np.zeros((half, k)), np.zeros((k - half, k - half))
    for start in range(0, len(a), _ROWS):
        left, right = a[start : start + _ROWS], b[start : start + _ROWS]
        top += left[:, :half].T @ right
        corner += left[:, half:].T @ right[:, half:]
    out = np.zeros((k, k))
    out[:half], out[half:, half:] = top, corner
    return mirrored(out)


def mirrored(upper: NDArray[np.float64]) -> NDArray[np.float64]:
    """Copy what is above the diagonal below it.

    Parameters
    ----------
    upper
        Square; what is below the diagonal does not matter. It is written to.

    Returns
    -------
    The symmetric matrix.
    """
    lower = np.tril_indices(len(upper), -1)
    upper[lower] = upper.T[lower]
    return upper
