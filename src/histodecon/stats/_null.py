"""What Moran's R looks like when space means nothing: exact moments, permutations, false discovery rate."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from histodecon.stats._weights import SpatialSums

_ROWS = 256
_MANY = 4096  # spots from which shuffles are summed in float32 first
_DOUBT = 2e-7  # of the product of norms: many times what float32 rounds off
_ROUNDING = {"float64": 1e-12, "float32": 1e-6}
_NO_CONTRAST = 1e-12  # share of the squared weights that double centering must leave


def cross_variance(sums: SpatialSums) -> float:
    """Variance of R between two types whose values are both put on the spots at random.

    Parameters
    ----------
    sums
        Sums of the weights over n >= 2 spots.

    Returns
    -------
    The variance, the same for every pair of types; NaN where the weights have no contrast left after centering.

    Notes
    -----
    With x and y centered, scaled to unit length and permuted independently, each has covariance H / (n - 1) with
    H = I - 11ᵀ/n, so E R = 0 and Var R = (n/W)² ‖H w H‖² / (n - 1)² exactly, and
    ‖H w H‖² = Σw² - 2 Σr²/n + W²/n² from the row sums r.
    """
    n = len(sums.row_sums)
    squared = _double_centered_square(sums)
    if squared <= _NO_CONTRAST * sums.sum_of_squares:
        return np.nan
    return (n / sums.total) ** 2 * squared / (n - 1) ** 2


def self_moments(sums: SpatialSums, fourth: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    """Mean and variance of R between a type and itself, its values put on the spots at random.

    Parameters
    ----------
    sums
        Sums of the weights over n >= 4 spots.
    fourth
        Σ v⁴ of each centered type of unit length, shape (K,).

    Returns
    -------
    The mean, the same for all types, and the variance of each type, shape (K,).

    Notes
    -----
    A type and itself cannot be permuted independently, and self-weights give R a positive mean. With M = H w H the
    second moment of vᵀMv over all n! permutations needs only tr M, Σ mᵢᵢ², ‖M‖² and Σ v⁴: the randomization moments
    of Cliff and Ord, here for weights with a diagonal.
    """
    n = len(sums.row_sums)
    scale = n / sums.total
    diagonal = sums.self_weight - 2.0 * sums.row_sums / n + sums.total / n**2
    trace = float(diagonal.sum())
    d2 = float(np.vdot(diagonal, diagonal))
    square = _double_centered_square(sums)
    mean = scale * trace / (n - 1)
    # sums of M_ij M_kl over index patterns, times the mean of the matching product of four permuted values
    pairs = trace**2 + 2 * square - 3 * d2
    second = (
        d2 * fourth / n
        + 4 * d2 * fourth / (n * (n - 1))
        + pairs * (1 - fourth) / (n * (n - 1))
        + (12 * d2 - 2 * trace**2 - 4 * square) * (2 * fourth - 1) / (n * (n - 1) * (n - 2))
        + (pairs - 3 * d2) * (3 - 6 * fourth) / (n * (n - 1) * (n - 2) * (n - 3))
    )
    variance = scale**2 * second - mean**2
    noise = _NO_CONTRAST * scale**2 * sums.sum_of_squares / n**2
    return mean, np.where(variance > noise, variance, np.nan)


def permutation_p(
    smoothed: NDArray[np.floating],
    v: NDArray[np.floating],
    r: NDArray[np.float64],
    scale: float,
    *,
    permutations: int,
    random_state: int,
) -> NDArray[np.float64]:
    """Two-sided p of R when the spots of the second type are shuffled.

    Parameters
    ----------
    smoothed
        Weights times the first types, shape (n, K): shuffling the second types leaves it as it is.
    v
        Second types, centered, unit length, shape (n, L).
    r
        Observed R, shape (K, L).
    scale
        n over the total weight.
    permutations
        How many shuffles; one gather and one matrix product each.
    random_state
        Seed.

    Returns
    -------
    (1 + number of shuffles at least as far from 0) / (1 + permutations), shape (K, L).
    """
    rng = np.random.default_rng(random_state)
    bar = np.abs(r) / scale * (1 - _ROUNDING[v.dtype.name])
    bound = np.where(np.isnan(r), np.inf, bar)
    count = np.ones(r.shape, dtype=np.float64)
    screened = v.dtype == np.float64 and len(v) >= _MANY
    rough, fast = (smoothed.astype(np.float32), v.astype(np.float32)) if screened else (smoothed, v)
    doubt = _DOUBT * np.sqrt(np.outer(_squares(smoothed), _squares(v))) if screened else 0.0
    for _ in range(permutations):
        order = rng.permutation(len(v))
        drawn = np.abs(_shuffled(rough, fast, order))
        hit = drawn >= bound
        if screened:  # close calls are decided in float64
            for a, b in np.argwhere(np.abs(drawn - bound) <= doubt):
                hit[a, b] = np.abs(smoothed[:, a] @ v[order, b]) >= bound[a, b]
        count += hit
    return np.where(np.isnan(r), np.nan, count / (permutations + 1))


def _shuffled(smoothed: NDArray[np.floating], v: NDArray[np.floating], order: NDArray[np.int64]) -> NDArray[np.float64]:
    """Sum smoothed types times shuffled types, in float64 over parts that stay in the cache."""
    out = np.zeros((smoothed.shape[1], v.shape[1]), dtype=np.float64)
    taken = np.empty((min(_ROWS, len(v)), v.shape[1]), dtype=v.dtype)
    for start in range(0, len(v), _ROWS):
        part = order[start : start + _ROWS]
        gathered = np.take(v, part, axis=0, out=taken[: len(part)], mode="clip")
        out += smoothed[start : start + _ROWS].T @ gathered
    return out


def _squares(values: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.einsum("ij,ij->j", values, values)


def benjamini_hochberg(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Adjust p values for the false discovery rate over the entries that are defined.

    Parameters
    ----------
    p
        p values of one family of tests, any shape; NaN entries are no tests.

    Returns
    -------
    q values of the same shape, NaN where p is NaN.

    References
    ----------
    Benjamini and Hochberg, *J. R. Stat. Soc. B* 57 (1995) 289-300.
    """
    p = np.asarray(p, dtype=np.float64)
    q = np.full(p.shape, np.nan)
    tested = np.isfinite(p)
    values = p[tested]
    order = np.argsort(values)[::-1]  # from the largest down: q of a test is no more than that of a larger p
    rank = len(values) - np.arange(len(values))
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum.accumulate(np.minimum(values[order] * len(values) / rank, 1.0))
    q[tested] = adjusted
    return q


