"""Pixels of an image file, left on disk where it is stored in chunks."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from histodecon.images import open_image

if TYPE_CHECKING:
    from histodecon.images import SlideImage

CHUNK_PX = 1024
WIDEST_PX = 4096


class LazyPixels:
    """An array face on an image that is opened at the first reading, and anew in every process.

    Parameters
    ----------
    source
        What :func:`histodecon.images.open_image` opens.
    width, height
        Its size.
    level
        Which level of a pyramid is read; 0 is the image itself.
    """

    dtype = np.dtype(np.uint8)
    ndim = 3

    def __init__(self, source: Any, width: int, height: int, *, level: int = 0) -> None:
        self.source = source
        self.level = level
        self.shape = (height, width, 3)
        self._image: SlideImage | None = None
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {"source": self.source, "shape": self.shape, "level": self.level}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _image=None, _lock=threading.Lock())

    def __getitem__(self, index: tuple[slice, slice, slice]) -> np.ndarray:
        rows, columns, colors = index
        y0, y1, _ = rows.indices(self.shape[0])
        x0, x1, _ = columns.indices(self.shape[1])
        with self._lock:
            if self._image is None:
                self._image = open_image(self.source)
            image = self._image if self.level == 0 else self._image.levels[self.level - 1][1]
            return image.read(x0, y0, x1 - x0, y1 - y0)[:, :, colors]


def pixels_of(source: Any, image: SlideImage) -> Any:
    """Return the pixels of an image, lazily where it is stored in chunks.

    Parameters
    ----------
    source
        What the image was opened from.
    image
        The opened image.

    Returns
    -------
    uint8 (height, width, 3): a dask array when the image is stored in chunks, else a numpy array.
    """
    if image.chunk_edges is None:
        return image.read(0, 0, image.width, image.height)
    return _lazily(source, image, 0)


def levels_of(source: Any, image: SlideImage) -> list[Any]:
    """Return the pixels of all levels of an image, as :func:`pixels_of` does.

    Parameters
    ----------
    source
        What the image was opened from.
    image
        The opened image.

    Returns
    -------
    uint8 (height, width, 3) for each level, the largest first.
    """
    smaller = [_lazily(source, level, n) for n, (_, level) in enumerate(image.levels, start=1)]
    return [pixels_of(source, image), *smaller]


def _lazily(source: Any, image: SlideImage, level: int) -> Any:
    import dask.array as da

    edges = image.chunk_edges or ([0, image.height], [0, image.width])
    chunks = tuple(_chunks(axis) for axis in edges)
    lazy = LazyPixels(source, image.width, image.height, level=level)
    return da.from_array(lazy, chunks=(*chunks, (3,)), name=False, meta=np.empty((0, 0, 0), np.uint8))


def _chunks(edges: list[int]) -> tuple[int, ...]:
    sizes = np.diff(edges)
    if sizes.max() > WIDEST_PX:  # strips as wide as the image
        sizes = np.diff([*range(0, edges[-1], CHUNK_PX), edges[-1]])
    return tuple(int(size) for size in sizes)
