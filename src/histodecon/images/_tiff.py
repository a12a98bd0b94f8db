"""TIFF images, read by parts through tifffile."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from histodecon._core import ImageError
from histodecon.images._arrays import from_levels
from histodecon.images._files import ORIENTATION, check_pixels, damaged, require_color, require_upright
from histodecon.images._slide_image import SlideImage

MAX_PIXELS_TILED = 100_000_000_000
"""Largest image that is read by parts: nothing of its size is held in memory."""

MAX_PIXELS_PART = 400_000_000
"""Largest part, a tile or a strip, that has to be decoded at once."""

STATED_BAND = (0.1, 2.0)
"""µm per pixel that resolution tags may state; beyond it they are the dpi of a printer."""

_UNIT_UM = {"µm": 1.0, "um": 1.0, "μm": 1.0, "micron": 1.0, "nm": 1e-3, "mm": 1e3, "cm": 1e4}
_TAG_UM = {2: 25_400.0, 3: 10_000.0}


def open_tiff(
    path: Path, *, max_pixels: int | None, max_value: float | None, allow_gray: bool, exif: str = "refuse"
) -> SlideImage:
    """Open the largest picture of a TIFF with its pyramid, read by parts.

    Parameters
    ----------
    path
        The file.
    max_pixels
        Largest image.
    max_value
        Value of white.
    allow_gray
        Accept one channel.
    exif
        ``"ignore"`` takes the pixels as they are stored; a TIFF is never turned.

    Returns
    -------
    The image; its ``mpp`` comes from OME or Aperio metadata, or from a resolution in centimeters or inches that is that of a
    microscope. Other pictures of the file, such as the label of the slide, are not read.
    """
    import tifffile

    try:
        tiff = tifffile.TiffFile(path)
        series = max(tiff.series, key=_area)
        page = series.keyframe
        dims = tuple(series.axes.lower())
        size = {name: int(n) for name, n in zip(dims, series.shape, strict=True)}
    except (tifffile.TiffFileError, OSError, ValueError, IndexError, KeyError, StopIteration) as error:
        raise damaged(path, error) from error
    try:
        limit = MAX_PIXELS_TILED if max_pixels is None else max_pixels
        check_pixels(size.get("x", 0), size.get("y", 0), limit, bytes_per_pixel=3, name=path.name)
        _require_small_parts(page, path, max_pixels)
        orientation = page.tags.get(ORIENTATION)
        if exif != "ignore":
            require_upright(1 if orientation is None else int(orientation.value), path)
        _require_rgb_tiff(page, path, allow_gray=allow_gray)
        image = from_levels(
            _level_arrays(series),
            dims=dims,
            max_value=max_value,
            bits=int(page.bitspersample) if 8 < int(page.bitspersample) < 16 else None,
            premultiplied=1 in (page.extrasamples or ()),
            allow_gray=allow_gray,
            mpp=_tiff_mpp(tiff, page),
            source=f"TIFF file, {series.dtype}",
            close=tiff.close,
        )
    except ImageError:
        tiff.close()
        raise
    except (tifffile.TiffFileError, OSError, ValueError, RuntimeError) as error:
        tiff.close()
        raise damaged(path, error) from error
    for level in (image, *(level for _, level in image.levels)):
        _guard(level, path)
    return image


def _area(series: Any) -> int:
    size = dict(zip(series.axes.lower(), series.shape, strict=True))
    return int(size.get("x", 0)) * int(size.get("y", 0))


def _level_arrays(series: Any) -> list[Any]:
    """Arrays of the levels that have the form of the first, read by parts."""
    import zarr

    axes, dtype = series.axes, series.dtype
    chosen = [n for n, level in enumerate(series.levels) if level.axes == axes and level.dtype == dtype]
    return [zarr.open_array(series.aszarr(level=n), mode="r") for n in chosen]


def _require_small_parts(page: Any, path: Path, max_pixels: int | None) -> None:
    """Refuse a file that is one huge strip, unless the user has named a size."""
    if max_pixels is None:
        height, width = (page.tilelength, page.tilewidth) if page.is_tiled else (page.rowsperstrip, page.imagewidth)
        check_pixels(
            width, min(height, page.imagelength), MAX_PIXELS_PART, bytes_per_pixel=3, name=f"A part of {path.name}"
        )


def _guard(image: SlideImage, path: Path) -> None:
    read = image._read_box

    def guarded(y0: int, y1: int, x0: int, x1: int) -> np.ndarray:
        try:
            return read(y0, y1, x0, x1)
        except ImageError:
            raise
        except Exception as error:  # decoders raise errors of their own kinds
            raise damaged(path, error) from error

    image._read_box = guarded


def _require_rgb_tiff(page: Any, path: Path, *, allow_gray: bool) -> None:
    name = getattr(page.photometric, "name", str(page.photometric))
    gray = name in {"MINISBLACK", "MINISWHITE"} and page.samplesperpixel == 1 and page.ndim == 2
    require_color(path, gray=gray, allow_gray=allow_gray)
    decoded = name == "YCBCR" and getattr(page.compression, "name", "") in {
        "JPEG",
        "OJPEG",
        "JPEG_2000_LOSSY",
        "APERIO_JP2000_YCBC",
    }
    if name not in {"RGB", "MINISBLACK"} and not decoded:
        msg = f"The colors of {path.name} are stored as {name}"
        raise ImageError(msg, why="RGB is read", fix="save it as an RGB TIFF", code="BI-21")


def _tiff_mpp(tiff: Any, page: Any) -> float | None:
    if tiff.is_ome and tiff.ome_metadata:
        found = re.search(r'<Pixels\b[^>]*?\bPhysicalSizeX="([0-9.eE+-]+)"', tiff.ome_metadata)
        unit = re.search(r'<Pixels\b[^>]*?\bPhysicalSizeXUnit="([^"]+)"', tiff.ome_metadata)
        factor = _UNIT_UM.get(unit.group(1) if unit else "µm")
        if found and factor:
            return float(found.group(1)) * factor
    aperio = re.search(r"\|\s*MPP\s*=\s*([0-9.]+)", page.description or "")
    if aperio:
        return float(aperio.group(1))
    unit_tag, x_tag = page.tags.get("ResolutionUnit"), page.tags.get("XResolution")
    code = 2 if unit_tag is None else int(unit_tag.value)  # the format says inch where nothing is said
    if x_tag is None or code not in _TAG_UM or not all(x_tag.value):
        return None
    above, below = x_tag.value
    value = _TAG_UM[code] * below / above
    return value if STATED_BAND[0] <= value <= STATED_BAND[1] else None