def two_sided(z: NDArray[np.float64]) -> NDArray[np.float64]:
    """Two-sided p of a standard normal variable.

    Parameters
    ----------
    z
        Its values, any shape.

    Returns
    -------
    p of the same shape.
    """
    from scipy.special import ndtr

    return 2.0 * ndtr(-np.abs(z))


def family_wise_q(p: NDArray[np.float64], *, same: bool) -> NDArray[np.float64]:
    """Adjust a map of p values, distinct pairs once; the diagonal of a map of one table is a family of its own.

    Parameters
    ----------
    p
        Shape (K, L).
    same
        Whether the map is of one table against itself.

    Returns
    -------
    q values of the same shape.
    """
    if not same:
        return benjamini_hochberg(p)
    upper = np.triu_indices_from(p, k=1)
    q = np.full(p.shape, np.nan)
    q[upper] = benjamini_hochberg(p[upper])
    q.T[upper] = q[upper]
    np.fill_diagonal(q, benjamini_hochberg(p.diagonal()))
    return q


def _double_centered_square(sums: SpatialSums) -> float:
    n = len(sums.row_sums)
    rows = sums.row_sums - sums.total / n  # centered first: Σr² - W²/n without cancellation
    return sums.sum_of_squares - 2.0 * float(np.vdot(rows, rows)) / n - sums.total**2 / n**2
