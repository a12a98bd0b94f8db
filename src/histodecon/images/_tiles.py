"""Squares around spots: where they lie, and a stream of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from histodecon._core import GeometryError, InputError
from histodecon.images._prefetch import read_ahead
from histodecon.images._slide_image import SlideImage

NATIVE_BYTES = 8 * 2**20
"""Tiles at the size of the image that are held before they are resampled."""

STRIP_BYTES = 256 * 2**20
"""Decoded chunks that a stream may hold; images that need more are walked in several strips."""


def tile_boxes(xy: ArrayLike, size_px: int) -> np.ndarray:
    """Find the upper-left pixels of tiles centered on spots.

    Parameters
    ----------
    xy
        Centers, shape (n, 2), x then y, in pixels of the image. Pixel ``i`` covers ``i`` to ``i + 1``, as in SpatialData.
    size_px
        Side of a tile.

    Returns
    -------
    int64 (n, 2), x then y: ``floor(xy - size_px / 2 + 1 / 2)``. The middle of a tile is within half a pixel of its spot; the
    central pixel of an odd-sized tile is the pixel that the spot lies in.

    Raises
    ------
    InputError
        ``size_px`` is not a whole number above 0.
    GeometryError
        ``xy`` has another shape or is not finite.

    Examples
    --------
    >>> import histodecon as hd
    >>> hd.images.tile_boxes([[100.0, 50.0]], 8).tolist()
    [[96, 46]]
    """
    if int(size_px) != size_px or size_px < 1:
        msg = f"A tile of {size_px} px cannot be cut"
        raise InputError(msg, fix="give a whole number of pixels above 0")
    centers = np.asarray(xy, dtype=np.float64)
    if centers.ndim != 2 or centers.shape[1] != 2 or not np.isfinite(centers).all():
        msg = "Centers of tiles must be finite and of shape (n, 2)"
        raise GeometryError(msg, where=f"shape {centers.shape}", code="BI-98")
    return np.floor(centers - size_px / 2 + 0.5).astype(np.int64)


def padding_fraction(xy: ArrayLike, size_px: int, width: int, height: int) -> np.ndarray:
    """Measure how much of each tile lies outside the image.

    Parameters
    ----------
    xy
        Centers, shape (n, 2), as in :func:`tile_boxes`.
    size_px
        Side of a tile.
    width, height
        Size of the image.

    Returns
    -------
    float64 (n,), fraction of the tile's area in [0, 1].
    """
    corner = tile_boxes(xy, size_px)
    inside = np.minimum(corner + size_px, [width, height]) - np.maximum(corner, 0)
    return 1.0 - np.clip(inside, 0, size_px).prod(axis=1) / float(size_px) ** 2


def iter_tiles(
    image: SlideImage,
    xy: ArrayLike,
    size_px: int,
    output_px: int,
    *,
    batch_size: int = 64,
    interpolation: Literal["bilinear", "bicubic"] = "bilinear",
    prefetch: bool = True,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Stream tiles in an order that decodes every chunk of the image once, or nearly.

    Parameters
    ----------
    image
        The image, from :func:`open_image`.
    xy
        Centers, shape (n, 2), as in :func:`tile_boxes`.
    size_px
        Side of a tile in the image.
    output_px
        Side of a tile handed out; one antialiased resample, none when equal to ``size_px``.
    batch_size
        Tiles in a batch.
    interpolation
        Kernel of the resample.
    prefetch
        Read the next batch in a thread of its own while the last one is worked on.

    Yields
    ------
    Rows of ``xy`` (int64, shape (b,)) and their tiles, uint8 (b, output_px, output_px, 3), in an order of the image, not of
    ``xy``; every row comes once. Tiles are padded white. Two batches, 8 MB of unresampled tiles and the image's own cache
    are in memory, never all tiles.

    Raises
    ------
    InputError
        A size is not a whole number above 0, or the interpolation is unknown.

    Notes
    -----
    Of a pyramid the coarsest level is read that need not be enlarged (:meth:`SlideImage.level_for`); a tile is then centered
    on its spot, and ``size_px`` is met, to half a pixel of that level, which is never coarser than the tile handed out.

    Examples
    --------
    >>> import numpy as np
    >>> import histodecon as hd
    >>> image = hd.images.open_image(np.full((40, 60, 3), 200, dtype=np.uint8))
    >>> for rows, tiles in hd.images.iter_tiles(image, [[20, 20], [30, 20]], 16, 8):
    ...     print(rows, tiles.shape)
    [0 1] (2, 8, 8, 3)
    """
    if interpolation not in {"bilinear", "bicubic"}:
        msg = f"Interpolation {interpolation!r} is unknown"
        raise InputError(msg, fix='use "bilinear" or "bicubic"')
    for name, value in (("output_px", output_px), ("batch_size", batch_size)):
        if int(value) != value or value < 1:
            msg = f"`{name}` must be a whole number above 0, not {value}"
            raise InputError(msg)
    level, corners, level_px = _on_level(image, xy, size_px, output_px)
    batches = _stream(level, corners, level_px, int(output_px), int(batch_size), interpolation)
    return read_ahead(batches) if prefetch else batches


