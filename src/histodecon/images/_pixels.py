"""Pixel values of any depth to uint8 RGB."""

from __future__ import annotations

from typing import Any

import numpy as np

from histodecon._core import ImageError

WHITE = 255


def full_value(sample: np.ndarray, *, bits: int | None = None, max_value: float | None = None) -> float:
    """Find the pixel value that means full light.

    Parameters
    ----------
    sample
        Pixels of the image.
    bits
        Significant bits where the file states them.
    max_value
        The value itself where the user states it.

    Returns
    -------
    255 for uint8; else ``max_value``, 2**bits - 1, 65535 for uint16, and 1 or 255 for floats by their range.

    Raises
    ------
    ImageError
        The range cannot be told.
    """
    kind, dtype = sample.dtype.kind, sample.dtype
    if max_value is not None:
        return float(max_value)
    if dtype == np.uint8:
        return 255.0
    low, high = (float(sample.min()), float(sample.max())) if sample.size else (0.0, 0.0)
    fault = ""
    if dtype == np.uint16:
        full = float(2**bits - 1) if bits else 65535.0
        if high >= full / 16:
            return full
        fault = f"no pixel looked at is brighter than {high:.6g} of {full:.0f}"
    elif kind == "f" and np.isfinite(low) and np.isfinite(high):
        if low >= 0 and high <= 1:
            return 1.0
        if low >= 0 and 2 < high <= 255:
            return 255.0
        fault = f"values from {low:.6g} to {high:.6g} fit neither 0-1 nor 0-255"
    elif kind == "f":
        fault = "some values are not finite"
    else:
        fault = f"the range of {dtype} pixels is not known (values from {low:.6g} to {high:.6g})"
    msg = "It cannot be told which pixel value is white"
    raise ImageError(
        msg,
        where=f"dtype {dtype}: {fault}",
        why="a wrong range turns tissue black or white",
        fix="state it: `images.open_image(image, max_value=...)`, or convert the image to uint8",
        code="BI-19" if dtype == np.uint16 else "BI-23",
    )


def to_uint8(values: np.ndarray, full: float) -> np.ndarray:
    """Scale pixel values to 0 … 255 without clipping.

    Parameters
    ----------
    values
        Any real dtype.
    full
        The value that becomes 255.

    Returns
    -------
    uint8, same shape, rounded.

    Raises
    ------
    ImageError
        Some values lie outside 0 … ``full`` by more than 0.5 %.
    """
    if values.dtype == np.uint8 and full == 255:
        return values
    if values.size == 0:
        return values.astype(np.uint8)
    low, high = float(values.min()), float(values.max())
    if not (low >= -0.005 * full and high <= 1.005 * full):
        msg = "Some pixels lie outside the range of the image"
        where = f"values from {low:.6g} to {high:.6g}, the range is 0 to {full:.6g}"
        fix = "state the value of white: `images.open_image(image, max_value=...)`, or convert the image to uint8"
        raise ImageError(msg, where=where, fix=fix, code="BI-23")
    if values.dtype == np.uint16 and full == 65535:
        return ((values.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
    return np.clip(np.rint(values.astype(np.float32) * np.float32(255 / full)), 0, 255).astype(np.uint8)


def on_white(pixels: np.ndarray, *, premultiplied: bool = False) -> np.ndarray:
    """Make RGB of uint8 grey, RGB or RGBA; what is transparent becomes white.

    Parameters
    ----------
    pixels
        uint8 (height, width), or with 1, 3 or 4 channels.
    premultiplied
        The colors are multiplied by alpha already.

    Returns
    -------
    uint8 (height, width, 3).
    """
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.shape[2] == 1:
        return np.repeat(pixels, 3, axis=2)
    if pixels.shape[2] == 3:
        return pixels
    alpha: Any = pixels[:, :, 3:].astype(np.uint16)
    if alpha.size == 0 or alpha.min() == WHITE:
        return np.ascontiguousarray(pixels[:, :, :3])
    color = pixels[:, :, :3].astype(np.uint16)
    light = color * WHITE if premultiplied else color * alpha
    return np.minimum((light + (WHITE - alpha) * WHITE + 127) // WHITE, WHITE).astype(np.uint8)
