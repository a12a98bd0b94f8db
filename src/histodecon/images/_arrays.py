"""Images that are arrays: numpy, dask, zarr, xarray and the image elements of SpatialData."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from histodecon._core import ImageError
from histodecon.images._dask_blocks import computed
from histodecon.images._layout import Layout, color_order, layout_of
from histodecon.images._pixels import full_value, on_white, to_uint8
from histodecon.images._slide_image import SlideImage

SAMPLE_PX = 64


def from_array(
    array: Any,
    *,
    dims: Sequence[str] | None = None,
    max_value: float | None = None,
    bits: int | None = None,
    premultiplied: bool = False,
    allow_gray: bool = False,
    mpp: float | None = None,
    source: str = "",
    close: Callable[[], Any] | None = None,
) -> SlideImage:
    """Put the face of a slide image on an array.

    Parameters
    ----------
    array
        numpy, dask, zarr or xarray; anything with ``shape``, ``dtype`` and slicing.
    dims
        Names of its axes where known.
    max_value
        Value of white.
    bits
        Significant bits of a pixel.
    premultiplied
        Colors are multiplied by alpha.
    allow_gray
        Accept one channel.
    mpp
        µm per pixel.
    source
        What it is, in words.
    close
        Function that releases it.

    Returns
    -------
    The image.
    """
    order: list[int] | None = None
    if hasattr(array, "dims"):
        dims = dims or tuple(str(name) for name in array.dims)
        if "c" in array.dims and "c" in getattr(array, "coords", {}):
            order = color_order(np.asarray(array.coords["c"].values).tolist())
        array = array.data
    layout = layout_of(array.shape, dims)
    height, width = int(array.shape[layout.y]), int(array.shape[layout.x])
    channels = 1 if layout.color is None else int(array.shape[layout.color])
    _check(width, height, channels, allow_gray=allow_gray)
    if order == list(range(channels)):
        order = None

    def raw(y0: int, y1: int, x0: int, x1: int) -> np.ndarray:
        box = layout.index(y0, y1, x0, x1)
        cut = computed(array, box) if hasattr(array, "compute") else array[box]
        values = np.asarray(cut).transpose(layout.order)
        return values if order is None else values[:, :, order]

    if max_value is None:
        max_value = 255.0 if array.dtype == np.uint8 else _full_value(raw, array, layout, bits)
    full = float(max_value)

    def read(y0: int, y1: int, x0: int, x1: int) -> np.ndarray:
        return _interleaved(on_white(to_uint8(raw(y0, y1, x0, x1), full), premultiplied=premultiplied))

    return SlideImage(
        read,
        width,
        height,
        chunks=_chunk_edges(array, layout),
        white=full,
        mpp=mpp,
        source=source or f"{type(array).__module__.partition('.')[0]} array, {array.dtype}",
        close=close,
    )


def _interleaved(pixels: np.ndarray) -> np.ndarray:
    """Lay the colors of a pixel beside each other: tiles are then cut 40 times faster than from planes of color."""
    if pixels.strides[2] == 1:
        return pixels
    out = np.empty(pixels.shape, dtype=pixels.dtype)
    for channel in range(pixels.shape[2]):
        out[:, :, channel] = pixels[:, :, channel]
    return out


def from_levels(arrays: Sequence[Any], *, dims: Sequence[str] | None = None, **kwargs: Any) -> SlideImage:
    """Put the face of a slide image on the levels of a pyramid.

    Parameters
    ----------
    arrays
        The same picture at several sizes, the largest first; one is enough.
    dims
        Names of their axes where known.
    **kwargs
        As in :func:`from_array`.

    Returns
    -------
    The image. All levels are read by the range of pixel values that the largest has.
    """
    first = from_array(arrays[0], dims=dims, **kwargs)
    own = {"mpp", "close", "source"}
    shared = {key: value for key, value in kwargs.items() if key not in own} | {"max_value": first.white}
    first.set_levels([from_array(array, dims=dims, **shared) for array in arrays[1:]])
    return first


def planes_of(tree: Any) -> list[Any]:
    """Return the images of a multi-scale element.

    Parameters
    ----------
    tree
        xarray DataTree, one child a level.

    Returns
    -------
    xarray DataArrays, the largest first.
    """
    planes = [next(iter(level.data_vars.values())) for level in tree.children.values() if level.data_vars]
    return sorted(planes, key=lambda plane: -plane.sizes.get("x", 0))


def _full_value(read: Any, array: Any, layout: Layout, bits: int | None) -> float:
    height, width = array.shape[layout.y], array.shape[layout.x]
    if isinstance(array, np.ndarray):
        sample = array
    else:
        rows = np.unique(np.linspace(0, max(height - SAMPLE_PX, 0), 3).astype(int))
        columns = np.unique(np.linspace(0, max(width - SAMPLE_PX, 0), 3).astype(int))
        boxes = [(y, min(y + SAMPLE_PX, height), x, min(x + SAMPLE_PX, width)) for y in rows for x in columns]
        sample = np.concatenate([np.ravel(read(*box)) for box in boxes])
    return full_value(sample, bits=bits)


def _check(width: int, height: int, channels: int, *, allow_gray: bool) -> None:
    if width == 0 or height == 0:
        msg = "The image has no pixels"
        raise ImageError(msg, where=f"{width} × {height}", code="BI-29")
    if channels not in {1, 3, 4}:
        msg = f"The image has {channels} channels"
        raise ImageError(msg, why="H&E is RGB; a fourth channel is taken as transparency", code="BI-24")
    if channels == 1 and not allow_gray:
        msg = "The image is grey"
        raise ImageError(
            msg,
            where=f"{width} × {height} px, one channel",
            why="hematoxylin and eosin are told apart by color",
            fix="use the color image, or open it with `images.open_image(image, allow_gray=True)`",
            code="BI-22",
        )


def _chunk_edges(array: Any, layout: Layout) -> tuple[list[int], list[int]] | None:
    chunks = getattr(array, "chunks", None)
    if isinstance(array, np.ndarray) or not chunks:
        return None
    edges = []
    for axis in (layout.y, layout.x):
        sizes, length = chunks[axis], int(array.shape[axis])
        if isinstance(sizes, tuple):
            edges.append(np.concatenate([[0], np.cumsum(sizes)]).astype(int).tolist())
        else:
            edges.append([*range(0, length, int(sizes)), length])
    return edges[0], edges[1]
