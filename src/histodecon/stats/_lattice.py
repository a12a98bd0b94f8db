"""Gaussian sums on a lattice: exact, and as fast as the values can be read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histodecon.stats._bands import gram_by_bands, half_kernel, neighbors_by_bands, smooth_by_bands
from histodecon.stats._gram import symmetric_gram
from histodecon.stats._weights import SpatialSums

_ON_SITE = 1e-6  # distance to a site, in pitches, that rounding of coordinates explains
_MOST_SITES = 6  # sites of the lattice for each spot; a hexagonal one has two


@dataclass(frozen=True)
class Lattice:
    """Spots on the sites of a rectangular lattice whose axes are those of the coordinates; sites may be empty.

    Parameters
    ----------
    sites
        Row and column of each spot, int (n, 2).
    shape
        Rows and columns.
    pitch
        Distance of rows and of columns, in the unit of the coordinates.
    """

    sites: NDArray[np.int64]
    shape: tuple[int, int]
    pitch: tuple[float, float]

    @property
    def site(self) -> NDArray[np.int64]:
        """Number of the site of each spot, row by row, shape (n,)."""
        row, column = self.sites.T
        return row * self.shape[1] + column


def find_lattice(coords: NDArray[np.float64]) -> Lattice | None:
    """Find the lattice that spots stand on.

    Parameters
    ----------
    coords
        Positions, shape (n, 2), x then y.

    Returns
    -------
    The lattice, or None: a spot is off every site by more than a millionth of the pitch, or there are more than six sites
    for each spot. The hexagons of Visium are a lattice of half-empty rectangles.
    """
    if coords.ndim != 2 or coords.shape[1] != 2 or len(coords) < 2:
        return None
    sites, shape, pitch = [], [], []
    for axis in (1, 0):
        found = _axis(coords[:, axis])
        if found is None:
            return None
        sites.append(found[0])
        shape.append(int(found[0].max()) + 1)
        pitch.append(found[1])
    if shape[0] * shape[1] > _MOST_SITES * len(coords):
        return None
    return Lattice(np.column_stack(sites), (shape[0], shape[1]), (pitch[0], pitch[1]))


def on_lattice(coords: ArrayLike) -> bool:
    """Tell whether spots stand on the sites of a rectangular lattice along the axes of the coordinates.

    Parameters
    ----------
    coords
        Positions, shape (n, 2), x then y.

    Returns
    -------
    Whether :func:`morans_r` can use ``method="lattice"`` and ``"fft"``. Sites may be empty: hexagons are a lattice, too.

    Examples
    --------
    >>> from histodecon.stats import on_lattice
    >>> on_lattice([[0, 0], [1, 0], [0.5, 0.866]]), on_lattice([[0, 0], [1, 0], [0.51, 0.866]])
    (True, False)
    """
    return find_lattice(np.asarray(coords, dtype=np.float64)) is not None


def _axis(values: NDArray[np.float64]) -> tuple[NDArray[np.int64], float] | None:
    """Number the positions along one axis."""
    ordered = np.sort(values)
    gaps = np.diff(ordered)
    extent = float(ordered[-1] - ordered[0])
    steps = gaps[gaps > _ON_SITE * max(extent, 1e-300) / len(values)]
    if extent == 0 or not len(steps):
        return np.zeros(len(values), dtype=np.int64), 1.0
    pitch = float(steps.min())
    pitch = extent / max(round(extent / pitch), 1)
    index = (values - ordered[0]) / pitch
    whole = np.rint(index)
    if np.abs(index - whole).max() > _ON_SITE:
        return None
    return whole.astype(np.int64), pitch


def lattice_sums(
    lattice: Lattice,
    v: NDArray[np.floating],
    length: float,
    *,
    include_self: bool = True,
    fft: bool = False,
    gram: bool = False,
) -> SpatialSums:
    """Sum weights exp(-d² / 2 length²) over all pairs of spots on a lattice.

    Parameters
    ----------
    lattice
        Where the spots stand.
    v
        Values to be smoothed, shape (n, K), float64 or float32.
    length
        Length scale of the Gaussian, in the unit of the pitch.
    include_self
        Whether a spot is its own neighbor with weight 1.
    fft
        Convolve by fast Fourier transforms, padded with zeros, instead of products with banded matrices: the time does
        not depend on ``length``.
    gram
        Whether vᵀwv is all that is needed of the weighed values; banded products then keep none of them.

    Returns
    -------
    The sums, those of the weights in float64.

    Notes
    -----
    An isotropic Gaussian is the product of one along each axis, so the weight matrix of the full lattice is a Kronecker
    product of two small Toeplitz matrices: two passes of small matrix products, one for each axis, replace n² weights. Empty
    sites hold zeros. Weights below 1e-15 are left out, in float32 below 1e-10. Memory beyond the (n, K) result is some tens of MB.
    """
    weigh, smooth = (_neighbors_by_fft, _smooth_by_fft) if fft else (neighbors_by_bands, smooth_by_bands)
    row_sums = weigh(lattice, length)
    sum_of_squares = float(weigh(lattice, length / np.sqrt(2.0)).sum())
    if not include_self:
        row_sums -= 1.0
        sum_of_squares -= len(row_sums)
    moments = row_sums, float(include_self), float(row_sums.sum()), sum_of_squares
    if gram and not fft:
        pairs = gram_by_bands(lattice, v, length)
        return SpatialSums(v[:, :0], *moments, pairs if include_self else pairs - symmetric_gram(v, v))
    product = smooth(lattice, v, length)
    if not include_self:
        product -= v
    return SpatialSums(product, *moments)


def _neighbors_by_fft(lattice: Lattice, length: float) -> NDArray[np.float64]:
    return _smooth_by_fft(lattice, np.ones((len(lattice.sites), 1)), length)[:, 0].astype(np.float64, copy=False)


def _smooth_by_fft(lattice: Lattice, v: NDArray[np.floating], length: float) -> NDArray[np.floating]:
    """Weigh the values around every spot, a few columns at a time."""
    from scipy import fft

    taps = [
        len(half_kernel(extent, pitch, length, v.dtype))
        for extent, pitch in zip(lattice.shape, lattice.pitch, strict=True)
    ]
    padded = [fft.next_fast_len(extent + tap - 1, real=True) for extent, tap in zip(lattice.shape, taps, strict=True)]
    steps = [np.minimum(np.arange(size), size - np.arange(size)) for size in padded]
    down, across = (
        np.exp(-0.5 * (step * (pitch / length)) ** 2) for step, pitch in zip(steps, lattice.pitch, strict=True)
    )
    transfer = fft.rfft2(down[:, None] * across[None, :]).real.astype(v.dtype)
    row, column = lattice.sites.T
    out = np.empty(v.shape, dtype=v.dtype)
    for k in range(v.shape[1]):
        grid = np.zeros(lattice.shape, dtype=v.dtype)
        np.add.at(grid.reshape(-1), lattice.site, v[:, k])
        spectrum = fft.rfft2(grid, s=padded)
        spectrum *= transfer
        out[:, k] = fft.irfft2(spectrum, s=padded)[row, column]
    return out
