"""How large a tile is: in µm, or in pixels of a stated size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from histodecon._core import InputError, ResolutionError


@dataclass(frozen=True)
class TileSize:
    """Size of tiles as it was asked for.

    Parameters
    ----------
    um
        Side in µm; counts where ``px`` is None.
    px
        Side in pixels.
    mpp
        µm of one of these pixels; None for the full-resolution pixels of each slide.

    Raises
    ------
    InputError
        A size is not above 0.
    ResolutionError
        ``mpp`` is given for tiles in µm, or is no number above 0.
    """

    um: float
    px: int | None = None
    mpp: float | None = None

    def __post_init__(self) -> None:
        if self.px is not None and (int(self.px) != self.px or self.px < 1):
            msg = f"`size_px` must be a whole number above 0, not {self.px}"
            raise InputError(msg, fix="`size_px=224`")
        if not (np.isfinite(self.um) and self.um > 0):
            msg = f"`size_um` must be above 0, not {self.um}"
            raise InputError(msg, fix="`size_um=112`")
        if self.mpp is None:
            return
        if self.px is None:
            msg = f"`tile_mpp={self.mpp}` says how large a pixel of a tile is, and `size_px` was not given"
            fix = "`size_px=224` beside it, or `size_um=` alone"
            raise ResolutionError(msg, why="a tile in µm is the same tissue on every slide", fix=fix, code="BI-16")
        if not isinstance(self.mpp, (int, float, np.number)) or not (np.isfinite(self.mpp) and self.mpp > 0):
            msg = f"`tile_mpp` must be a number above 0, not {self.mpp!r}"
            raise ResolutionError(msg, fix="`tile_mpp=0.5`", code="BI-16")

    def native_px(self, mpp: float) -> int:
        """Say how many full-resolution pixels of a slide a tile has.

        Parameters
        ----------
        mpp
            µm per full-resolution pixel of the slide.

        Returns
        -------
        Whole pixels, at least 1.
        """
        if self.px is not None and self.mpp is None:
            return int(self.px)
        side_um = self.um if self.px is None or self.mpp is None else self.px * self.mpp
        return max(1, round(side_um / mpp))

    def record(self, mpp: float) -> dict[str, Any]:
        """Say what is kept of it.

        Parameters
        ----------
        mpp
            µm per full-resolution pixel of the slide.

        Returns
        -------
        ``size_px``, ``size_um``, ``size_unit``, and for tiles in pixels ``tile_mpp``.
        """
        native = self.native_px(mpp)
        if self.px is None:
            return {"size_px": native, "size_um": float(self.um), "size_unit": "um"}
        pixel = float(mpp if self.mpp is None else self.mpp)
        return {"size_px": native, "size_um": int(self.px) * pixel, "size_unit": "px", "tile_mpp": pixel}


def stated_size(record: Mapping[str, Any]) -> str:
    """Read the size of a tile back, in the unit it was asked for.

    Parameters
    ----------
    record
        That of the tiles of a slide.

    Returns
    -------
    Such as ``"112 um"`` or ``"224 px"``.
    """
    if record.get("size_unit", "um") == "um":
        return f"{float(record['size_um']):.6g} um"
    pixels = int(record["size_px"])
    if "tile_mpp" in record:
        pixels = round(float(record["size_um"]) / float(record["tile_mpp"]))
    return f"{pixels} px"
