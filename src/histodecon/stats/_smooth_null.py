"""What Moran's R looks like when both types are smooth in space, but know nothing of each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histodecon.stats._null import two_sided
from histodecon.stats._spacing import nearest_neighbor_pitch
from histodecon.stats._sums import spatial_sums
from histodecon.stats._weights import SpatialSums

SMOOTH_MIN_SPOTS = 30
"""Fewer spots say too little about how smooth a type is."""

_SHORTEST = 0.7  # of the pitch: a Gaussian that reaches the next spot with a third of its weight
_RATIO = 2**0.75
_LONGEST = 0.24  # of the extent: wider ones are hardly told from a trend, and p of very smooth types gets too strict
_PROBES = 64
_FEW = 2000  # up to here weights between all pairs of spots are cheap, and spots stay where they are
_SITES = 4  # of the grid that more spots are moved to, for each spot


@dataclass(frozen=True)
class SmoothNull:
    """Null of R between types that are smooth each by itself.

    Parameters
    ----------
    sd
        Standard deviation of Σᵢⱼ wᵢⱼ uᵢ vⱼ for centered columns of unit length, shape (K, L).
    effective_n
        How many independent spots would let the smoothed types vary as much, shape (K, L).
    """

    sd: NDArray[np.float64]
    effective_n: NDArray[np.float64]


def smooth_null(
    coords: NDArray[np.float64],
    u: NDArray[np.floating],
    v: NDArray[np.floating] | None,
    length: float,
    *,
    include_self: bool = True,
    random_state: int = 0,
) -> SmoothNull:
    """Estimate how smooth each type is, and how far R strays when two such types are independent.

    Parameters
    ----------
    coords
        Positions, shape (n, 2), centered.
    u, v
        Types, centered, unit length, shapes (n, K) and (n, L); None compares ``u`` with itself.
    length
        Length scale of the weights of R.
    include_self
        Whether a spot is its own neighbor.
    random_state
        Seed of the probes that estimate traces.

    Returns
    -------
    The null.

    Notes
    -----
    For independent u and v with covariances A and B, Var uᵀwv = tr(HwH A HwH B), H = I - 11ᵀ/n. A covariance that is stationary,
    isotropic and valid in every dimension is a mixture of Gaussians of all widths (Schoenberg), so A = Σ aₘ Gₘ with aₘ ≥ 0 over a
    ladder of widths, the smallest of which is a spot alone. The aₘ solve E uᵀGₘu = Σ aₖ tr(H Gₘ H Gₖ), which takes
    the centering into account, by non-negative least squares; traces of products of two Gaussians are sums of a third, the
    others are estimated with random signs. Half of w smooths each type; the correlation of what comes out has the
    variance 1/(effective_n - 1), which is the modified t test of Clifford, Richardson, Hémon and Dutilleul.
    """
    widths = _ladder(coords)
    same = v is None
    columns = np.asarray(u, dtype=np.float64) if v is None else np.column_stack([u, v]).astype(np.float64)
    probes = np.random.default_rng(random_state).choice([-1.0, 1.0], size=(len(coords), _PROBES))
    probes -= probes.mean(axis=0)
    moments, products, smoothed, traces = _moments(coords, columns, probes, widths, length, include_self=include_self)
    parts = _mixtures(moments, products, traces)
    left, right = (parts, parts) if same else (parts[:, : u.shape[1]], parts[:, u.shape[1] :])
    variance = np.maximum(left.T @ smoothed[0] @ right, 0.0)
    spread = np.outer(smoothed[1] @ left, smoothed[1] @ right)
    with np.errstate(divide="ignore", invalid="ignore"):
        return SmoothNull(np.sqrt(variance), 1.0 + spread / (left.T @ smoothed[2] @ right))


def student_p(z: NDArray[np.float64], effective_n: NDArray[np.float64]) -> NDArray[np.float64]:
    """Two-sided p of the modified t test.

    Parameters
    ----------
    z
        R over its standard deviation.
    effective_n
        Effective number of spots of each pair.

    Returns
    -------
    p of a correlation z / √(effective_n - 1) among that many spots, but never less than that of a normal z: few spots cannot tell
    more than many, and a correlation estimated to be 1 or more would have p = 0.
    """
    from scipy.special import stdtr

    freedom = np.maximum(effective_n - 2.0, 0.5)
    r = np.clip(z / np.sqrt(effective_n - 1.0), -1.0, 1.0)
    with np.errstate(divide="ignore"):
        p = 2.0 * stdtr(freedom, -np.abs(r) * np.sqrt(freedom / (1.0 - r**2)))
    return np.maximum(p, two_sided(z))


def _ladder(coords: NDArray[np.float64]) -> list[float]:
    shortest = _SHORTEST * nearest_neighbor_pitch(coords)
    longest = max(_LONGEST * float(np.ptp(coords, axis=0).max()), shortest)
    return [
        float(width)
        for width in np.geomspace(shortest, longest, 1 + int(np.ceil(np.log(longest / shortest) / np.log(_RATIO))))
    ]


def _summer(coords: NDArray[np.float64]) -> Callable[[NDArray[np.float64], float], SpatialSums]:
    """Gaussian sums over spots; many scattered spots are first moved to a fine grid where the Gaussian is wide."""
    step, grid = 0.0, coords
    if len(coords) > _FEW:
        from histodecon.stats._lattice import find_lattice

        if find_lattice(coords) is None:
            step = float(np.sqrt(np.prod(np.maximum(np.ptp(coords, axis=0), 1e-300)) / (_SITES * len(coords))))
            grid = np.rint(coords / step) * step

    def sums(v: NDArray[np.float64], length: float) -> SpatialSums:
        return spatial_sums(grid if length >= 2 * step else coords, v, length)[0]

    return sums


Traces = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


def _moments(
    coords: NDArray[np.float64],
    columns: NDArray[np.float64],
    probes: NDArray[np.float64],
    widths: list[float],
    length: float,
    *,
    include_self: bool,
) -> tuple[NDArray[np.float64], NDArray[np.float64], Traces, NDArray[np.float64]]:
    """Return uᵀGₘu; tr(HGₘHGₖ); what w does to the Gₘ (see ``_weight_traces``); and the sums of the Gₘ. The first Gₘ is I."""
    n, k = columns.shape
    sums = _summer(coords)

    def centered(values: NDArray[Any]) -> NDArray[np.float64]:
        return values - values.mean(axis=0)

    def weigh(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """H w values, without and with self-weights, which make w positive."""
        full = spatial_sums(coords, values, length)[0].product
        return centered(full if include_self else full - values), centered(full)

    own, positive = weigh(probes)
    smooth_own, smooth_positive, back_own, back_positive = [own], [positive], [own], [positive]
    moments, rows, totals = [np.einsum("ij,ij->j", columns, columns)], [np.ones(n)], [float(n)]
    for width in widths:
        done = sums(np.column_stack([columns, own, positive, probes]), width)
        moments.append(np.einsum("ij,ij->j", columns, done.product[:, :k]))
        one, two, three = np.split(done.product[:, k:], 3, axis=1)
        smooth_own.append(one)
        smooth_positive.append(two)
        for kept, part in zip((back_own, back_positive), weigh(centered(three)), strict=True):
            kept.append(part)
        rows.append(done.row_sums)
        totals.append(done.total)
    products = _centered_products(sums, widths, rows, totals)
    weights = (
        _probe_traces(smooth_own, back_own),
        np.array([np.vdot(probes, part) / _PROBES for part in smooth_positive]),
        _probe_traces(smooth_positive, back_positive),
    )
    return np.array(moments), products, weights, np.array(totals)


def _probe_traces(a: list[NDArray[np.float64]], b: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """tr(PGₘPGₖ) with P = HwH, from Gₘ P z and P Gₖ z."""
    traces = np.array([[np.vdot(left, right) for right in b] for left in a]) / _PROBES
    return (traces + traces.T) / 2


def _centered_products(
    sums: Callable[[NDArray[np.float64], float], SpatialSums],
    widths: list[float],
    rows: list[NDArray[np.float64]],
    totals: list[float],
) -> NDArray[np.float64]:
    n, count = len(rows[0]), len(rows)
    nothing = np.empty((n, 0))
    out = np.empty((count, count))
    for i in range(count):
        for j in range(i, count):
            plain = float(n)  # a Gaussian is 1 where the other one is I
            if i > 0:
                plain = sums(nothing, (widths[i - 1] ** -2 + widths[j - 1] ** -2) ** -0.5).total
            out[i, j] = out[j, i] = plain - 2 * float(rows[i] @ rows[j]) / n + totals[i] * totals[j] / n**2
    return out


def _mixtures(
    moments: NDArray[np.float64], products: NDArray[np.float64], totals: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Shares of the Gₘ in the covariance of each type, (1 + widths, K): its variance is met, the others are fitted."""
    from scipy.optimize import nnls

    weight = 1.0 / totals
    weight[0] = 1.0
    left = products * weight[:, None]
    parts = np.zeros(moments.shape)
    for k, target in enumerate((moments * weight[:, None]).T):
        found, _ = nnls(left, target)
        variance = float(products[0] @ found)
        parts[:, k] = found / variance if variance > 0 else 0.0
    return parts
