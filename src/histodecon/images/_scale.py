"""One answer from several sources that speak of the size of a pixel."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from histodecon._core import ResolutionError, ResolutionWarning, first_names

PLAUSIBLE_MPP = (0.1, 4.0)
"""From a 100× objective to a picture in which a nucleus is 2 px wide."""

AGREE = 1.05
UNIT_SLIP = 5.0


def choose_mpp(
    stated: Sequence[tuple[float, str]], read_off: Sequence[tuple[float, str]], *, slide: str
) -> tuple[float, str]:
    """Choose the µm per pixel of a slide.

    Parameters
    ----------
    stated
        Values and their sources, most trusted first; each must be plausible.
    read_off
        Values that were estimated, in order; those that are not plausible are left out.
    slide
        Name of the slide.

    Returns
    -------
    The first value, and its source.

    Raises
    ------
    ResolutionError
        There is none, a stated one is not plausible, or two differ by a factor of 5 or more.

    Warns
    -----
    ResolutionWarning
        Two differ by more than 5 %.
    """
    low, high = PLAUSIBLE_MPP
    for value, source in stated:
        if not low <= value <= high:
            msg = f"mpp = {value:.6g} µm per pixel is not plausible for slide {slide!r}"
            where = f"source: {source}; plausible is {low} to {high}"
            why = "a tile would show something else than tissue at the scale of cells"
            fix = "give µm (not mm or nm) per pixel: `mpp=0.5`"
            raise ResolutionError(msg, where=where, why=why, fix=fix, code="BI-15")
    plausible = [(value, source) for value, source in read_off if low <= value <= high]
    if not stated and not plausible:
        msg = f"The size of a pixel of slide {slide!r} is unknown"
        where = "; ".join(f"{source} would give {value:.4g} µm" for value, source in read_off)
        why = "the dpi of an image is never believed"
        fix = "state it in µm per pixel: `mpp=0.5`"
        raise ResolutionError(msg, where=where or "the spots lie on no grid", why=why, fix=fix, code="BI-14")
    chosen, *others = [*stated, *plausible]
    _compare(slide, *chosen, others)
    return chosen


def _compare(slide: str, chosen: float, source: str, others: list[tuple[float, str]]) -> None:
    ratios = [(max(value / chosen, chosen / value), value, name) for value, name in others]
    apart = [(ratio, f"{name} {value:.4g}") for ratio, value, name in ratios if ratio > AGREE]
    if not apart:
        return
    told = ", ".join(text for _, text in apart)
    if max(ratio for ratio, _ in apart) >= UNIT_SLIP:
        msg = f"mpp = {chosen:.6g} ({source}) of slide {slide!r} is off by a factor of {max(apart)[0]:.3g}"
        fix = f"check the unit, or leave `mpp=` out to use another source ({first_names([n for _, _, n in ratios])})"
        raise ResolutionError(
            msg, where=told, why="tiles would show another scale than the spots", fix=fix, code="BI-15"
        )
    warnings.warn(
        f"[HD-BI-15] Slide {slide!r}: mpp = {chosen:.4g} ({source}) is used; it differs by more than 5 % from {told}.",
        ResolutionWarning,
        stacklevel=5,
    )
