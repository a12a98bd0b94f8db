"""µm per pixel of a slide: every source that speaks of it, in order of trust."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from histodecon import images
from histodecon._core import Key, ResolutionError, ResolutionWarning, first_names, safe_key, uns_branch

if TYPE_CHECKING:
    from anndata import AnnData

PLAUSIBLE_MPP = (0.1, 4.0)
"""From a 100× objective to a picture in which a nucleus is 2 px wide."""

AGREE = 1.05
UNIT_SLIP = 5.0


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
    low, high = PLAUSIBLE_MPP
    for value, source in stated:
        if not low <= value <= high:
            msg = f"mpp = {value:.6g} µm per pixel is not plausible for slide {library!r}"
            where = f"source: {source}; plausible is {low} to {high}"
            why = "a tile would show something else than tissue at the scale of cells"
            raise ResolutionError(
                msg, where=where, why=why, fix="give µm (not mm or nm) per pixel: `mpp=0.5`", code="BI-15"
            )
    read_off = list(_read_off(adata, library, rows, xy, image_mpp))
    plausible = [(value, source) for value, source in read_off if low <= value <= high]
    if not stated and not plausible:
        msg = f"The size of a pixel of slide {library!r} is unknown"
        where = "; ".join(f"{source} would give {value:.4g} µm" for value, source in read_off) or "spots lie on no grid"
        fix = "state it: `mpp=0.5` (µm per pixel), or cut native pixels and state it anyway: `size_px=224, mpp=...`"
        raise ResolutionError(msg, where=where, why="dpi of images is never believed", fix=fix, code="BI-14")
    chosen, source = (stated + plausible)[0]
    _compare(library, chosen, source, (stated + plausible)[1:])
    return chosen, source


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


def _compare(library: str, chosen: float, source: str, others: list[tuple[float, str]]) -> None:
    ratios = [(max(value / chosen, chosen / value), value, name) for value, name in others]
    apart = [(ratio, f"{name} {value:.4g}") for ratio, value, name in ratios if ratio > AGREE]
    if not apart:
        return
    told = ", ".join(text for _, text in apart)
    if max(ratio for ratio, _ in apart) >= UNIT_SLIP:
        msg = f"mpp = {chosen:.6g} ({source}) of slide {library!r} is off by a factor of {max(apart)[0]:.3g}"
        fix = f"check the unit, or leave `mpp=` out to use another source ({first_names([n for _, _, n in ratios])})"
        raise ResolutionError(
            msg, where=told, why="tiles would show another scale than the spots", fix=fix, code="BI-15"
        )
    warnings.warn(
        f"[HD-BI-15] Slide {library!r}: mpp = {chosen:.4g} ({source}) is used; it differs by more than 5 % from {told}.",
        ResolutionWarning,
        stacklevel=5,
    )
