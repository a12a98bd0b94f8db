"""Whole-slide images of scanners, through openslide."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np

from histodecon._core import ImageError, MissingDependencyError, import_optional
from histodecon.images._files import check_pixels, damaged
from histodecon.images._pixels import on_white
from histodecon.images._slide_image import SlideImage
from histodecon.images._tiff import MAX_PIXELS_TILED

SCANNER_SUFFIXES = frozenset({".bif", ".czi", ".dcm", ".mrxs", ".ndpi", ".scn", ".svslide", ".vms", ".vmu"})
"""Files that only openslide reads rightly; an ``.mrxs`` is a small JPEG that stands before the true image."""

SHARED_SUFFIXES = frozenset({".svs", ".tif", ".tiff", ".btf"})
"""TIFF files: openslide reads them where it is installed and knows the scanner, tifffile the others."""

DEFAULT_TILE_PX = 512
EVEN_PIXELS = 0.02


def wants_openslide(path: Path) -> bool:
    """Tell whether a file is read through openslide.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    True for the file types of scanners; for a TIFF when openslide is installed and knows the scanner that wrote it.
    """
    suffix = path.suffix.lower()
    if suffix in SCANNER_SUFFIXES:
        return path.is_file()
    if suffix not in SHARED_SUFFIXES or not path.is_file() or importlib.util.find_spec("openslide") is None:
        return False
    try:
        vendor = import_optional("openslide").OpenSlide.detect_format(str(path))
    except (MissingDependencyError, OSError):
        return False
    return vendor not in {None, "generic-tiff"}


def open_openslide(path: Path, *, max_pixels: int | None = None) -> SlideImage:
    """Open a whole-slide image.

    Parameters
    ----------
    path
        The file.
    max_pixels
        Largest image.

    Returns
    -------
    The image with its pyramid; ``mpp`` is what the scanner states. Only levels of the image are read, never the label or
    the overview of the slide.

    Raises
    ------
    MissingDependencyError
        openslide is not installed.
    ImageError
        The file is damaged, too large, or of a kind that openslide does not read.
    """
    openslide = import_optional("openslide")
    try:
        slide = openslide.OpenSlide(str(path))
    except openslide.OpenSlideUnsupportedFormatError as error:
        msg = f"{path.name} is of a kind that openslide does not read"
        fix = "export it as a tiled TIFF, for example with QuPath or bfconvert"
        raise ImageError(msg, where=f"{path}, {path.stat().st_size} bytes", fix=fix, code="BI-29") from error
    except openslide.OpenSlideError as error:
        raise damaged(path, error) from error
    width, height = slide.dimensions
    try:
        limit = MAX_PIXELS_TILED if max_pixels is None else max_pixels
        check_pixels(width, height, limit, bytes_per_pixel=4, name=path.name)
        vendor = slide.properties.get("openslide.vendor", "unknown")
        image, *levels = [
            _level(openslide, slide, path, n, f"openslide file, {vendor}") for n in range(slide.level_count)
        ]
    except BaseException:
        slide.close()
        raise
    image.mpp = _stated_mpp(slide.properties)
    image._close = slide.close
    image.set_levels(levels)
    return image


def _level(openslide: Any, slide: Any, path: Path, level: int, source: str) -> SlideImage:
    width, height = slide.level_dimensions[level]
    factor = slide.level_downsamples[level]

    def read(y0: int, y1: int, x0: int, x1: int) -> np.ndarray:
        corner = (round(x0 * factor), round(y0 * factor))  # openslide counts in pixels of the largest level
        try:
            region = slide.read_region(corner, level, (x1 - x0, y1 - y0))
        except openslide.OpenSlideError as error:
            raise damaged(path, error) from error
        return on_white(np.asarray(region))

    edges = [
        [*range(0, length, _tile_px(slide.properties, level, side)), length]
        for length, side in ((height, "height"), (width, "width"))
    ]
    return SlideImage(read, width, height, chunks=(edges[0], edges[1]), source=source)


def _tile_px(properties: Any, level: int, side: str) -> int:
    stated = int(properties.get(f"openslide.level[{level}].tile-{side}", DEFAULT_TILE_PX))
    return stated if 0 < stated <= 8 * DEFAULT_TILE_PX else DEFAULT_TILE_PX


def _stated_mpp(properties: Any) -> float | None:
    """µm per pixel when the scanner states it, and the same along both axes."""
    try:
        x, y = (float(properties[f"openslide.mpp-{axis}"]) for axis in "xy")
    except (KeyError, ValueError):
        return None
    return (x + y) / 2 if x > 0 and y > 0 and abs(x / y - 1) <= EVEN_PIXELS else None
