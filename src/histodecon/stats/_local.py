"""Where on the slide a pair of cell types shares places: Moran's R spot by spot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histodecon.stats._columns import unit_columns
from histodecon.stats._null import benjamini_hochberg, two_sided
from histodecon.stats._sums import spatial_sums

_MIN_SPOTS = 4


@dataclass(frozen=True)
class LocalMoranResult:
    """Moran's R spot by spot; arrays are (n, pairs), NaN where a type has no variance.

    Parameters
    ----------
    r
        What a spot contributes; the mean over the spots is R of the pair.
    expected, sd
        Exact mean and standard deviation while the values of all other spots are permuted.
    p
        Two-sided p, normal approximation.
    q
        Benjamini-Hochberg over the spots, pair by pair.
    """

    r: NDArray[np.float64]
    expected: NDArray[np.float64]
    sd: NDArray[np.float64]
    p: NDArray[np.float64]
    q: NDArray[np.float64]


def local_morans_r(
    x: ArrayLike,
    coords: ArrayLike,
    length: float,
    pairs: ArrayLike,
    *,
    include_self: bool = True,
    method: Literal["auto", "blocks", "lattice", "fft", "near"] = "auto",
) -> LocalMoranResult:
    """Contribution of every spot to bivariate Moran's R of chosen pairs.

    Parameters
    ----------
    x
        Values, shape (n, K).
    coords
        Positions, shape (n, dims), in the unit of ``length``.
    length
        Length scale l of the Gaussian weights.
    pairs
        Numbers of the columns, int (pairs, 2).
    include_self
        Whether a spot is its own neighbor with weight 1.
    method
        As in :func:`morans_r`.

    Returns
    -------
    The contributions and their null.

    Raises
    ------
    ValueError
        For shapes that do not fit, values that are not finite, or columns that are not there.

    Notes
    -----
    With u and v centered and scaled to unit length, Rᵢ = n²/(2W) (uᵢ Σⱼ wᵢⱼvⱼ + vᵢ Σⱼ wᵢⱼuⱼ), so that the mean over spots is R. It is
    positive where both types are above their means around a spot, or both below, and negative where one is.

    The null keeps the values of spot i and puts those of the other spots anywhere, both types independently: the local
    test of Anselin (*Geogr. Anal.* 27 (1995) 93-115). A spot's own two values stay, so that they are no evidence.

    Examples
    --------
    >>> import numpy as np
    >>> from histodecon.stats import local_morans_r, morans_r
    >>> rng = np.random.default_rng(0)
    >>> x, coords = rng.normal(size=(50, 2)), rng.uniform(0, 9, (50, 2))
    >>> local = local_morans_r(x, coords, 1.0, [[0, 1]])
    >>> bool(np.isclose(local.r.mean(), morans_r(x, coords, 1.0).r[0, 1]))
    True
    """
    values, points, columns = (np.asarray(x, dtype=np.float64), np.asarray(coords, dtype=np.float64), np.asarray(pairs))
    _check(values, points, columns, length)
    columns = columns.reshape(-1, 2).astype(np.int64)
    n = len(points)
    kinds, at = np.unique(columns, return_inverse=True)
    a, b = at.reshape(-1, 2).T
    u, flat = unit_columns(values[:, kinds])
    points = points - points.mean(axis=0)
    sums, _ = spatial_sums(points, u, length, include_self=include_self, method=method)
    nothing = np.full((n, len(a)), np.nan)
    if sums.total == 0.0:
        return LocalMoranResult(*(nothing.copy() for _ in range(5)))
    scale = n * n / sums.total / 2
    r = scale * (u[:, a] * sums.product[:, b] + u[:, b] * sums.product[:, a])
    r[:, flat[a] | flat[b]] = np.nan
    if n < _MIN_SPOTS:
        return LocalMoranResult(r, *(nothing.copy() for _ in range(4)))
    squares, _ = spatial_sums(points, u[:, :0], length / np.sqrt(2.0), include_self=False, method=method)
    mean, variance = _others(u, sums.row_sums - sums.self_weight, squares.row_sums)
    mean += sums.self_weight * u
    expected = scale * (u[:, a] * mean[:, b] + u[:, b] * mean[:, a])
    together = np.where(a == b, 2.0, 1.0)  # the two halves of a type with itself are one
    sd = scale * np.sqrt(together * (u[:, a] ** 2 * variance[:, b] + u[:, b] ** 2 * variance[:, a]))
    with np.errstate(invalid="ignore", divide="ignore"):
        p = two_sided(np.where(sd > 0, (r - expected) / sd, np.nan))
    q = np.column_stack([benjamini_hochberg(column) for column in p.T]) if len(a) else p
    return LocalMoranResult(r, expected, sd, p, q)


def _others(
    u: NDArray[np.float64], row_sums: NDArray[np.float64], squares: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and variance of Σⱼ wᵢⱼ uⱼ over the other spots j, their values in any order."""
    n = len(u)
    mean = -u / (n - 1)
    spread = np.maximum((1.0 - u**2) / (n - 1) - mean**2, 0.0)
    contrast = np.maximum((n - 1) * squares - row_sums**2, 0.0) / (n - 2)
    return row_sums[:, None] * mean, contrast[:, None] * spread


def _check(values: NDArray[np.float64], points: NDArray[np.float64], columns: NDArray, length: float) -> None:
    if values.ndim != 2 or points.ndim != 2 or len(values) != len(points) or not len(points):
        msg = f"x and coords must be tables of as many rows, got {values.shape} and {points.shape}"
        raise ValueError(msg)
    if not (np.isfinite(values).all() and np.isfinite(points).all() and np.isfinite(length) and length > 0):
        msg = f"x and coords must be finite and length positive, got length {length}"
        raise ValueError(msg)
    if columns.size and (
        columns.ndim != 2 or columns.shape[1] != 2 or columns.min() < 0 or columns.max() >= values.shape[1]
    ):
        msg = f"pairs must be (pairs, 2) numbers of the {values.shape[1]} columns of x, got shape {columns.shape}"
        raise ValueError(msg)