def tile_order(image: SlideImage, xy: ArrayLike, size_px: int, output_px: int) -> np.ndarray:
    """Tell in which order :func:`iter_tiles` hands tiles out.

    Parameters
    ----------
    image, xy, size_px, output_px
        As there.

    Returns
    -------
    Permutation of the rows of ``xy``, int64 (n,). Some of the tiles, streamed by themselves, come in the same order.
    """
    level, corners, level_px = _on_level(image, xy, size_px, output_px)
    return reading_order(level, corners, level_px)


def _on_level(image: SlideImage, xy: ArrayLike, size_px: int, output_px: int) -> tuple[SlideImage, np.ndarray, int]:
    """Find the level of a pyramid to read, and the corners and the side of the tiles on it."""
    tile_boxes(xy, size_px)  # refuses now what the stream would refuse later
    level, factor = image.level_for(size_px / output_px)
    level_px = int(size_px) if level is image else max(1, round(size_px / factor))
    return level, tile_boxes(np.asarray(xy, dtype=np.float64) / factor, level_px), level_px


def _stream(
    image: SlideImage, corners: np.ndarray, size_px: int, output_px: int, batch_size: int, interpolation: str
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    order = reading_order(image, corners, size_px)
    held = max(1, min(batch_size, NATIVE_BYTES // (size_px * size_px * 3)))
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        tiles = np.empty((len(rows), output_px, output_px, 3), dtype=np.uint8)
        for a in range(0, len(rows), held):
            part = rows[a : a + held]
            same = size_px == output_px
            native = tiles[a : a + held] if same else np.empty((len(part), size_px, size_px, 3), dtype=np.uint8)
            for tile, (x, y) in zip(native, corners[part], strict=True):
                image.read_into(tile, x, y)
            if not same:
                tiles[a : a + held] = resample(native, output_px, interpolation)
        yield rows, tiles


def reading_order(image: SlideImage, corners: np.ndarray, size_px: int) -> np.ndarray:
    """Order tiles so that neighbors in the image are neighbors in the stream.

    Parameters
    ----------
    image
        The image.
    corners
        Upper-left pixels, shape (n, 2).
    size_px
        Side of a tile.

    Returns
    -------
    Permutation of the rows: strips of the image from left to right, so wide that the cache holds all rows of chunks a tile can
    touch; in a strip, rows of chunks from top to bottom; in these from left to right. One strip, every chunk decoded once,
    where this takes at most 256 MB; else only chunks at the border of a strip are decoded twice.
    """
    if image.chunk_edges is None:
        return np.lexsort((corners[:, 0], corners[:, 1]))
    (row, rows, height), (column, columns, width) = (
        _chunk_of(edges, corners[:, axis], size_px) for axis, edges in zip((1, 0), image.chunk_edges, strict=True)
    )
    tall = min(rows * height, image.height)
    if 3 * tall * image.width <= STRIP_BYTES:
        image.reserve(3 * tall * image.width)
        strip = np.zeros_like(column)
    else:
        image.reserve(STRIP_BYTES)
        strip = column // max(1, STRIP_BYTES // (3 * tall * width) - (columns - 1))
    return np.lexsort((corners[:, 0], corners[:, 1], column, row, strip))


def _chunk_of(edges: Sequence[int], start: np.ndarray, size_px: int) -> tuple[np.ndarray, int, int]:
    """Chunk in which each tile starts, chunks a tile can touch, and the length of the largest chunk."""
    largest = int(np.diff(edges).max())
    chunk = np.searchsorted(edges, np.maximum(start, 0), side="right") - 1
    return chunk, 1 + -(-size_px // largest), largest


def resample(tiles: np.ndarray, output_px: int, interpolation: str = "bilinear") -> np.ndarray:
    """Resample square tiles once, antialiased when they shrink.

    Parameters
    ----------
    tiles
        uint8 (b, size, size, 3).
    output_px
        Side afterwards.
    interpolation
        ``"bilinear"`` or ``"bicubic"``.

    Returns
    -------
    uint8 (b, output_px, output_px, 3).
    """
    import torch

    batch = torch.from_numpy(np.ascontiguousarray(tiles)).permute(0, 3, 1, 2)  # channels last: the fast uint8 kernel
    out = torch.nn.functional.interpolate(
        batch, size=(output_px, output_px), mode=interpolation, align_corners=False, antialias=True
    )
    return out.permute(0, 2, 3, 1).contiguous().numpy()
