"""The distance between neighboring spots, in pixels, from jittered real grids."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

VISIUM_PITCH_UM = 100.0
LEGACY_PITCH_UM = 200.0
VISIUM_SPOT_UM = 65.0
"""Diameter of the spot that Space Ranger's ``spot_diameter_fullres`` draws; not the printed 55 µm."""


class SpotPitch(NamedTuple):
    """Distance between the centers of neighboring spots.

    Parameters
    ----------
    pixels
        The distance.
    layout
        ``"hex"`` (six neighbors, Visium) or ``"square"`` (four, legacy ST).
    """

    pixels: float
    layout: Literal["hex", "square"]

    def mpp(self) -> float:
        """Size of a pixel in µm, taking a hexagonal grid as Visium (100 µm) and a square one as legacy ST (200 µm).

        Returns
        -------
        µm per pixel.
        """
        return (VISIUM_PITCH_UM if self.layout == "hex" else LEGACY_PITCH_UM) / self.pixels


def spot_pitch(xy: ArrayLike) -> SpotPitch | None:
    """Find pitch and layout from positions alone.

    Parameters
    ----------
    xy
        Centers, shape (n, 2), pixels.

    Returns
    -------
    The pitch, or None with fewer than 8 spots or without a regular grid. Spots that lie half a pitch off, or lack neighbors, do
    not count: the median is taken over neighbor distances within a quarter of it.
    """
    from scipy.spatial import cKDTree

    points = np.unique(np.asarray(xy, dtype=np.float64), axis=0)
    if len(points) < 8:
        return None
    distance, index = cKDTree(points).query(points, k=7)
    start = float(np.median(distance[:, 1:4]))
    if start <= 0:
        return None
    near = np.abs(distance[:, 1:] / start - 1) < 0.25
    pitch = start
    for _ in range(10):
        near = np.abs(distance[:, 1:] / pitch - 1) < 0.25
        if not near.any():
            return None
        new = float(np.median(distance[:, 1:][near]))
        if abs(new - pitch) < 1e-9 * pitch:
            break
        pitch = new
    layout = _layout(points, index[:, 1:], near)
    return None if layout is None else SpotPitch(pitch, layout)


def lattice_pitch(xy: ArrayLike, array_row: ArrayLike, array_col: ArrayLike) -> SpotPitch | None:
    """Fit the spots' places in the array to their pixels; jitter averages out.

    Parameters
    ----------
    xy
        Centers, shape (n, 2), pixels.
    array_row, array_col
        Integer places, shape (n,). In Visium's hexagonal array row + column is even and a column is half a pitch wide.

    Returns
    -------
    The pitch, or None when the places do not span a plane or the fit is not that of a grid: axes not at right angles within
    3 degrees, or their scales 5 % apart, or a residual above a quarter of the pitch.
    """
    xy = np.asarray(xy, dtype=np.float64)
    place = np.column_stack([np.asarray(array_col, dtype=np.float64), np.asarray(array_row, dtype=np.float64)])
    if len(place) < 4 or not np.isfinite(place).all() or np.linalg.matrix_rank(place - place.mean(axis=0)) < 2:
        return None
    parity = np.mod(place.sum(axis=1), 2)
    hexagonal = len(place) >= 8 and bool(np.all(parity == parity[0]))
    unit = np.array([0.5, np.sqrt(3) / 2]) if hexagonal else np.ones(2)
    axes = lattice_axes(xy, array_row, array_col)
    matrix = axes / unit[:, None]
    scale = np.linalg.norm(matrix, axis=1)
    if not (scale > 0).all():
        return None
    cosine = abs(float(matrix[0] @ matrix[1] / scale.prod()))
    pitch = float(np.sqrt(abs(np.linalg.det(matrix))))
    left_over = xy - xy.mean(axis=0) - (place - place.mean(axis=0)) @ axes
    residual = float(np.sqrt(np.mean(np.sum(left_over**2, axis=1))))
    if cosine > np.sin(np.deg2rad(3)) or abs(scale[0] / scale[1] - 1) > 0.05 or residual > pitch / 4:
        return None
    return SpotPitch(pitch, "hex" if hexagonal else "square")


def lattice_axes(xy: ArrayLike, array_row: ArrayLike, array_col: ArrayLike) -> np.ndarray:
    """Find how far a step in the array leads in the image, by least squares.

    Parameters
    ----------
    xy
        Centers, shape (n, 2), pixels.
    array_row, array_col
        Integer places, shape (n,), that span a plane.

    Returns
    -------
    Shape (2, 2): the step from a column to the next, and from a row to the next, x then y, pixels.
    """
    xy = np.asarray(xy, dtype=np.float64)
    place = np.column_stack([np.asarray(array_col, dtype=np.float64), np.asarray(array_row, dtype=np.float64)])
    return np.linalg.lstsq(place - place.mean(axis=0), xy - xy.mean(axis=0), rcond=None)[0]


def _layout(points: np.ndarray, neighbors: np.ndarray, near: np.ndarray) -> Literal["hex", "square"] | None:
    rows, columns = np.nonzero(near)
    step = points[neighbors[rows, columns]] - points[rows]
    angle = np.arctan2(step[:, 1], step[:, 0])
    four, six = (abs(np.exp(1j * k * angle).mean()) for k in (4, 6))
    if max(four, six) < 0.3:
        return None
    return "square" if four > six else "hex"
