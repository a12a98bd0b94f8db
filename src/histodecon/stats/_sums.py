"""The fastest exact way to sum Gaussian weights over the pairs of given spots."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from histodecon.stats._bands import NEGLIGIBLE
from histodecon.stats._lattice import Lattice, find_lattice, lattice_sums
from histodecon.stats._near import BLOCK as NEAR_BLOCK
from histodecon.stats._near import near_sums
from histodecon.stats._weights import SpatialSums, gaussian_sums

METHODS = ("auto", "blocks", "lattice", "fft", "near")
_PLANAR = ("lattice", "fft", "near")
_FEW = 512
_SECONDS = {"product": 3e-11, "weight": 5e-9, "fft": 1.2e-9, "call": 4e-5}
"""Rough time of a multiplication in a matrix product, of one weight, of one step of a transform, of one small call."""
_ENOUGH = {"float64": 1e-3, "float32": 1.0}
"""What the neighbors of a spot must weigh where it is not its own: on a lattice its own weight is subtracted, which rounds."""
_LIGHTEST = 1e-300
"""Then no pair is left out, however little it weighs."""


def spatial_sums(
    coords: NDArray[np.float64],
    v: NDArray[np.floating],
    length: float,
    *,
    include_self: bool = True,
    method: str = "auto",
    block_size: int = 1024,
    gram: bool = False,
) -> tuple[SpatialSums, str]:
    """Sum weights exp(-d² / 2 length²) over all pairs of spots.

    Parameters
    ----------
    coords
        Positions, shape (n, dims), centered.
    v
        Values to be smoothed, shape (n, K).
    length
        Length scale of the Gaussian.
    include_self
        Whether a spot is its own neighbor with weight 1.
    method
        One of ``METHODS``; ``"auto"`` takes that which a count of operations expects to be fastest.
    block_size
        Side of a tile of ``"blocks"``.
    gram
        Whether vᵀwv is all that is needed of the weighed values.

    Returns
    -------
    The sums, and the method that was used: near pairs also take the place of a lattice where spots are not their own neighbors
    and hardly have any other.

    Raises
    ------
    ValueError
        The method needs a lattice, or two dimensions, and there is none.
    """
    if method in _PLANAR and coords.shape[1] != 2:
        msg = f"method={method!r} needs coordinates of two dimensions, got {coords.shape[1]}"
        raise ValueError(msg)
    lattice = None if method in {"blocks", "near"} else find_lattice(coords)
    if method == "auto":
        method = _cheapest(coords, v.shape[1], length, lattice)
    if method in {"lattice", "fft"}:
        if lattice is None:
            msg = f"method={method!r} needs spots on a lattice along the axes of the coordinates; these are not"
            raise ValueError(msg)
        sums = lattice_sums(lattice, v, length, include_self=include_self, fft=method == "fft", gram=gram)
    elif method == "near":
        sums = near_sums(coords, v, length, include_self=include_self)
    else:
        return gaussian_sums(coords, v, length, include_self=include_self, block_size=block_size), method
    if include_self or sums.total >= len(coords) * _ENOUGH[v.dtype.name]:
        return sums, method
    return near_sums(coords, v, length, include_self=False, tolerance=_LIGHTEST), "near"


def _cheapest(coords: NDArray[np.float64], k: int, length: float, lattice: Lattice | None) -> str:
    n = len(coords)
    if n <= _FEW or coords.shape[1] != 2:
        return "blocks"
    pair = 2 * k * _SECONDS["product"] + _SECONDS["weight"]
    cost = {"blocks": n * n / 2 * pair}
    reach = length * np.sqrt(-2.0 * np.log(NEGLIGIBLE["float64"]))
    width, height = (max(float(np.ptp(axis)), 1e-300) for axis in coords.T)
    in_strip = n * min(1.0, reach / height)
    ahead = min(1.0, reach / width)
    near = min(1.5 * in_strip * ahead + NEAR_BLOCK, in_strip) + min(2 * in_strip * ahead + NEAR_BLOCK, in_strip)
    cost["near"] = n * min(near, n) * pair + 3 * _SECONDS["call"] * (n / NEAR_BLOCK + height / reach)
    if lattice is not None:
        sites = lattice.shape[0] * lattice.shape[1]
        taps = [min(reach / pitch, extent) for pitch, extent in zip(lattice.pitch, lattice.shape, strict=True)]
        cost["lattice"] = sites * k * _SECONDS["product"] * sum(max(tap, 24) + 2 * tap for tap in taps)
        padded = float(np.prod([extent + tap for tap, extent in zip(taps, lattice.shape, strict=True)]))
        cost["fft"] = 2 * k * padded * np.log2(max(padded, 2)) * _SECONDS["fft"]
    return min(cost, key=lambda name: cost[name])
