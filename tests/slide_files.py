"""Slide files for tests: pyramids whose pixels tell their own x and y, in every form that scanners write."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

APERIO = "Aperio Image Library v11.2.1\r\n{w}x{h} [0,0 {w}x{h}] (128x128) JPEG/RGB Q=95|AppMag = 40|MPP = {mpp}"
BLUE = 128


def ramp(width: int = 250, height: int = 240) -> np.ndarray:
    """Red is x and green is y of the pixel, so that the mean of a tile is its middle minus half a pixel."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x, y, np.full_like(x, BLUE)], axis=2).astype(np.uint8)


def halved(pixels: np.ndarray) -> np.ndarray:
    """The next level: means of 2 × 2 pixels, sizes rounded down."""
    h, w = pixels.shape[0] // 2, pixels.shape[1] // 2
    blocks = pixels[: 2 * h, : 2 * w].astype(float).reshape(h, 2, w, 2, 3)
    return np.floor(blocks.mean(axis=(1, 3)) + 0.5).astype(np.uint8)


def pyramid(pixels: np.ndarray, n: int = 3) -> list[np.ndarray]:
    levels = [pixels]
    while len(levels) < n:
        levels.append(halved(levels[-1]))
    return levels


def generic_tiff(path: Path, pixels: np.ndarray, *, mpp: float | None = 0.5, tile: int = 64, **kwargs: Any) -> Path:
    """Levels as pages, as vips writes them."""
    stated = {} if mpp is None else {"resolution": (1e4 / mpp, 1e4 / mpp), "resolutionunit": "CENTIMETER"}
    with tifffile.TiffWriter(path) as tiff:
        for n, level in enumerate(pyramid(pixels)):
            tiff.write(
                level, photometric="rgb", tile=(tile, tile), subfiletype=int(n > 0), metadata=None, **stated, **kwargs
            )
    return path


def ome_tiff(path: Path, pixels: np.ndarray, *, mpp: float = 0.5, unit: str = "µm") -> Path:
    """Levels as sub-images, as OME-TIFF and BTF of Bio-Formats have them."""
    size = {"µm": mpp, "nm": mpp * 1e3, "mm": mpp * 1e-3}[unit]
    metadata = {
        "axes": "YXS",
        "PhysicalSizeX": size,
        "PhysicalSizeXUnit": unit,
        "PhysicalSizeY": size,
        "PhysicalSizeYUnit": unit,
    }
    first, *rest = pyramid(pixels)
    with tifffile.TiffWriter(path, ome=True, bigtiff=True) as tiff:
        tiff.write(first, photometric="rgb", tile=(64, 64), compression="zlib", subifds=len(rest), metadata=metadata)
        for level in rest:
            tiff.write(level, photometric="rgb", tile=(64, 64), compression="zlib", subfiletype=1)
    return path


def aperio_svs(path: Path, pixels: np.ndarray, *, mpp: float = 0.5, label: np.ndarray | None = None) -> Path:
    """An SVS as Aperio writes it: image, thumbnail, smaller levels, label, macro."""
    first, *rest = pyramid(pixels)
    jpeg = {"compression": "jpeg", "compressionargs": {"level": 100}, "metadata": None, "photometric": "rgb"}
    jpeg |= {"subsampling": (1, 1)}
    words = APERIO.format(w=pixels.shape[1], h=pixels.shape[0], mpp=mpp)
    label = np.full((60, 50, 3), 7, dtype=np.uint8) if label is None else label
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(first, tile=(64, 64), description=words, **jpeg)
        tiff.write(rest[-1], rowsperstrip=16, description="Aperio Image Library v11.2.1\r\n250x240 -> 62x60 - ", **jpeg)
        for level in rest:
            tiff.write(level, tile=(64, 64), description=words, **jpeg)
        strips = {"photometric": "rgb", "rowsperstrip": 16, "metadata": None}
        tiff.write(label, description="Aperio Image Library v11.2.1\r\nlabel 50x60", subfiletype=1, **strips)
        tiff.write(label, description="Aperio Image Library v11.2.1\r\nmacro 50x60", subfiletype=9, **strips)
    return path


WRITERS: dict[str, tuple[str, Callable[..., Path]]] = {
    "pages": ("slide.tif", generic_tiff),
    "OME": ("slide.ome.tif", ome_tiff),
    "BTF": ("slide.btf", ome_tiff),
    "SVS": ("slide.svs", aperio_svs),
}
