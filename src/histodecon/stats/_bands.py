"""Gaussian sums on a lattice by banded matrix products, a few rows of sites at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from histodecon.stats._gram import gram, mirrored, symmetric_gram

if TYPE_CHECKING:
    from histodecon.stats._lattice import Lattice

NEGLIGIBLE = {"float64": 1e-15, "float32": 1e-10}
"""Weights below this are left out: all of them together are less than the rounding of a sum that holds a weight of 1."""

_WINDOW_BYTES = 24 * 2**20
_FEWEST = 16  # columns of a part: fewer make matrix products slow
_SMALL_PRODUCT = 900_000  # multiplications: OpenBLAS does not copy the factors of a product of less than a million
_HEIGHT = 32  # rows that are smoothed along before they are smoothed across


def half_kernel(extent: int, pitch: float, length: float, dtype: np.dtype) -> NDArray[np.float64]:
    """Weights of a Gaussian on a line of sites.

    Parameters
    ----------
    extent
        Sites of the line.
    pitch, length
        Distance of sites and length scale.
    dtype
        Precision of the values to be smoothed, which says what is negligible.

    Returns
    -------
    The weights at 0, 1, ... sites, as far as they count and the line goes.
    """
    reach = length * np.sqrt(-2.0 * np.log(NEGLIGIBLE[dtype.name]))
    taps = min(int(reach / pitch), extent - 1) + 1
    return np.exp(-0.5 * (np.arange(taps) * (pitch / length)) ** 2)


def smooth_by_bands(lattice: Lattice, v: NDArray[np.floating], length: float) -> NDArray[np.floating]:
    """Weigh the values around every spot.

    Parameters
    ----------
    lattice
        Where the spots stand.
    v
        Values, shape (n, K), float64 or float32.
    length
        Length scale of the Gaussian.

    Returns
    -------
    Shape (n, K).

    Notes
    -----
    Rows are smoothed along first, then columns. Of hexagons every other site is empty, in turns: row r has spots at columns
    of its own parity only. Then only these are laid out and only these are summed for, and what is between the two steps is
    kept apart by the parity of its columns, so that no product has a factor that is known to be 0.
    """
    out = np.empty(v.shape, dtype=v.dtype)
    for columns, spots, site, smoothed in _parts(lattice, v, length):
        if isinstance(spots, slice) and smoothed.shape[1] == v.shape[1]:
            np.take(smoothed, site, axis=0, out=out[spots], mode="clip")
        else:
            out[spots, columns] = smoothed[site]
    return out


def gram_by_bands(lattice: Lattice, v: NDArray[np.floating], length: float) -> NDArray[np.float64]:
    """Weigh the values around every spot and multiply with its own, without keeping what was weighed.

    Parameters
    ----------
    lattice, v, length
        As in :func:`smooth_by_bands`.

    Returns
    -------
    vᵀwv, shape (K, K), summed in float64.
    """
    out = np.zeros((v.shape[1], v.shape[1]))
    for columns, spots, site, smoothed in _parts(lattice, v, length):
        picked = smoothed if len(site) == len(smoothed) and isinstance(spots, slice) else smoothed[site]
        own = v[spots]
        out[columns, columns] += symmetric_gram(picked, own[:, columns])  # above the diagonal; in sum it is symmetric
        if columns.stop < v.shape[1]:
            out[columns, columns.stop :] += gram(picked, own[:, columns.stop :])
    return mirrored(out)


def _parts(
    lattice: Lattice, v: NDArray[np.floating], length: float
) -> Iterator[tuple[slice, slice | NDArray[np.int64], NDArray[np.int64], NDArray[np.floating]]]:
    """Columns, spots, their sites and the smoothed sites, part by part."""
    rows = _Rows(lattice)
    down = half_kernel(lattice.shape[0], lattice.pitch[0], length, v.dtype)
    across = half_kernel(lattice.shape[1], lattice.pitch[1], length, v.dtype)
    window = min(_HEIGHT + 2 * len(down), lattice.shape[0]) * rows.turns * rows.slots * v.dtype.itemsize
    parts = -(-v.shape[1] // max(_FEWEST, _WINDOW_BYTES // max(window, 1)))
    for columns in (slice(i * v.shape[1] // parts, (i + 1) * v.shape[1] // parts) for i in range(parts)):
        for spots, site, slab in _slabs(rows, v[:, columns], down, across):
            yield columns, spots, site, slab.reshape(-1, slab.shape[-1])


def neighbors_by_bands(lattice: Lattice, length: float) -> NDArray[np.float64]:
    """Weigh ones around every spot.

    Parameters
    ----------
    lattice
        Where the spots stand.
    length
        Length scale of the Gaussian.

    Returns
    -------
    Sums of the weights, shape (n,).
    """
    grid = np.bincount(lattice.site, minlength=lattice.shape[0] * lattice.shape[1]).astype(np.float64)
    grid = grid.reshape(1, *lattice.shape)
    for pitch in lattice.pitch:
        kernel = half_kernel(grid.shape[1], pitch, length, grid.dtype)
        out = np.empty_like(grid)
        _convolve(grid, _Band.of(kernel, 1, 0, grid.dtype), out)
        grid = np.ascontiguousarray(out.transpose(0, 2, 1))
    return grid.reshape(-1)[lattice.site]


class _Rows:
    """Spots of a lattice row by row; a row holds the sites of one parity where the other ones are empty.

    Parameters
    ----------
    lattice
        The lattice.
    """

    def __init__(self, lattice: Lattice) -> None:
        row, column = lattice.sites.T
        parity = (row + column) & 1
        self.count = lattice.shape[0]
        self.turns = 2 if lattice.shape[0] > 1 and (parity == parity[0]).all() else 1
        """Kinds of rows: 2 where spots stand on columns of alternating parity."""
        self.first = int(parity[0]) if self.turns == 2 else 0
        self.slots = -(-lattice.shape[1] // self.turns)
        site = row * self.slots + column // self.turns
        sorted_already = bool((np.diff(site) >= 0).all())
        self.order = None if sorted_already else np.argsort(site, kind="stable")
        self.site = site if self.order is None else site[self.order]
        self.starts = np.searchsorted(self.site, np.arange(self.count + 1) * self.slots)
        self.shared = bool((np.diff(self.site) == 0).any())

    def kind(self, row: int) -> int:
        """Parity of the columns of a row."""
        return (row + self.first) % self.turns

    def of_kind(self, start: int, stop: int, kind: int) -> slice:
        """Rows of one kind among some rows, counted from the first of these."""
        return slice((kind - self.kind(start)) % self.turns, stop - start, self.turns)

    def spots(self, start: int, stop: int) -> tuple[slice | NDArray[np.int64], NDArray[np.int64]]:
        """Spots on some rows, and their sites counted from the first of these."""
        part = slice(int(self.starts[start]), int(self.starts[stop]))
        return part if self.order is None else self.order[part], self.site[part] - start * self.slots

    def laid(
        self, v: NDArray[np.floating], start: int, stop: int, buffer: NDArray[np.floating]
    ) -> NDArray[np.floating]:
        """Values on the sites of some rows, zeros between them: shape (rows, slots, K), in the buffer if not as they are."""
        spots, site = self.spots(start, stop)
        shape = (stop - start, self.slots, v.shape[1])
        if isinstance(spots, slice) and not self.shared and len(site) == shape[0] * shape[1]:
            return v[spots].reshape(shape)
        grid = buffer[: stop - start].reshape(-1, v.shape[1])
        grid[:] = 0.0
        if self.shared:
            np.add.at(grid, site, v[spots])
        else:
            grid[site] = v[spots]
        return grid.reshape(shape)


def _slabs(
    rows: _Rows, v: NDArray[np.floating], down: NDArray[np.float64], across: NDArray[np.float64]
) -> Iterator[tuple[slice | NDArray[np.int64], NDArray[np.int64], NDArray[np.floating]]]:
    """Spots, their sites and the smoothed sites, some rows after the other; the array is used again for the next ones."""
    reach = len(down) - 1
    height = min(_HEIGHT, rows.count)
    shapes = [
        (rows.turns, min(height + 2 * reach, rows.count), rows.slots, v.shape[1]),
        (height, rows.slots, v.shape[1]),
        (min(height + reach, rows.count), rows.slots, v.shape[1]),
    ]
    sizes = [int(np.prod(shape)) for shape in shapes]
    space = np.split(np.empty(sum(sizes), dtype=v.dtype), np.cumsum(sizes)[:-1])  # one request takes the fewest pages
    along, slab, buffer = (part.reshape(shape) for part, shape in zip(space, shapes, strict=True))
    block = _down_block(down, rows.turns, v.dtype)
    have = [0, 0]  # rows that are smoothed along
    for start in range(0, rows.count, height):
        stop = min(start + height, rows.count)
        low, top = max(start - reach, 0), min(stop + reach, rows.count)
        kept = have[1] - low
        along[:, :kept] = along[:, low - have[0] : low - have[0] + kept]
        _smooth_along(rows, rows.laid(v, have[1], top, buffer), have[1], across, along[:, kept : top - low])
        have = [low, top]
        _smooth_down(rows, along[:, : top - low], low, start, block, slab[: stop - start])
        yield *rows.spots(start, stop), slab[: stop - start]


def _smooth_along(
    rows: _Rows, grid: NDArray[np.floating], start: int, kernel: NDArray[np.float64], out: NDArray[np.floating]
) -> None:
    """Smooth the rows from ``start``, (rows, slots, K), along themselves; ``out`` is (kinds of columns, rows, slots, K)."""
    for own in range(rows.turns):
        source = rows.of_kind(start, start + len(grid), own)
        for kind in range(rows.turns):
            _convolve(grid[source], _Band.of(kernel, rows.turns, kind - own, grid.dtype), out[kind, source])


@dataclass(frozen=True)
class _Band:
    """Weights of a run of sites for another one; the first site that weighs is ``reach`` before.

    Parameters
    ----------
    block
        Shape (side, side + 2 reach).
    reach
        How many sites to each side weigh.
    """

    block: NDArray[np.floating]
    reach: int

    @classmethod
    def of(cls, kernel: NDArray[np.float64], step: int, shift: int, dtype: np.dtype) -> _Band:
        """Weights at distances ``step · (i - j) + shift``."""
        reach = -(-(len(kernel) - 1 + abs(shift)) // step)
        side = int(np.clip(2 * reach // 3, 8, 256))
        distance = np.abs(step * (np.arange(side)[:, None] + reach - np.arange(side + 2 * reach)[None, :]) + shift)
        inside = distance < len(kernel)
        return cls(np.where(inside, kernel[np.where(inside, distance, 0)], 0.0).astype(dtype), reach)


def _convolve(grid: NDArray[np.floating], band: _Band, out: NDArray[np.floating]) -> None:
    """Sum along the middle axis of (a, m, b): one block, moved along the axis."""
    m, side = grid.shape[1], len(band.block)
    for start in range(0, m, side):
        stop = min(start + side, m)
        low, high = max(start - band.reach, 0), min(stop + band.reach, m)
        first = low - (start - band.reach)
        np.matmul(band.block[: stop - start, first : first + high - low], grid[:, low:high], out=out[:, start:stop])


def _down_block(kernel: NDArray[np.float64], turns: int, dtype: np.dtype) -> NDArray[np.floating]:
    """Weights of a run of rows for rows of one kind; the first row that weighs is ``len(kernel) - 1`` before."""
    reach = len(kernel) - 1
    side = int(np.clip(reach // turns, 16, 256))
    count = turns * (side - 1) + 1 + 2 * reach
    distance = np.abs(turns * np.arange(side)[:, None] + reach - np.arange(count)[None, :])
    return np.where(distance <= reach, kernel[np.minimum(distance, reach)], 0.0).astype(dtype)


def _smooth_down(
    rows: _Rows,
    along: NDArray[np.floating],
    low: int,
    start: int,
    block: NDArray[np.floating],
    out: NDArray[np.floating],
) -> None:
    """Smooth columns of the rows from ``low``, (kinds, rows, slots, K), for the rows from ``start``, (rows, slots, K)."""
    side = len(block)
    reach = (block.shape[1] - rows.turns * (side - 1) - 1) // 2
    source = along.reshape(*along.shape[:2], -1)
    target = out.reshape(len(out), -1)
    step = max(64, _SMALL_PRODUCT // block.size // 64 * 64)
    for i in range(0, source.shape[2], step):  # what stays in the cache serves several runs of rows
        for kind in range(rows.turns):
            wanted = np.arange(start, start + len(out))[rows.of_kind(start, start + len(out), kind)]
            for part in (wanted[j : j + side] for j in range(0, len(wanted), side)):
                first, last = int(part[0]), int(part[-1])
                above, below = max(first - reach, low), min(last + reach + 1, low + source.shape[1])
                skipped = above - (first - reach)
                np.matmul(
                    block[: len(part), skipped : skipped + below - above],
                    source[kind, above - low : below - low, i : i + step],
                    out=target[first - start : last - start + 1 : rows.turns, i : i + step],
                )
