"""The levels of a pyramid, and chunks of all of them that are kept decoded."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from histodecon._core import InputError

if TYPE_CHECKING:
    from histodecon.images._slide_image import SlideImage

EQUAL_FACTORS = 0.02
"""A level whose width and height shrink by factors that differ by more is no level of the same picture."""


class ChunkCache:
    """Decoded chunks, the oldest dropped first; one for all levels of an image; may be used from several threads.

    Parameters
    ----------
    limit
        Bytes that are kept; at least four chunks are, whatever their size.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._blocks: OrderedDict[Hashable, np.ndarray] = OrderedDict()
        self._bytes = 0
        self._lock = threading.RLock()

    def get(self, key: Hashable, decode: Callable[[], np.ndarray]) -> np.ndarray:
        """Return a chunk, decoded when it is not held.

        Parameters
        ----------
        key
            Name of the chunk.
        decode
            Function that makes it.

        Returns
        -------
        The chunk, not to be changed.
        """
        with self._lock:
            if key in self._blocks:
                self._blocks.move_to_end(key)
                return self._blocks[key]
            block = self._blocks[key] = decode()
            self._bytes += block.nbytes
            while self._bytes > self.limit and len(self._blocks) > 4:
                _, old = self._blocks.popitem(last=False)
                self._bytes -= old.nbytes
            return block

    @property
    def held_bytes(self) -> int:
        """Memory of the chunks that are held."""
        return sum(block.nbytes for block in self._blocks.values())

    def clear(self) -> None:
        """Forget all chunks."""
        with self._lock:
            self._blocks.clear()
            self._bytes = 0


def shrink_factor(full: SlideImage, level: SlideImage) -> float | None:
    """Find how many pixels of an image make one pixel of a level, along each axis.

    Parameters
    ----------
    full
        The image.
    level
        A smaller picture of it.

    Returns
    -------
    The factor, a whole number where sizes that were rounded down or up allow it; None when the level is not smaller or is
    another picture.
    """
    factors = full.width / level.width, full.height / level.height
    middle = (factors[0] * factors[1]) ** 0.5
    if middle <= 1:
        return None
    whole = round(middle)
    rounded = [
        abs(n - m * whole) < whole for n, m in ((full.width, level.width), (full.height, level.height))
    ]  # 101 px make 50 or 51
    if whole > 1 and all(rounded):
        return float(whole)
    return middle if abs(factors[0] / factors[1] - 1) <= EQUAL_FACTORS else None


def ordered_levels(full: SlideImage, levels: Sequence[SlideImage]) -> tuple[tuple[float, SlideImage], ...]:
    """Sort the smaller levels of an image, and leave out what is none.

    Parameters
    ----------
    full
        The image.
    levels
        Smaller pictures.

    Returns
    -------
    Factors and levels, the largest first.
    """
    found = [(shrink_factor(full, level), level) for level in levels]
    return tuple(sorted(((f, level) for f, level in found if f is not None), key=lambda pair: pair[0]))


def read_levels(image: SlideImage, shrink: float) -> Iterator[tuple[float, SlideImage]]:
    """Name the levels that can be shrunk to a size, never enlarged, the coarsest last.

    Parameters
    ----------
    image
        The image.
    shrink
        Pixels of the image for one pixel that is wanted.

    Yields
    ------
    Factor and level, beginning with the image itself.

    Raises
    ------
    InputError
        ``shrink`` is not above 0.
    """
    if not shrink > 0:
        msg = f"An image cannot be shrunk by {shrink}"
        raise InputError(msg, fix="give a number above 0")
    yield 1.0, image
    for factor, level in image.levels:
        if factor <= shrink:
            yield factor, level
