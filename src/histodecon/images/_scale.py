"""One answer from several sources that speak of the size of a pixel."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import NamedTuple

from numpy.typing import ArrayLike

from histodecon._core import ResolutionError, ResolutionWarning, first_names
from histodecon.images._pitch import VISIUM_SPOT_UM, SpotPitch, lattice_pitch, spot_pitch

PLAUSIBLE_MPP = (0.1, 4.0)
"""What a person or a file may state: from a 100× objective to a picture in which a nucleus is 2 px wide."""

MEASURED_MPP = (0.05, 10.0)
"""What spots may show: the picture that a CytAssist takes has 4 to 5 µm per pixel and is a valid input of Space Ranger."""

USER, IMAGE_FILE = "user", "image file"
AGREE = 1.05
UNIT_SLIP = 5.0


class Estimate(NamedTuple):
    """A size of a pixel that was measured.

    Parameters
    ----------
    mpp
        µm per pixel.
    source
        What it was read off.
    surmised
        The kind of array was only surmised: a square grid may be legacy ST, or bins of another technology.
    """

    mpp: float
    source: str
    surmised: bool = False


def measured_mpp(
    xy: ArrayLike,
    *,
    array_row: ArrayLike | None = None,
    array_col: ArrayLike | None = None,
    pitch_um: float | None = None,
    spot_px: float | None = None,
    spot_um: float = VISIUM_SPOT_UM,
    image_mpp: float | None = None,
) -> list[Estimate]:
    """List what spots and image say about the size of a pixel, most trusted first.

    Parameters
    ----------
    xy
        Centers of the spots, shape (n, 2), full-resolution pixels.
    array_row, array_col
        Their places in the array, shape (n,).
    pitch_um
        Distance between neighbors; default 100 µm on a hexagonal (Visium), 200 µm on a square grid (legacy ST).
    spot_px
        Diameter of a spot in full-resolution pixels. It is not believed on a square grid without ``pitch_um``, for those are
        not Visium's.
    spot_um
        The same in µm.
    image_mpp
        What the image file states, for the full-resolution pixel.

    Returns
    -------
    µm per pixel and ``"array fit"``, or where that fails ``"spot pitch"``; ``"spot diameter"``; ``"image file"``.
    """
    found: list[Estimate] = []
    pitch: SpotPitch | None = None
    if array_row is not None and array_col is not None:
        pitch = lattice_pitch(xy, array_row, array_col)
    source = "array fit"
    if pitch is None:
        pitch, source = spot_pitch(xy), "spot pitch"
    legacy = pitch is not None and pitch.layout == "square" and pitch_um is None
    if pitch is not None:
        found.append(Estimate(pitch.mpp() if pitch_um is None else pitch_um / pitch.pixels, source, legacy))
    if spot_px is not None and spot_px > 0 and not legacy:
        found.append(Estimate(spot_um / spot_px, "spot diameter"))
    if image_mpp is not None:
        found.append(Estimate(image_mpp, IMAGE_FILE))
    return found


def choose_mpp(stated: Sequence[tuple[float, str]], read_off: Sequence[Estimate], *, slide: str) -> tuple[float, str]:
    """Choose the µm per pixel of a slide.

    Parameters
    ----------
    stated
        Values and their sources, most trusted first. Each must be plausible, or agree with one that was measured.
    read_off
        Values that were measured, in order; those that are not plausible are left out.
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
    plausible = [(known.mpp, known.source) for known in read_off if _in_band(known)]
    for value, source in stated:
        agrees = any(max(value / other, other / value) <= AGREE for other, _ in plausible if value > 0)
        if not (agrees or _in_band(Estimate(value, source))):
            low, high = PLAUSIBLE_MPP
            msg = f"mpp = {value:.6g} µm per pixel is not plausible for slide {slide!r}"
            where = f"source: {source}; plausible is {low} to {high}"
            why = "a tile would show something else than tissue at the scale of cells"
            fix = "give µm (not mm or nm) per pixel: `mpp=0.5`"
            raise ResolutionError(msg, where=where, why=why, fix=fix, code="BI-15")
    if not stated and not plausible:
        msg = f"The size of a pixel of slide {slide!r} is unknown"
        where = "; ".join(f"{known.source} would give {known.mpp:.4g} µm" for known in read_off)
        why = "the dpi of an image is never believed"
        fix = "state it in µm per pixel: `mpp=0.5`"
        raise ResolutionError(msg, where=where or "the spots lie on no grid", why=why, fix=fix, code="BI-14")
    chosen, *others = [*stated, *plausible]
    _compare(slide, *chosen, others)
    return chosen


def _in_band(known: Estimate) -> bool:
    low, high = PLAUSIBLE_MPP if known.surmised or known.source in {USER, IMAGE_FILE} else MEASURED_MPP
    return low <= known.mpp <= high


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
