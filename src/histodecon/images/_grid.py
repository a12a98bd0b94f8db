"""Grids of places, and those of them that have tissue."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from histodecon._core import InputError
from histodecon.images._slide_image import SlideImage
from histodecon.images._tissue import GREEN_DENSITY, require_brightfield, stained

LAYOUTS = ("hex", "square")
MAX_SITES = 5_000_000

OVERVIEW_UM = 8.0
"""µm per pixel of the overview in which tissue is looked for; it has at least 1,000 px."""

OVERVIEW_PX = 1000


class Grid(NamedTuple):
    """Places on a slide, with their row and column as Visium counts them.

    Parameters
    ----------
    xy
        float64 (n, 2), x then y.
    row, column
        int64 (n,). In a hexagonal grid row + column is even, and a column is half a pitch wide.
    """

    xy: np.ndarray
    row: np.ndarray
    column: np.ndarray

    def only(self, keep: np.ndarray) -> Grid:
        """Keep some places.

        Parameters
        ----------
        keep
            bool (n,).

        Returns
        -------
        These places.
        """
        return Grid(self.xy[keep], self.row[keep], self.column[keep])


def grid_centers(width: float, height: float, spacing: float, layout: Literal["hex", "square"] = "hex") -> Grid:
    """Lay a regular grid over an area, centered in it.

    Parameters
    ----------
    width, height
        Size of the area.
    spacing
        Distance of a place to its neighbors, in the same unit: to all six of them, or all four.
    layout
        ``"hex"`` or ``"square"``.

    Returns
    -------
    The places, row by row; at least one.

    Raises
    ------
    InputError
        The layout is unknown, the spacing is not above 0, or there would be more than 5 million places.
    """
    if layout not in LAYOUTS:
        msg = f"Layout {layout!r} is unknown"
        raise InputError(msg, fix='use "hex" or "square"')
    if not (np.isfinite(spacing) and spacing > 0):
        msg = f"Places cannot be {spacing} apart"
        raise InputError(msg, fix="give a number above 0")
    step_y = spacing * (np.sqrt(3) / 2 if layout == "hex" else 1.0)
    n_rows, n_columns = max(1, int(height // step_y)), max(1, int(width // spacing))
    if n_rows * n_columns > MAX_SITES:
        msg = f"A grid of {n_rows} × {n_columns} places is too dense"
        raise InputError(msg, where=f"at most {MAX_SITES} are laid", fix="take a larger spacing")
    row, place = (axis.ravel() for axis in np.mgrid[:n_rows, :n_columns])
    half = layout == "hex"
    column = 2 * place + row % 2 if half else place
    step_x = spacing / 2 if half else spacing
    left = (width - step_x * column.max()) / 2
    top = (height - step_y * (n_rows - 1)) / 2
    return Grid(np.column_stack([left + step_x * column, top + step_y * row]), row, column)


def overview(image: SlideImage, mpp: float) -> tuple[np.ndarray, float]:
    """Make the picture in which tissue is looked for.

    Parameters
    ----------
    image
        The image.
    mpp
        µm per pixel of it.

    Returns
    -------
    uint8 (height, width, 3) with about 8 µm per pixel, and its scale: picture pixel = image pixel × scale.
    """
    wanted = max(image.width, image.height) * mpp / OVERVIEW_UM
    return image.thumbnail(max(OVERVIEW_PX, int(np.ceil(wanted))))


def may_hold_tissue(picture: np.ndarray, scale: float, centers: np.ndarray, size_px: int) -> np.ndarray:
    """Find the tiles that are worth to be looked at closely.

    Parameters
    ----------
    picture, scale
        From :func:`overview`.
    centers
        Centers of tiles, shape (n, 2), pixels of the image.
    size_px
        Side of a tile in the image.

    Returns
    -------
    bool (n,): a tile is left out when no pixel of the overview in or beside it has half the optical density of tissue, so
    that none with tissue is missed.

    Raises
    ------
    ImageError
        What is colored is as dark as in a fluorescence image.
    """
    require_brightfield(picture)
    mask = stained(picture, green_density=GREEN_DENSITY / 2)
    total = np.zeros((mask.shape[0] + 1, mask.shape[1] + 1), dtype=np.int64)
    total[1:, 1:] = mask.cumsum(axis=0).cumsum(axis=1)
    limit = np.array([mask.shape[1], mask.shape[0]])
    low = np.clip(np.floor((centers - size_px / 2) * scale).astype(int) - 1, 0, limit)
    high = np.clip(np.ceil((centers + size_px / 2) * scale).astype(int) + 1, 0, limit)
    (x0, y0), (x1, y1) = low.T, high.T
    return (total[y1, x1] - total[y0, x1] - total[y1, x0] + total[y0, x0]) > 0
