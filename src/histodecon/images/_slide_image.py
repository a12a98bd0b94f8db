"""One face for every kind of image."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

import numpy as np

from histodecon._core import InputError, digest
from histodecon.images._levels import ChunkCache, ordered_levels, read_levels
from histodecon.images._pixels import WHITE

CACHE_BYTES = 64 * 2**20
"""Decoded chunks that are kept, unless a stream of tiles needs more; at least four are, whatever their size."""

MIN_CHUNK_PX = 512
"""Smaller storage chunks are read several at a time."""

THUMBNAIL_OVERSAMPLING = 4
"""A small picture is averaged from a level with at least so many pixels a side for each of its own."""

DIGEST_WHOLE_PX = 4_000_000
DIGEST_GRID, DIGEST_PATCH_PX = 16, 64


class SlideImage:
    """An H&E image that is read by boxes: uint8, RGB, white outside its borders.

    Made by :func:`histodecon.images.open_image`. A pixel with index ``i`` covers ``i`` to ``i + 1``, as in SpatialData.

    Parameters
    ----------
    read_box
        Function of ``y0, y1, x0, x1``, a box inside the image, that returns uint8 (y1 - y0, x1 - x0, 3).
    width, height
        Size in pixels.
    chunks
        Borders of the storage chunks along y and along x, when a chunk is decoded as a whole; None for pixels in memory.
    mpp
        µm per pixel where the file states it in a way that can be trusted.
    source
        What the image was made of, in words.
    white
        Stored value that became 255.
    close
        Function that releases the file.
    """

    def __init__(
        self,
        read_box: Callable[[int, int, int, int], np.ndarray],
        width: int,
        height: int,
        *,
        chunks: tuple[Sequence[int], Sequence[int]] | None = None,
        mpp: float | None = None,
        source: str = "",
        white: float = 255.0,
        close: Callable[[], Any] | None = None,
    ) -> None:
        self.width, self.height = int(width), int(height)
        self.mpp = mpp
        self.source = source
        self.chunk_edges = None if chunks is None else (_coarser(chunks[0]), _coarser(chunks[1]))
        self._read_box = read_box
        self._close = close
        self._cache = ChunkCache(CACHE_BYTES)
        self._digest: str | None = None
        self.white = white
        self.levels: tuple[tuple[float, SlideImage], ...] = ()

    def __repr__(self) -> str:
        levels = f", {len(self.levels) + 1} levels" if self.levels else ""
        return f"SlideImage({self.width} × {self.height} px, {self.source}{levels})"

    def __enter__(self) -> SlideImage:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the file and what was decoded."""
        self._cache.clear()
        if self._close is not None:
            self._close()
            self._close = None

    def read(self, x0: int, y0: int, width: int, height: int) -> np.ndarray:
        """Cut a box.

        Parameters
        ----------
        x0, y0
            Upper-left pixel; may lie outside the image.
        width, height
            Size of the box.

        Returns
        -------
        uint8 (height, width, 3), an array of its own; white where the box leaves the image.
        """
        out = np.empty((height, width, 3), dtype=np.uint8)
        self.read_into(out, x0, y0)
        return out

    def read_into(self, out: np.ndarray, x0: int, y0: int) -> None:
        """Cut a box of the size of an array into that array.

        Parameters
        ----------
        out
            uint8 (height, width, 3); filled.
        x0, y0
            Upper-left pixel; may lie outside the image.
        """
        x0, y0 = int(x0), int(y0)
        height, width = out.shape[:2]
        xa, xb = max(x0, 0), min(x0 + width, self.width)
        ya, yb = max(y0, 0), min(y0 + height, self.height)
        if xb - xa < width or yb - ya < height:
            out[:] = WHITE
        if xa >= xb or ya >= yb:
            return
        inside = out[ya - y0 : yb - y0, xa - x0 : xb - x0]
        if self.chunk_edges is None:
            inside[:] = self._read_box(ya, yb, xa, xb)
            return
        for row, cy0, cy1 in _overlapping(self.chunk_edges[0], ya, yb):
            for column, cx0, cx1 in _overlapping(self.chunk_edges[1], xa, xb):
                a, b, c, d = max(ya, cy0), min(yb, cy1), max(xa, cx0), min(xb, cx1)
                block = self._chunk(row, column)[a - cy0 : b - cy0, c - cx0 : d - cx0]
                inside[a - ya : b - ya, c - xa : d - xa] = block

    def reserve(self, n_bytes: int) -> None:
        """Set how much decoded image is kept, at least 64 MB; the levels of a pyramid share it.

        Parameters
        ----------
        n_bytes
            Memory.
        """
        self._cache.limit = max(CACHE_BYTES, int(n_bytes))

    def set_levels(self, levels: Sequence[SlideImage]) -> None:
        """Add the smaller levels of a pyramid, from which smaller tiles and pictures are then made.

        Parameters
        ----------
        levels
            The same picture at smaller sizes; what is no smaller picture of it is left out. They share one cache.
        """
        self.levels = ordered_levels(self, levels)
        for _, level in self.levels:
            level._cache = self._cache

    def level_for(self, shrink: float) -> tuple[SlideImage, float]:
        """Choose the level of the pyramid from which a smaller picture is made.

        Parameters
        ----------
        shrink
            Pixels of the image for one pixel that is wanted.

        Returns
        -------
        The coarsest level that need not be enlarged, and how many pixels of the image make one of its pixels; the image itself
        and 1 when there is no pyramid.
        """
        *_, (factor, level) = read_levels(self, shrink)
        return level, factor

    def thumbnail(self, longest: int) -> tuple[np.ndarray, float]:
        """Make a small picture by averaging squares of whole pixels.

        Parameters
        ----------
        longest
            Longest side of the picture, at most.

        Returns
        -------
        uint8 (height, width, 3), and its scale: picture pixel = image pixel × scale. A level of the pyramid is read that is
        at least four times as large, where there is one.
        """
        if longest < 1:
            msg = f"A picture of {longest} px cannot be made"
            raise InputError(msg, fix="ask for at least 1 px")
        shrink = max(self.width, self.height) / longest
        level, factor = self.level_for(max(shrink, 1) / THUMBNAIL_OVERSAMPLING)
        if level is not self:
            picture, scale = level.thumbnail(longest)
            return picture, scale / factor
        k = -(-max(self.width, self.height) // longest)
        columns, rows = -(-self.width // k), -(-self.height // k)
        picture = np.empty((rows, columns, 3), dtype=np.uint8)
        step = max(1, MIN_CHUNK_PX // k)
        wide = max(1, self._strip_px() // k)  # so wide that a chunk is decoded once
        for column in range(0, columns, wide):
            m = min(wide, columns - column)
            for row in range(0, rows, step):
                n = min(step, rows - row)
                band = self.read(column * k, row * k, m * k, n * k).reshape(n, k, m * k * 3)
                lines = band.sum(axis=1, dtype=np.uint32).reshape(n, m, k, 3)
                means = (lines.sum(axis=2, dtype=np.uint32) + k * k // 2) // (k * k)
                picture[row : row + n, column : column + m] = means
        return picture, 1.0 / k

    def _strip_px(self) -> int:
        if self.chunk_edges is None:
            return self.width
        tallest = int(np.diff(self.chunk_edges[0]).max())
        return CACHE_BYTES // (2 * 3 * tallest)

    def digest(self) -> str:
        """Hash the content.

        Returns
        -------
        64 hexadecimal digits over the size and the RGB pixels: all of them up to 4 megapixels, beyond that 16 × 16 patches
        of 64 px spread evenly. The same pixels give the same digest from any container; a change between the patches of
        a large image is not seen.
        """
        if self._digest is None:
            parts: list[object] = [self.width, self.height]
            if self.width * self.height <= DIGEST_WHOLE_PX:
                parts.append(self.read(0, 0, self.width, self.height))
            else:
                size_x, size_y = min(DIGEST_PATCH_PX, self.width), min(DIGEST_PATCH_PX, self.height)
                columns = np.linspace(0, self.width - size_x, DIGEST_GRID).astype(int)
                rows = np.linspace(0, self.height - size_y, DIGEST_GRID).astype(int)
                parts += [self.read(x, y, size_x, size_y) for y in rows for x in columns]
            self._digest = digest(*parts)
        return self._digest

    def _chunk(self, row: int, column: int) -> np.ndarray:
        if self.chunk_edges is None:
            msg = "pixels in memory have no chunks"
            raise RuntimeError(msg)
        rows, columns = self.chunk_edges

        def decode() -> np.ndarray:
            return self._read_box(rows[row], rows[row + 1], columns[column], columns[column + 1])

        return self._cache.get((id(self), row, column), decode)


def _coarser(edges: Sequence[int]) -> list[int]:
    kept = [int(edges[0])]
    for edge in edges[1:-1]:
        if edge - kept[-1] >= MIN_CHUNK_PX:
            kept.append(int(edge))
    return [*kept, int(edges[-1])]


def _overlapping(edges: Sequence[int], start: int, stop: int) -> list[tuple[int, int, int]]:
    first = bisect_right(edges, start) - 1
    last = bisect_left(edges, stop)
    return [(i, edges[i], edges[i + 1]) for i in range(first, last)]
