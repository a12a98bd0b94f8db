"""Smooth random fields, drawn as two thin matrix products so that large pictures stay cheap."""

from __future__ import annotations

import numpy as np
from scipy import sparse

# The cubic B-spline of white noise has this standard deviation (square of 0.479, its mean over a cell and axis).
_SPLINE_SD = 0.479


def _linear(fraction: np.ndarray) -> np.ndarray:
    return np.stack([1 - fraction, fraction])


def _cubic(fraction: np.ndarray) -> np.ndarray:
    t, s = fraction, 1 - fraction
    return np.stack([s**3, 3 * t**3 - 6 * t**2 + 4, 3 * s**3 - 6 * s**2 + 4, t**3]) / 6


def _matrix(first: np.ndarray, weights: np.ndarray, n_in: int) -> sparse.csr_array:
    taps, n_out = weights.shape
    columns = (first[None] + np.arange(taps)[:, None]) % n_in
    rows = np.broadcast_to(np.arange(n_out), (taps, n_out))
    shape = (n_out, n_in)
    return sparse.csr_array((weights.astype(np.float32).ravel(), (rows.ravel(), columns.ravel())), shape=shape)


def _apply(rows: sparse.csr_array, values: np.ndarray, columns: sparse.csr_array) -> np.ndarray:
    return rows @ np.ascontiguousarray((columns @ values.T).T)


def smooth_noise(
    rng: np.random.Generator, shape: tuple[int, int], scale: float | tuple[float, float], *, periodic: bool = False
) -> np.ndarray:
    """Draw a smooth random field of mean 0 and standard deviation about 1.

    Parameters
    ----------
    rng
        Source of randomness.
    shape
        Height and width in pixels.
    scale
        Size of a bump in pixels, one number or one for each axis.
    periodic
        Make opposite borders meet, for a texture that is laid side by side.

    Returns
    -------
    Shape ``shape``, float32.
    """
    scales = np.broadcast_to(scale, 2)
    matrices, sizes = [], []
    for length, step in zip(shape, scales, strict=True):
        cells = max(round(length / float(step)), 1) if periodic else length / float(step)
        position = np.arange(length) * (cells / length) + rng.random()
        whole = np.floor(position).astype(np.intp)
        sizes.append(int(cells) if periodic else int(whole[-1]) + 4)
        matrices.append(_matrix(whole, _cubic(position - whole), sizes[-1]))
    lattice = rng.standard_normal(tuple(sizes), dtype=np.float32) / np.float32(_SPLINE_SD)
    return _apply(matrices[0], lattice, matrices[1])


def upsample(field: np.ndarray, step: float, shape: tuple[int, int]) -> np.ndarray:
    """Stretch a coarse field over a picture, linearly between the centers of its cells.

    Parameters
    ----------
    field
        Coarse field, shape (rows, columns).
    step
        Side of a coarse cell in pixels.
    shape
        Height and width of the picture in pixels.

    Returns
    -------
    Shape ``shape``, float32.
    """
    matrices = []
    for length, n_in in zip(shape, field.shape, strict=True):
        position = np.clip((np.arange(length) + 0.5) / step - 0.5, 0, n_in - 1)
        whole = np.minimum(np.floor(position).astype(np.intp), max(n_in - 2, 0))
        matrices.append(_matrix(whole, _linear(position - whole), n_in))
    return _apply(matrices[0], np.asarray(field, dtype=np.float32), matrices[1])


def at_points(field: np.ndarray, xy: np.ndarray, step: float) -> np.ndarray:
    """Read a field at points, nearest cell.

    Parameters
    ----------
    field
        Shape (..., rows, columns).
    xy
        Shape (n, 2): x and y in the unit of ``step``.
    step
        Side of a cell.

    Returns
    -------
    Shape (..., n).
    """
    rows, columns = field.shape[-2:]
    i = np.clip((xy[:, 1] / step).astype(np.intp), 0, rows - 1)
    j = np.clip((xy[:, 0] / step).astype(np.intp), 0, columns - 1)
    return field[..., i, j]
