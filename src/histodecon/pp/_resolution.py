"""µm per pixel of a slide: every source that speaks of it, in order of trust."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from histodecon import images
from histodecon._core import Key, ResolutionError, safe_key, uns_branch
from histodecon.images._scale import choose_mpp

if TYPE_CHECKING:
    from anndata import AnnData


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
    µm per pixel, and its source: ``"user"``, that of the reader, ``"array fit"``, ``"spot pitch"``, ``"spot diameter"`` or
    ``"image file"``.

    Raises
    ------
    ResolutionError
        Nothing speaks of it; what the user or the reader states is not plausible, or is off by a factor of 5 or more.
    """
    stated = list(_stated(adata, library, mpp))
    read_off = list(_read_off(adata, library, rows, xy, image_mpp))
    return choose_mpp(stated, read_off, slide=library)


def _stated(adata: AnnData, library: str, mpp: float | Mapping[str, float] | None) -> Iterator[tuple[float, str]]:
    value = mpp.get(library) if isinstance(mpp, Mapping) else mpp
    if value is not None:
        if not isinstance(value, (int, float, np.number)) or not np.isfinite(value):
            msg = f"`mpp` must be a number, not {value!r}"
            raise ResolutionError(msg, fix="`mpp=0.5`", code="BI-15")
        yield float(value), "user"
    record = uns_branch(adata, Key.uns.SLIDES).get(safe_key(library), {})
    if "mpp" in record:
        yield float(record["mpp"]), str(record.get("mpp_source", "reader"))


def _read_off(
    adata: AnnData, library: str, rows: np.ndarray, xy: np.ndarray, image_mpp: float | None
) -> Iterator[tuple[float, str]]:
    pitch = None
    if {"array_row", "array_col"} <= set(adata.obs.columns):
        places = adata.obs[["array_row", "array_col"]].iloc[rows].to_numpy(dtype=np.float64)
        pitch = images.lattice_pitch(xy, places[:, 0], places[:, 1])
        if pitch is not None:
            yield pitch.mpp(), "array fit"
    if pitch is None:
        pitch = images.spot_pitch(xy)
        if pitch is not None:
            yield pitch.mpp(), "spot pitch"
    factors = adata.uns.get(Key.uns.SPATIAL, {}).get(library, {}).get("scalefactors", {})
    diameter = float(factors.get("spot_diameter_fullres", 0.0))
    recorded = safe_key(library) in uns_branch(adata, Key.uns.SLIDES)
    if diameter > 0 and not recorded and (pitch is None or pitch.layout == "hex"):
        yield images.VISIUM_SPOT_UM / diameter, "spot diameter"
    if image_mpp is not None:
        yield image_mpp, "image file"
