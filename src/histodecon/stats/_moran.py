"""Bivariate Moran's R between all pairs of cell types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histodecon.stats._columns import row_parts, unit_table
from histodecon.stats._gram import gram, symmetric_gram
from histodecon.stats._null import cross_variance, family_wise_q, permutation_p, self_moments, two_sided
from histodecon.stats._smooth_null import SMOOTH_MIN_SPOTS, smooth_null, student_p
from histodecon.stats._sums import METHODS, spatial_sums
from histodecon.stats._weights import SpatialSums

_MIN_SPOTS = 4


@dataclass(frozen=True)
class MoranResult:
    """Bivariate Moran's R and its null; arrays are (K, L), NaN where a type has no variance.

    Parameters
    ----------
    r
        The statistic.
    expected, sd
        Its exact mean and standard deviation when values are permuted over the spots.
    z
        ``(r - expected) / sd``.
    p
        Two-sided p value: normal approximation, or permutations where asked.
    q
        Benjamini-Hochberg over distinct pairs; the diagonal of a map of one table is a family of its own.
    n
        Number of spots.
    length
        Length scale, in the unit of the coordinates.
    neighbors
        Mean weight a spot gives to all other spots: how many neighbors the length scale reaches.
    reason
        Why values are missing for every pair; empty when they are not.
    method
        How the weights were summed.
    effective_n
        With ``null="smooth"``, how many independent spots a pair of types is worth; else None.
    """

    r: NDArray[np.float64]
    expected: NDArray[np.float64]
    sd: NDArray[np.float64]
    z: NDArray[np.float64]
    p: NDArray[np.float64]
    q: NDArray[np.float64]
    n: int
    length: float
    neighbors: float
    reason: str = ""
    method: str = ""
    effective_n: NDArray[np.float64] | None = None


def morans_r(
    x: ArrayLike,
    coords: ArrayLike,
    length: float,
    *,
    y: ArrayLike | None = None,
    include_self: bool = True,
    null: Literal["shuffled", "shuffled_one", "smooth"] = "shuffled",
    permutations: int = 0,
    random_state: int = 0,
    method: Literal["auto", "blocks", "lattice", "fft", "near"] = "auto",
    precision: Literal["float64", "float32"] = "float64",
    block_size: int = 1024,
) -> MoranResult:
    """Bivariate Moran's R between the columns of ``x`` (and of ``y``) over spots in space.

    Parameters
    ----------
    x
        Values, shape (n, K).
    coords
        Positions, shape (n, dims), in the unit of ``length``.
    length
        Length scale l of the Gaussian weights.
    y
        Second table of the same spots, shape (n, L); by default ``x`` against itself.
    include_self
        Whether a spot is its own neighbor with weight 1.
    null
        What R is compared with. ``"shuffled"``: values of both types put on the spots at random. ``"shuffled_one"``: those of one
        type only, the other stays as it is; what ``permutations`` do, in closed form. ``"smooth"``: two types that are each as
        smooth in space as they are, but independent of each other.
    permutations
        0: p from the exact null variance and the normal distribution. Else p from this many shuffles.
    random_state
        Seed of the shuffles, or of the random signs that estimate traces for the smooth null.
    method
        ``"blocks"``, the plain reference, sums over all pairs of spots in tiles. ``"lattice"``: two banded matrix products,
        one along each axis, for spots on a rectangular lattice with or without empty sites, such as squares, the hexagons
        of Visium and the bins of Visium HD; ``"fft"``: the same by Fourier transforms, for wide kernels. ``"near"``: blocks
        of near pairs, for spots anywhere. ``"auto"`` takes the one that a count of operations expects to be fastest. In
        float64 all agree to 1e-12.
    precision
        ``"float32"`` halves memory and time; R then differs by less than 1e-6. What is summed up is summed in float64.
    block_size
        Side of a tile of ``"blocks"`` in spots; its memory beyond (n, K) arrays is three tiles of float64.

    Returns
    -------
    R, null moments, z, p and q.

    Raises
    ------
    ValueError
        For shapes that do not fit, values that are not finite, a length or counts out of range, or a method that needs a
        lattice where there is none.

    Notes
    -----
    R_ab = Σᵢⱼ wᵢⱼ (xᵢₐ - x̄ₐ)(yⱼᵦ - ȳᵦ) / √(Σ(xₐ - x̄ₐ)² Σ(yᵦ - ȳᵦ)²) with w = n/W · exp(-d²/2l²), W the sum of the
    Gaussian weights, no cutoff. As l falls to 0, R becomes Pearson's correlation.

    Null: the values of both types are put on the spots at random, independently of each other. Mean 0 and one exact
    variance for all pairs follow (``cross_variance`` in the source has the formula). A type against itself has
    its own exact mean and variance. The null says "no spatial structure at all": two types that are each smooth
    in space reach small p by chance more often than p says. Shuffles move the second type alone; of the two directions
    of a pair the larger p is kept; the diagonal of a map of one table keeps the normal approximation.

    With fewer than 4 spots z, p and q are NaN and ``reason`` says so.
    """
    first = _as_table(x, "x")
    second = first if y is None else _as_table(y, "y")
    points = _as_coords(coords)
    if not len(first) == len(second) == len(points):
        msg = f"x, y and coords must have the same number of rows, got {len(first)}, {len(second)} and {len(points)}"
        raise ValueError(msg)
    _check_options(length, permutations, method, precision, block_size)
    _check_null(null, permutations, points)
    u, flat_u = unit_table(first, precision)
    v, flat_v = (u, flat_u) if y is None else unit_table(second, precision)
    blank = flat_u[:, None] | flat_v[None, :]
    n = len(points)
    if n == 0:
        return _undefined(blank.shape, 0, length, "0 spots")
    alone = y is None and null != "shuffled_one" and not permutations  # nothing but R needs the weighed values
    sums, used = spatial_sums(
        points, u, length, include_self=include_self, method=method, block_size=block_size, gram=alone
    )
    neighbors = (sums.total - n * sums.self_weight) / n
    if sums.total == 0.0:
        return _undefined(blank.shape, n, length, "every weight between two spots is 0 at this length")
    r = (_all_pairs(sums, v) if y is None else gram(sums.product, v)) * (n / sums.total)
    r[blank] = np.nan
    expected, sd, reason = _null_moments(sums, u if y is None else None, blank)
    effective = None
    if null == "shuffled_one" and not reason:
        sd = _one_shuffled(sums, sd, same=y is None)
    if null == "smooth" and not reason:
        sd, effective, reason = _smooth_moments(
            points, u, None if y is None else v, sums, sd, blank, length, include_self=include_self, seed=random_state
        )
    z = (r - expected) / sd
    p = two_sided(z) if effective is None else np.where(np.isnan(effective), two_sided(z), student_p(z, effective))
    if permutations and not reason:
        drawn = permutation_p(sums.product, v, r, n / sums.total, permutations=permutations, random_state=random_state)
        if y is None:
            drawn = np.maximum(drawn, drawn.T)
            np.fill_diagonal(drawn, p.diagonal())
        p = drawn
    q = family_wise_q(p, same=y is None)
    return MoranResult(r, expected, sd, z, p, q, n, float(length), neighbors, reason, used, effective)


def _all_pairs(sums: SpatialSums, v: NDArray[np.floating]) -> NDArray[np.float64]:
    return symmetric_gram(sums.product, v) if sums.gram is None else sums.gram


def _null_moments(
    sums: SpatialSums, u: NDArray[np.floating] | None, blank: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64], str]:
    """Mean and sd of R, and why there are none; ``u`` has the types of a map of one table."""
    n = len(sums.row_sums)
    nothing = np.full(blank.shape, np.nan)
    if n < _MIN_SPOTS:
        return nothing, nothing.copy(), f"{n} spots: fewer than {_MIN_SPOTS} give no null distribution"
    variance = cross_variance(sums)
    if np.isnan(variance):
        return nothing, nothing.copy(), "all pairs of spots have the same weight at this length"
    expected, sd = np.zeros(blank.shape), np.full(blank.shape, np.sqrt(variance))
    if u is not None:
        mean, own = self_moments(sums, _fourth_moments(u))
        np.fill_diagonal(expected, mean)
        np.fill_diagonal(sd, np.sqrt(own))
    expected[blank] = sd[blank] = np.nan
    return expected, sd, ""


def _fourth_moments(u: NDArray[np.floating]) -> NDArray[np.float64]:
    total = np.zeros(u.shape[1])
    for part in row_parts(*u.shape):
        squared = u[part] * u[part]
        total += np.einsum("ij,ij->j", squared, squared)
    return total


def _one_shuffled(sums: SpatialSums, sd: NDArray[np.float64], *, same: bool) -> NDArray[np.float64]:
    """Exact sd while the second type is shuffled and the first one stays; NaN and the diagonal of one table stay as they are."""
    n = len(sums.row_sums)
    smoothed = sums.product - sums.product.mean(axis=0)
    own = n / sums.total * np.sqrt(np.einsum("ij,ij->j", smoothed, smoothed, dtype=np.float64) / (n - 1))
    new = np.maximum(own[:, None], own[None, :]) if same else np.repeat(own[:, None], sd.shape[1], axis=1)
    kept = np.isnan(sd) | (np.eye(*sd.shape, dtype=np.bool_) if same else False)
    return np.where(kept, sd, new)


def _smooth_moments(
    points: NDArray[np.float64],
    u: NDArray[np.floating],
    v: NDArray[np.floating] | None,
    sums: SpatialSums,
    sd: NDArray[np.float64],
    blank: NDArray[np.bool_],
    length: float,
    *,
    include_self: bool,
    seed: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64], str]:
    """Put the smooth null in the place of the shuffled one, save on the diagonal of a map of one table."""
    n = len(points)
    if n < SMOOTH_MIN_SPOTS:
        found, reason = None, f"{n} spots: fewer than {SMOOTH_MIN_SPOTS} do not say how smooth a type is"
    else:
        found, reason = smooth_null(points, u, v, length, include_self=include_self, random_state=seed), ""
    nothing = np.full(sd.shape, np.nan)
    new, effective = (nothing, nothing.copy()) if found is None else (found.sd * (n / sums.total), found.effective_n)
    new[blank] = effective[blank] = np.nan
    if v is None:
        np.fill_diagonal(new, sd.diagonal())
        np.fill_diagonal(effective, np.nan)
    return new, effective, reason


def _as_table(values: ArrayLike, name: str) -> NDArray[np.float64]:
    table = np.asarray(values, dtype=np.float64)
    if table.ndim != 2:
        msg = f"{name} must have shape (spots, types), got {table.shape}"
        raise ValueError(msg)
    if not all(np.isfinite(table[part]).all() for part in row_parts(*table.shape)):
        msg = f"{name} has {int((~np.isfinite(table)).sum())} values that are not finite"
        raise ValueError(msg)
    return table


def _as_coords(coords: ArrayLike) -> NDArray[np.float64]:
    points = _as_table(coords, "coords")
    return points - points.mean(axis=0) if len(points) else points


def _check_options(length: float, permutations: int, method: str, precision: str, block_size: int) -> None:
    if not (np.isfinite(length) and length > 0):
        msg = f"length must be a positive number, got {length}"
        raise ValueError(msg)
    if permutations < 0 or block_size < 1:
        msg = f"permutations must be >= 0 and block_size >= 1, got {permutations} and {block_size}"
        raise ValueError(msg)
    if method not in METHODS or precision not in {"float64", "float32"}:
        msg = f"method must be one of {METHODS} and precision 'float64' or 'float32', got {method!r} and {precision!r}"
        raise ValueError(msg)


def _check_null(null: str, permutations: int, points: NDArray[np.float64]) -> None:
    if null not in {"shuffled", "shuffled_one", "smooth"}:
        msg = f"null must be 'shuffled', 'shuffled_one' or 'smooth', got {null!r}"
        raise ValueError(msg)
    if null == "smooth" and (permutations or points.shape[1] != 2):
        msg = "null='smooth' has no permutations and needs coordinates of two dimensions"
        raise ValueError(msg)


def _undefined(shape: tuple[int, ...], n: int, length: float, reason: str) -> MoranResult:
    r, expected, sd, z, p, q = (np.full(shape, np.nan) for _ in range(6))
    return MoranResult(r, expected, sd, z, p, q, n, float(length), 0.0, reason)
