"""Tiles of the slides of a table, one pass through each image for all encoders that read the same size."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from histodecon import images
from histodecon._core import (
    HistodeconError,
    ImageSource,
    InputError,
    Key,
    MissingKeyError,
    ResolutionWarning,
    coordinates,
    digest,
    first_names,
    image_source,
    iter_libraries,
    raise_together,
    safe_key,
    uns_branch,
)
from histodecon.pp._tile_size import stated_size

if TYPE_CHECKING:
    from anndata import AnnData

SAME_SCALE = 1.1
STREAMED = 256
"""Tiles that are cut at once; encoders take them in batches of their own."""


@dataclass(frozen=True)
class Slide:
    """A slide that was tiled: its rows of the table, their names and centers, its image and the record of its tiles."""

    library: str
    rows: np.ndarray
    names: list[str]
    xy: np.ndarray
    source: ImageSource
    record: Mapping[str, Any]

    @property
    def key(self) -> str:
        """Name under which ``uns`` keeps the slide."""
        return safe_key(self.library)

    def digest(self) -> str:
        """Digest the image, the coordinates by barcode, and the size of the tiles; the order of the rows does not count."""
        order = np.argsort(np.array(self.names))
        names = [self.names[i] for i in order]
        return digest(str(self.record["image_digest"]), names, self.xy[order], int(self.record["size_px"]))


def find_slides(
    data: Any, adata: AnnData, *, image: Any, image_key: str | Mapping[str, str] | None, library_key: str
) -> list[Slide]:
    """Find the tiles and the image of every slide.

    Parameters
    ----------
    data
        SpatialData, or the table itself.
    adata
        Its table.
    image, image_key
        As in :func:`histodecon._core.image_source`.
    library_key
        Column of ``obs`` that tells slides apart.

    Returns
    -------
    One for each slide.

    Raises
    ------
    MissingKeyError
        A slide was not tiled, or there are no coordinates or no image.
    """
    libraries = dict(iter_libraries(adata, library_key))
    tiles = uns_branch(adata, Key.uns.TILES)
    missing = [library for library in libraries if safe_key(library) not in tiles]
    if missing:
        msg = f'uns["{Key.uns.ROOT}"]["{Key.uns.TILES}"] has no tiles of some slides'
        raise MissingKeyError(
            msg,
            where=f"{len(missing)} of {len(libraries)}: {first_names(missing)}",
            why="it says how large a tile is; joining tables with `anndata.concat` loses `uns`",
            fix="`histodecon.pp.tile_spots(data)`",
            code="BI-87",
        )
    xy = coordinates(adata)
    slides: list[Slide] = []
    faults: list[HistodeconError] = []
    for library, rows in libraries.items():
        try:
            source = image_source(data, adata, library, image=image, image_key=image_key, library_key=library_key)
        except HistodeconError as fault:
            faults.append(fault)
            continue
        names = [str(name) for name in adata.obs_names[rows]]
        slides.append(Slide(library, rows, names, xy[rows], source, tiles[safe_key(library)]))
    raise_together(faults)
    return slides


def require_same_field(slides: Sequence[Slide]) -> None:
    """Refuse slides that were tiled to different sizes.

    Parameters
    ----------
    slides
        The slides.

    Raises
    ------
    InputError
        They were.
    """
    fields = {slide.library: stated_size(slide.record) for slide in slides}
    if len(set(fields.values())) > 1:
        msg = "The slides were tiled to different sizes"
        raise InputError(
            msg,
            where=", ".join(f"{library!r}: {field}" for library, field in list(fields.items())[:3]),
            why="one embedding must show the same field of view everywhere",
            fix="tile them together: `histodecon.pp.tile_spots(data, size_um=112)`",
            code="BI-16",
        )


def scales_of_pixels(slides: Sequence[Slide]) -> dict[str, float]:
    """Say how large the pixels of tiles are that were cut in pixels.

    Parameters
    ----------
    slides
        The slides.

    Returns
    -------
    µm per pixel by slide; nothing for tiles in µm, which show the same tissue on every slide.

    Warns
    -----
    ResolutionWarning
        They differ by more than 10 % between slides.
    """
    scales = {
        slide.key: float(slide.record.get("tile_mpp", slide.record["mpp"]))
        for slide in slides
        if slide.record.get("size_unit") == "px"
    }
    if scales and max(scales.values()) > SAME_SCALE * min(scales.values()):
        seen = ", ".join(f"{library!r}: {mpp:.4g}" for library, mpp in list(scales.items())[:3])
        warnings.warn(
            f"[HD-BI-16] Tiles of {stated_size(slides[0].record)} show tissue of different size, µm per pixel are {seen}: cells "
            "look smaller on one slide than on another. Tile in µm, `size_um=112`, or state one scale for all, "
            f"`tile_mpp={min(scales.values()):.4g}`.",
            ResolutionWarning,
            stacklevel=3,
        )
    return scales


def require_same_images(slides: Sequence[Slide]) -> None:
    """Refuse images that are not those that were tiled, before any work is done.

    Parameters
    ----------
    slides
        The slides.

    Raises
    ------
    InputError
        The digest of an image is not the recorded one.
    """
    faults: list[HistodeconError] = []
    for slide in slides:
        with opened(slide.source.image) as image:
            if image.digest() == slide.record["image_digest"]:
                continue
            msg = f"The image of slide {slide.library!r} is not the one that was tiled"
            where = f"now {slide.source.name}, {image.width} × {image.height} px; tiled was {slide.record['image']}"
            why = "tiles would be cut at another place or scale"
            fix = "hand in the same image with `image=`, or run `histodecon.pp.tile_spots` again on this one"
            faults.append(InputError(msg, where=where, why=why, fix=fix, code="BI-52"))
    raise_together(faults)


def opened(picture: Any) -> AbstractContextManager[images.SlideImage]:
    """Open an image for a ``with`` block; one that was open before stays open.

    Parameters
    ----------
    picture
        What :func:`histodecon.images.open_image` takes.

    Returns
    -------
    The image.
    """
    image = images.open_image(picture)
    return nullcontext(image) if image is picture else image
