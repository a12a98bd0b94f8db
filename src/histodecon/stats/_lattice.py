"""Gaussian sums on a lattice: exact, and as fast as the values can be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histodecon.stats._weights import SpatialSums

NEGLIGIBLE = 1e-17
"""Weights below this are left out: n of them are less than the rounding of a sum that holds a weight of 1."""

_ON_SITE = 1e-6  # distance to a site, in pitches, that rounding of coordinates explains
_MOST_SITES = 6  # sites of the lattice for each spot; a hexagonal one has two
_CHUNK_BYTES = 2**25


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

    Returns
    -------
    The sums, those of the weights in float64.

    Notes
    -----
    An isotropic Gaussian is the product of one along each axis, so the weight matrix of the full lattice is a Kronecker
    product of two small Toeplitz matrices: two passes of small matrix products, one for each axis, replace n² weights. Empty
    sites hold zeros. Weights below 1e-17 are left out. Memory beyond the (n, K) result is some 100 MB.
    """
    smooth = _by_fft(lattice, length) if fft else _by_bands(lattice, length)
    sharper = length / np.sqrt(2.0)
    square = _by_fft(lattice, sharper) if fft else _by_bands(lattice, sharper)
    ones = np.ones((len(lattice.sites), 1))
    row_sums = _smoothed(lattice, ones, smooth)[:, 0].astype(np.float64)
    sum_of_squares = float(_smoothed(lattice, ones, square).sum())
    product = _smoothed(lattice, v, smooth)
    if not include_self:
        row_sums -= 1.0
        sum_of_squares -= len(ones)
        product -= v
    return SpatialSums(product, row_sums, float(include_self), float(row_sums.sum()), sum_of_squares)


Smooth = Callable[[NDArray[np.floating]], NDArray[np.floating]]


def _smoothed(lattice: Lattice, v: NDArray[np.floating], smooth: Smooth) -> NDArray[np.floating]:
    """Lay values on the lattice, a few columns at a time, smooth them and pick them up."""
    site = lattice.site
    shared = bool(np.bincount(site, minlength=1).max(initial=0) > 1)
    sites = lattice.shape[0] * lattice.shape[1]
    out = np.empty(v.shape, dtype=v.dtype)
    for columns in _chunks(v.shape[1], sites * v.dtype.itemsize):
        out[:, columns] = smooth(_laid(lattice, v[:, columns], site, shared=shared)).reshape(sites, -1)[site]
    return out


def _laid(
    lattice: Lattice, part: NDArray[np.floating], site: NDArray[np.int64], *, shared: bool
) -> NDArray[np.floating]:
    """Put values on their sites, zeros between them. Nobody else holds the result, so that smoothing can let go of it."""
    grid = np.zeros((lattice.shape[0] * lattice.shape[1], part.shape[1]), dtype=part.dtype)
    if shared:
        np.add.at(grid, site, part)
    else:
        grid[site] = part
    return grid.reshape(*lattice.shape, -1)


def _chunks(k: int, bytes_each: int) -> Iterator[slice]:
    step = max(1, _CHUNK_BYTES // max(bytes_each, 1))
    for start in range(0, k, step):
        yield slice(start, min(start + step, k))


def _by_bands(lattice: Lattice, length: float) -> Smooth:
    down, across = (
        _half_kernel(extent, pitch, length) for extent, pitch in zip(lattice.shape, lattice.pitch, strict=True)
    )

    def smooth(grid: NDArray[np.floating]) -> NDArray[np.floating]:
        rows, columns, k = grid.shape
        grid = _convolve(grid.reshape(1, rows, columns * k), down).reshape(rows, columns, k)
        return _convolve(grid, across)

    return smooth


def _half_kernel(extent: int, pitch: float, length: float) -> NDArray[np.float64]:
    reach = length * np.sqrt(-2.0 * np.log(NEGLIGIBLE))
    taps = min(int(reach / pitch), extent - 1) + 1
    return np.exp(-0.5 * (np.arange(taps) * (pitch / length)) ** 2)


def _convolve(grid: NDArray[np.floating], kernel: NDArray[np.float64]) -> NDArray[np.floating]:
    """Convolve the middle axis of (a, m, b) with a symmetric kernel: one banded block, moved along the axis."""
    m, reach = grid.shape[1], len(kernel) - 1
    if reach == 0:
        return grid * kernel[0].astype(grid.dtype)
    side = int(np.clip(reach, 24, 256))
    offset = np.abs(np.arange(side)[:, None] + reach - np.arange(side + 2 * reach)[None, :])
    block = np.where(offset <= reach, kernel[np.minimum(offset, reach)], 0.0).astype(grid.dtype)
    out = np.empty_like(grid)
    for start in range(0, m, side):
        stop = min(start + side, m)
        low, high = max(start - reach, 0), min(stop + reach, m)
        first = low - (start - reach)
        np.matmul(block[: stop - start, first : first + high - low], grid[:, low:high], out=out[:, start:stop])
    return out


def _by_fft(lattice: Lattice, length: float) -> Smooth:
    from scipy import fft

    padded = [
        fft.next_fast_len(extent + len(_half_kernel(extent, pitch, length)) - 1, real=True)
        for extent, pitch in zip(lattice.shape, lattice.pitch, strict=True)
    ]
    steps = [np.minimum(np.arange(size), size - np.arange(size)) for size in padded]
    down, across = (
        np.exp(-0.5 * (step * (pitch / length)) ** 2) for step, pitch in zip(steps, lattice.pitch, strict=True)
    )
    transfer = fft.rfft2(down[:, None] * across[None, :]).real

    def smooth(grid: NDArray[np.floating]) -> NDArray[np.floating]:
        rows, columns, k = grid.shape
        out = np.empty_like(grid)
        for i in range(k):
            spectrum = fft.rfft2(grid[:, :, i], s=padded)
            spectrum *= transfer
            out[:, :, i] = fft.irfft2(spectrum, s=padded)[:rows, :columns]
        return out

    return smooth
