"""Discs and pies in the coordinates of the slide, many at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WHOLE = 1.0 - 1e-6
_STEPS = 36  # corners of a full circle


def draw_discs(ax: Axes, xy: np.ndarray, diameter: float, **style: Any) -> None:
    """Draw circles.

    Parameters
    ----------
    ax
        The panel.
    xy
        Centers, shape (n, 2).
    diameter
        In the unit of the axes.
    **style
        What the collection takes.
    """
    from matplotlib.collections import EllipseCollection

    side = np.full(len(xy), diameter)
    spots = EllipseCollection(
        side, side, np.zeros_like(side), units="xy", offsets=xy, offset_transform=ax.transData, **style
    )
    ax.add_collection(spots)


def draw_pies(ax: Axes, xy: np.ndarray, radius: float, parts: np.ndarray, colors: Sequence[str]) -> None:
    """Draw pies: one collection for each color, from the top clockwise on an axis that runs down.

    Parameters
    ----------
    ax
        The panel.
    xy
        Centers, shape (n, 2).
    radius
        In the unit of the axes.
    parts
        Shape (n, k), rows sum to 1.
    colors
        One for each part.
    """
    from matplotlib.collections import PolyCollection

    ends = np.cumsum(parts, axis=1)
    for i, color in enumerate(colors):
        full = parts[:, i] >= WHOLE
        if full.any():
            draw_discs(ax, xy[full], 2 * radius, facecolors=color, linewidths=0)
        some = np.flatnonzero((parts[:, i] > 0) & ~full)
        wedges = [wedge(xy[row], radius, ends[row, i] - parts[row, i], ends[row, i]) for row in some]
        if wedges:
            ax.add_collection(PolyCollection(wedges, facecolors=color, linewidths=0))


def wedge(center: np.ndarray, radius: float, start: float, stop: float) -> np.ndarray:
    """Make the outline of a part of a pie.

    Parameters
    ----------
    center
        Shape (2,).
    radius
        In the same unit.
    start, stop
        Between 0 and 1.

    Returns
    -------
    Shape (corners, 2), the center first.
    """
    angles = 2 * np.pi * np.linspace(start, stop, max(2, int(np.ceil((stop - start) * _STEPS)) + 1))
    rim = center + radius * np.stack([np.sin(angles), -np.cos(angles)], axis=1)
    return np.vstack([center[None], rim])
