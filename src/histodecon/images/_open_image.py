"""Open any image as H&E."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from histodecon._core import ImageError, InputError
from histodecon.images._arrays import from_array, from_levels, planes_of
from histodecon.images._files import open_pillow, sniff
from histodecon.images._openslide import open_openslide, wants_openslide
from histodecon.images._slide_image import SlideImage
from histodecon.images._tiff import open_tiff


def open_image(
    source: Any,
    *,
    dims: Sequence[str] | None = None,
    max_value: float | None = None,
    max_pixels: int | None = None,
    allow_gray: bool = False,
    exif: Literal["refuse", "ignore", "apply"] = "refuse",
    strict_color: bool = False,
) -> SlideImage:
    """Open an H&E image, whatever it is stored in.

    Parameters
    ----------
    source
        Path of a JPEG, PNG or TIFF (tiled, pyramidal, OME, 16 bit), or of a whole-slide image (SVS, NDPI, MRXS, SCN, ...: what
        openslide reads, with the extra ``slide``); numpy, dask or zarr array; xarray DataArray or DataTree such as the image
        elements of SpatialData; or a :class:`SlideImage`, which is returned as it is.
    dims
        Names of the axes of an array, from ``"y"``, ``"x"`` and ``"c"``, where its shape does not tell.
    max_value
        Pixel value of white where the dtype does not tell, for example 4095.
    max_pixels
        Largest image that is opened; default 300 million pixels for JPEG and PNG, which are decoded as a whole, and 100
        billion for what is read by parts, each of at most 400 million pixels.
    allow_gray
        Accept an image of one channel; it becomes RGB of equal channels.
    exif
        What to do with a JPEG, PNG or TIFF that asks to be turned when shown: ``"refuse"``, ``"ignore"`` (coordinates were
        made on the stored pixels), or ``"apply"`` (on the turned picture; JPEG and PNG only).
    strict_color
        Refuse a CMYK JPEG instead of converting it with a warning.

    Returns
    -------
    The image: uint8 RGB by boxes. Transparent pixels are white; other depths are scaled, never clipped. The pyramid of a
    file is used for smaller tiles and pictures. Label and overview of a whole slide, which may name a patient, are never
    read.

    Raises
    ------
    ImageError
        The file is absent, damaged, too large, turned by EXIF, or not a color image; the axes or the range of an array
        cannot be told.

    Examples
    --------
    >>> import numpy as np
    >>> import histodecon as hd
    >>> image = hd.images.open_image(np.full((40, 60, 3), 200, dtype=np.uint8))
    >>> image.width, image.height
    (60, 40)
    >>> image.read(-1, 0, 2, 1).tolist()
    [[[255, 255, 255], [200, 200, 200]]]
    """
    if exif not in {"refuse", "ignore", "apply"}:
        msg = f"exif={exif!r} is unknown"
        raise InputError(msg, fix='use "refuse", "ignore" or "apply"', code="BI-25")
    if isinstance(source, SlideImage):
        return source
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        if wants_openslide(path):
            return open_openslide(path, max_pixels=max_pixels)
        kind = sniff(path)
        limits: dict[str, Any] = {"max_pixels": max_pixels, "max_value": max_value, "allow_gray": allow_gray}
        if kind == "tiff":
            return open_tiff(path, exif=exif, **limits)
        return open_pillow(path, kind, exif=exif, strict_color=strict_color, **limits)
    if hasattr(source, "children") and hasattr(source, "data_vars"):
        return from_levels(planes_of(source), dims=dims, max_value=max_value, allow_gray=allow_gray)
    if not (hasattr(source, "shape") and hasattr(source, "dtype")):
        msg = f"A {type(source).__name__} is not an image"
        raise ImageError(msg, fix="hand in a path or an array of shape (height, width, 3)", code="BI-24")
    return from_array(source, dims=dims, max_value=max_value, allow_gray=allow_gray)
