"""The pitch of a cloud of spots."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def nearest_neighbor_pitch(coords: ArrayLike) -> float:
    """Median distance from a spot to its nearest other position.

    Parameters
    ----------
    coords
        Positions, shape (n, dims). Spots on one position count once.

    Returns
    -------
    The pitch in the unit of ``coords``; NaN with fewer than two positions.

    Raises
    ------
    ValueError
        For coordinates that are not finite or not two-dimensional.
    """
    from scipy.spatial import cKDTree

    points = np.asarray(coords, dtype=np.float64)
    if points.ndim != 2 or not np.isfinite(points).all():
        msg = f"coords must be finite with shape (spots, dims), got shape {points.shape}"
        raise ValueError(msg)
    points = np.unique(points, axis=0)
    if len(points) < 2:
        return float("nan")
    distance, _ = cKDTree(points).query(points, k=2)
    return float(np.median(distance[:, 1]))
