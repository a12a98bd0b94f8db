"""Moran's R as SpatialDM and Hist2Cell compute it: only to compare with published figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histodecon.stats._columns import unit_columns
from histodecon.stats._moran import MoranResult
from histodecon.stats._null import benjamini_hochberg

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_MIN_SPOTS = 4


def morans_r_spatialdm(
    x: ArrayLike,
    coords: ArrayLike,
    length: float,
    *,
    y: ArrayLike | None = None,
    neighbors: int = 160,
    cutoff: float = 0.2,
) -> MoranResult:
    """Bivariate Moran's R with the weights and the test of SpatialDM, to compare with figures published with them.

    For everything else use :func:`morans_r`: here far spots are cut off, p sees attraction only, and the map need not be
    symmetric.

    Parameters
    ----------
    x
        Values, shape (n, K); the types that are smoothed.
    coords
        Positions, shape (n, dims), in the unit of ``length``; published figures take pixels.
    length
        Length scale l of the Gaussian weights; 500 in published figures.
    y
        Second table of the same spots, shape (n, L); by default ``x`` itself.
    neighbors
        Spots that may weigh on a spot: the nearest ones, itself among them.
    cutoff
        Weights below this are 0. A spot weighs 1 on itself.

    Returns
    -------
    R, z and the one-sided p of attraction; ``expected`` is 0, q is Benjamini-Hochberg over all entries, so take the pairs
    that were published before adjusting. ``r[a, b]`` smooths type a. Published maps have 1 on their diagonal.

    Raises
    ------
    ValueError
        For shapes that do not fit, values that are not finite, or options out of range.

    Notes
    -----
    Where the cutoff takes effect before the number of neighbors, the weights are symmetric, and so is the map.
    sd² = (n² Σ wᵢⱼ wⱼᵢ - 2 n Σ rᵢ cᵢ + W²) / (W² (n - 1)²), with r and c the sums of rows and columns and W the sum of all.

    Examples
    --------
    >>> import numpy as np
    >>> from histodecon.stats import morans_r_spatialdm
    >>> rng = np.random.default_rng(0)
    >>> found = morans_r_spatialdm(rng.normal(size=(300, 3)), rng.uniform(0, 5000, (300, 2)), 500)
    >>> found.r.shape
    (3, 3)
    """
    u, points = (np.asarray(values, dtype=np.float64) for values in (x, coords))
    v = u if y is None else np.asarray(y, dtype=np.float64)
    _check(u, v, points, length, neighbors, cutoff)
    (u, flat_u), (v, flat_v) = unit_columns(u), unit_columns(v)
    n = len(points)
    weights = _weights(points, length, neighbors, cutoff)
    total = float(weights.sum())
    r = (weights @ u).T @ v * (n / total)
    r[flat_u[:, None] | flat_v[None, :]] = np.nan
    sd, reason = _sd(weights, total)
    z = r / sd
    p = _upper_tail(z)
    spread = np.where(np.isnan(r), np.nan, sd)
    return MoranResult(
        r,
        np.where(np.isnan(r), np.nan, 0.0),
        spread,
        z,
        p,
        benjamini_hochberg(p),
        n,
        float(length),
        total / n - 1.0,
        reason,
        "spatialdm",
    )


def _weights(points: NDArray[np.float64], length: float, neighbors: int, cutoff: float) -> csr_array:
    from scipy.sparse import csr_array
    from scipy.spatial import cKDTree

    n, k = len(points), min(neighbors, len(points))
    distance, column = cKDTree(points).query(points, k=k)
    distance, column = distance.reshape(n, k), column.reshape(n, k)
    weight = np.exp(-(distance**2) / (2 * length**2))
    row = np.repeat(np.arange(n), k).reshape(n, k)
    kept = (weight >= cutoff) & (column != row)
    own = np.arange(n)
    data = np.r_[weight[kept], np.ones(n)]
    return csr_array((data, (np.r_[row[kept], own], np.r_[column[kept], own])), shape=(n, n))


def _sd(weights: csr_array, total: float) -> tuple[float, str]:
    n = weights.shape[0]
    if n < _MIN_SPOTS:
        return float("nan"), f"{n} spots: fewer than {_MIN_SPOTS} give no null distribution"
    both = float(weights.multiply(weights.T).sum())
    rows, columns = np.asarray(weights.sum(axis=1)), np.asarray(weights.sum(axis=0))
    variance = (n**2 * both - 2 * n * float(rows @ columns) + total**2) / (total**2 * (n - 1.0) ** 2)
    return (float(np.sqrt(variance)), "") if variance > 0 else (float("nan"), "all pairs of spots have the same weight")


def _upper_tail(z: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.special import ndtr

    return ndtr(-z)


def _check(
    u: NDArray[np.float64],
    v: NDArray[np.float64],
    points: NDArray[np.float64],
    length: float,
    neighbors: int,
    cutoff: float,
) -> None:
    if not (u.ndim == v.ndim == points.ndim == 2 and len(u) == len(v) == len(points) > 0):
        msg = f"x, y and coords must be tables of the same, positive number of rows, got {u.shape}, {v.shape}, {points.shape}"
        raise ValueError(msg)
    if not (np.isfinite(u).all() and np.isfinite(v).all() and np.isfinite(points).all()):
        msg = "x, y and coords must be finite"
        raise ValueError(msg)
    if not (np.isfinite(length) and length > 0 and neighbors >= 1 and 0 <= cutoff < 1):
        msg = (
            "length must be positive, neighbors at least 1 and cutoff in [0, 1), "
            f"got {length}, {neighbors} and {cutoff}"
        )
        raise ValueError(msg)
