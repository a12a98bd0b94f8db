"""µm per pixel of a slide: every source that speaks of it, in order of trust."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from histodecon._core import Key, ResolutionError, safe_key, uns_branch
from histodecon.images import VISIUM_SPOT_UM
from histodecon.images._scale import USER, Estimate, choose_mpp, measured_mpp

if TYPE_CHECKING:
    from anndata import AnnData

_BIN = re.compile(r"^s_(\d{3})um_\d+_\d+")
"""Barcodes of Visium HD; they tell the side of a bin."""


def resolve_mpp(
    adata: AnnData,
    library: str,
    rows: np.ndarray,
    xy: np.ndarray,
    *,
    mpp: float | Mapping[str, float] | None,
    image_mpp: float | None,
) -> tuple[float, str]:
    """Find the µm per full-resolution pixel of a slide.

    Parameters
    ----------
    adata
        The table.
    library
        Name of the slide.
    rows
        Its rows.
    xy
        Centers of its spots in full-resolution pixels.
    mpp
        What the user states, for all slides or each.
    image_mpp
        What the image file states.

    Returns
    -------
    µm per pixel, and its source: ``"user"``, that of the reader, ``"Visium HD"``, ``"array fit"``, ``"spot pitch"``, ``"spot diameter"`` or
    ``"image file"``.

    Raises
    ------
    ResolutionError
        Nothing speaks of it; what the user or the reader states is not plausible, or is off by a factor of 5 or more.
    """
    stated = list(_stated(adata, library, mpp))
    return choose_mpp(stated, _read_off(adata, library, rows, xy, image_mpp), slide=library)


def _stated(adata: AnnData, library: str, mpp: float | Mapping[str, float] | None) -> Iterator[tuple[float, str]]:
    value = mpp.get(library) if isinstance(mpp, Mapping) else mpp
    if value is not None:
        if not isinstance(value, (int, float, np.number)) or not np.isfinite(value):
            msg = f"`mpp` must be a number, not {value!r}"
            raise ResolutionError(msg, fix="`mpp=0.5`", code="BI-15")
        yield float(value), USER
    record = uns_branch(adata, Key.uns.SLIDES).get(safe_key(library), {})
    if "mpp" in record:
        yield float(record["mpp"]), str(record.get("mpp_source", "reader"))
    factors = _scalefactors(adata, library)
    if not record and factors.get("microns_per_pixel"):
        yield float(factors["microns_per_pixel"]), "Visium HD"


def _read_off(
    adata: AnnData, library: str, rows: np.ndarray, xy: np.ndarray, image_mpp: float | None
) -> list[Estimate]:
    record = uns_branch(adata, Key.uns.SLIDES).get(safe_key(library), {})
    side = _BIN.match(str(adata.obs_names[rows[0]]))
    return measured_mpp(
        xy,
        array_row=_places(adata, "array_row", rows),
        array_col=_places(adata, "array_col", rows),
        pitch_um=float(side[1]) if side else record.get("pitch_um"),
        spot_px=None if record else _scalefactors(adata, library).get("spot_diameter_fullres"),
        spot_um=float(side[1]) if side else VISIUM_SPOT_UM,
        image_mpp=image_mpp,
    )


def _scalefactors(adata: AnnData, library: str) -> Mapping[str, float]:
    return adata.uns.get(Key.uns.SPATIAL, {}).get(library, {}).get("scalefactors", {})


def _places(adata: AnnData, column: str, rows: np.ndarray) -> np.ndarray | None:
    return adata.obs[column].iloc[rows].to_numpy(dtype=np.float64) if column in adata.obs else None
