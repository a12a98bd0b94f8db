"""Tiles that cannot be read are named by barcode."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from histodecon import images
from histodecon._core import HistodeconError, ImageError, first_names
from histodecon.pp._tile_stream import opened


@contextmanager
def naming_unreadable(picture: Any, xy: np.ndarray, size_px: int, names: Sequence[str]) -> Iterator[None]:
    """Look for all tiles that cannot be read when reading fails inside a ``with`` block, and name them.

    Parameters
    ----------
    picture
        What :func:`histodecon.images.open_image` takes.
    xy
        Centers in pixels of the image, shape (n, 2).
    size_px
        Side of a tile.
    names
        Barcodes, n of them.

    Yields
    ------
    Nothing.

    Raises
    ------
    ImageError
        Some tiles cannot be read; all their barcodes are in a note of the error.
    """
    try:
        yield
    except HistodeconError:
        raise
    except Exception as error:
        bad = [names[i] for i in _unreadable(picture, xy, size_px)]
        if not bad:  # no fault of a tile
            raise
        msg = "Tiles of some spots cannot be read from the image"
        fault = ImageError(
            msg,
            where=f"{len(bad)} of {len(names)}: {first_names(bad)}; {error}",
            why="a tile that is filled in would be an invention; no row was written or shifted",
            fix=f"fetch a whole copy of the image, or leave them out: `data[~data.obs_names.isin({bad[:3]})].copy()`",
            code="FI-21",
        )
        fault.add_note("All of them: " + ", ".join(bad))
        raise fault from error


def _unreadable(picture: Any, xy: np.ndarray, size_px: int) -> list[int]:
    bad = []
    with opened(picture) as image:
        for i, center in enumerate(xy):
            try:
                for _ in images.iter_tiles(image, center[None], size_px, size_px, prefetch=False):
                    pass
            except Exception:  # noqa: BLE001 as above
                bad.append(i)
    return bad


def named(items: Iterator[Any], picture: Any, xy: np.ndarray, size_px: int, names: Sequence[str]) -> Iterator[Any]:
    """Hand on what reads tiles; where that fails, as :func:`naming_unreadable`.

    Parameters
    ----------
    items
        What reads.
    picture, xy, size_px, names
        As there.

    Yields
    ------
    The items.
    """
    while True:
        with naming_unreadable(picture, xy, size_px, names):
            try:
                one = next(items)
            except StopIteration:
                return
        yield one
