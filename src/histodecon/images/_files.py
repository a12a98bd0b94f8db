"""Images that are files: what kind they are, and JPEG and PNG through Pillow."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from histodecon._core import FallbackWarning, ImageError
from histodecon.images._pixels import full_value, on_white, to_uint8
from histodecon.images._slide_image import SlideImage

MAX_PIXELS_WHOLE = 300_000_000
"""Largest JPEG or PNG: these are decoded as a whole, 4 bytes a pixel."""

_BAND_PX = 16_000_000
ORIENTATION = 274
_MAGIC = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
    (b"II+\x00", "tiff"),
    (b"MM\x00+", "tiff"),
)


def sniff(path: Path) -> str:
    """Tell the kind of an image file by its first bytes.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    ``"jpeg"``, ``"png"`` or ``"tiff"``.

    Raises
    ------
    ImageError
        The file is absent, empty, a Git LFS pointer, a web page, or of another kind.
    """
    if not path.is_file():
        what = "a folder" if path.is_dir() else "absent"
        msg = f"The image file {path.name} is {what}"
        fix = (
            "give the path of a JPEG, PNG or TIFF; open a zarr with `zarr.open(path)` or `spatialdata.read_zarr(path)`"
        )
        raise ImageError(msg, where=str(path), fix=fix, code="BI-29")
    size = path.stat().st_size
    with path.open("rb") as handle:
        head = handle.read(512)
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    text = head.lstrip().lower()
    found, fix = "of a kind that is not read here", "save it as TIFF, PNG or JPEG"
    if size == 0:
        found, fix = "empty", "fetch it again"
    elif text.startswith(b"version https://git-lfs"):
        found, fix = "a Git LFS pointer, not the image", "`git lfs pull`"
    elif text.startswith((b"<!doctype", b"<html", b"<?xml")):
        found, fix = "a web page, not an image", "fetch it again; the address may want a login"
    msg = f"The image file {path.name} is {found}"
    raise ImageError(msg, where=f"{path}, {size} bytes", fix=fix, code="BI-29")


def check_pixels(width: int, height: int, limit: int, *, bytes_per_pixel: int, name: str) -> None:
    """Refuse an image that would take too much memory, before a pixel is decoded.

    Parameters
    ----------
    width, height
        Size the header states.
    limit
        Most pixels.
    bytes_per_pixel
        Memory a pixel takes.
    name
        Name of the file.

    Raises
    ------
    ImageError
        The image is larger.
    """
    if width * height > limit:
        msg = f"{name} states {width} × {height} px, more than the limit of {limit}"
        raise ImageError(
            msg,
            where=f"decoding would take {width * height * bytes_per_pixel / 2**30:.1f} GB",
            why="a small damaged file can state any size",
            fix=f"if it is right, open it with `images.open_image(path, max_pixels={width * height})`",
            code="BI-28",
        )


def open_pillow(
    path: Path,
    kind: str,
    *,
    max_pixels: int | None,
    max_value: float | None,
    allow_gray: bool,
    exif: str = "refuse",
    strict_color: bool = False,
) -> SlideImage:
    """Open a JPEG or PNG.

    Parameters
    ----------
    path
        The file.
    kind
        ``"jpeg"`` or ``"png"``.
    max_pixels
        Largest image.
    max_value
        Value of white.
    allow_gray
        Accept one channel.
    exif
        ``"refuse"``, ``"ignore"`` or ``"apply"``.
    strict_color
        Refuse CMYK.

    Returns
    -------
    The image; pixels are decoded at the first reading and kept. Its ``mpp`` is None: the dpi of these files is never believed.
    """
    from PIL import ImageFile, JpegImagePlugin, PngImagePlugin

    if ImageFile.LOAD_TRUNCATED_IMAGES:
        msg = "Pillow has been told to accept truncated images"
        why = "the missing part of an image would become grey without a word"
        raise ImageError(msg, why=why, fix="`PIL.ImageFile.LOAD_TRUNCATED_IMAGES = False`", code="BI-26")
    factory = JpegImagePlugin.JpegImageFile if kind == "jpeg" else PngImagePlugin.PngImageFile
    try:
        picture = factory(str(path))  # Image.open would check its own global limit
    except (OSError, SyntaxError, ValueError) as error:
        raise damaged(path, error) from error
    try:
        width, height = picture.size
        limit = MAX_PIXELS_WHOLE if max_pixels is None else max_pixels
        check_pixels(width, height, limit, bytes_per_pixel=4, name=path.name)
        if exif == "refuse" and (kind == "jpeg" or "exif" in picture.info):  # looking in a PNG would decode the whole
            require_upright(picture.getexif().get(ORIENTATION, 1), path)
        mode = picture.mode
        gray = mode in {"1", "L", "LA", "La", "I", "F"} or mode.startswith("I;")
        require_color(path, gray=gray, allow_gray=allow_gray)
        if mode == "CMYK":
            _tell_cmyk(path, strict=strict_color)
    except BaseException:
        picture.close()
        raise
    return _pillow_image(picture if exif != "apply" else _turned(picture, path), path, max_value)


def _turned(picture: Any, path: Path) -> Any:
    from PIL import ImageOps

    try:
        return ImageOps.exif_transpose(picture)
    except (OSError, SyntaxError, ValueError) as error:
        picture.close()
        raise damaged(path, error) from error


def _tell_cmyk(path: Path, *, strict: bool) -> None:
    what, fix = f"{path.name} is CMYK", "save it as RGB with the color profile it was made with"
    if strict:
        raise ImageError(what, why="converted without a color profile, colors may shift", fix=fix, code="BI-21")
    text = f"[HD-BI-21] {what} and is converted to RGB without a color profile: colors may shift. To be sure, {fix}."
    warnings.warn(text, FallbackWarning, stacklevel=5)


def _pillow_image(picture: Any, path: Path, max_value: float | None) -> SlideImage:
    full: dict[str, float] = {}

    def read(y0: int, y1: int, x0: int, x1: int) -> np.ndarray:
        if "value" not in full:
            try:
                picture.load()
            except (OSError, SyntaxError, ValueError) as error:
                raise damaged(path, error) from error
            deep = picture.mode in {"I", "F"} or picture.mode.startswith("I;")
            sample = np.asarray(picture) if deep else np.zeros(0, np.uint8)
            full["value"] = full_value(sample.astype(np.uint16) if picture.mode == "I" else sample, max_value=max_value)
        step = max(1, _BAND_PX // (x1 - x0))
        bands = [(y, min(y + step, y1)) for y in range(y0, y1, step)]
        if len(bands) == 1:
            return _rgb(picture.crop((x0, y0, x1, y1)), full["value"])
        out = np.empty((y1 - y0, x1 - x0, 3), dtype=np.uint8)
        for a, b in bands:
            out[a - y0 : b - y0] = _rgb(picture.crop((x0, a, x1, b)), full["value"])
        return out

    return SlideImage(read, *picture.size, source=f"{picture.format} file, {picture.mode}", close=picture.close)


def _rgb(picture: Any, full: float) -> np.ndarray:
    if picture.mode in {"L", "RGB", "RGBA"}:
        return on_white(np.asarray(picture))
    if picture.mode in {"I", "F"} or picture.mode.startswith("I;"):
        return on_white(to_uint8(np.asarray(picture), full))
    clear = picture.mode in {"LA", "La", "PA", "RGBa"} or "transparency" in picture.info
    return on_white(np.asarray(picture.convert("RGBA" if clear else "RGB")))


def require_upright(orientation: int, path: Path) -> None:
    """Refuse a picture that asks to be turned.

    Parameters
    ----------
    orientation
        EXIF or TIFF orientation; 1 is upright.
    path
        The file.

    Raises
    ------
    ImageError
        It is not 1.
    """
    if orientation != 1:
        msg = f"{path.name} asks to be turned when shown (EXIF orientation {orientation})"
        raise ImageError(
            msg,
            why="programs disagree on it, so the coordinates may belong to the turned or to the stored picture",
            fix='`images.open_image(path, exif="ignore")` if the coordinates were made on the stored pixels, or `exif="apply"` if '
            "on the turned picture (JPEG and PNG; save a TIFF upright)",
            code="BI-25",
        )


def require_color(path: Path, *, gray: bool, allow_gray: bool) -> None:
    """Refuse a grey picture.

    Parameters
    ----------
    path
        The file.
    gray
        It has one channel.
    allow_gray
        Accept it.

    Raises
    ------
    ImageError
        It is grey and that is not accepted.
    """
    if gray and not allow_gray:
        msg = f"{path.name} is grey"
        raise ImageError(
            msg,
            why="hematoxylin and eosin are told apart by color",
            fix="use the color image, or open it with `images.open_image(path, allow_gray=True)`",
            code="BI-22",
        )


def damaged(path: Path, error: Exception) -> ImageError:
    """Make the error of a file that cannot be decoded.

    Parameters
    ----------
    path
        The file.
    error
        What the decoder says.

    Returns
    -------
    The error, to be raised.
    """
    msg = f"{path.name} is damaged or cut short, or is stored in a way that cannot be decoded"
    first = (str(error).splitlines() or [""])[0]
    where = f"{path}, {path.stat().st_size} bytes: {type(error).__name__}: {first}"
    return ImageError(msg, where=where, fix="fetch or export it again", code="BI-26")
