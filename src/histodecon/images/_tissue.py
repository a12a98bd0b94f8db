"""How much of a tile is stained."""

from __future__ import annotations

import numpy as np

from histodecon._core import ImageError

GREEN_DENSITY = 0.15
"""Least optical density of stained tissue in the green channel: 30 % of white light is taken away."""

MIN_CHROMA = 10
"""Least difference between the strongest and the weakest channel, of 255; ink, shadows and a black ground have less."""

FLUORESCENT = 50
"""A stain whose middle pixel is darker, of 255, is light on black and no absorption on white."""


def tissue_fraction(tiles: np.ndarray, *, green_density: float = GREEN_DENSITY) -> np.ndarray:
    """Measure which part of each tile is stained tissue.

    Parameters
    ----------
    tiles
        uint8 (n, height, width, 3).
    green_density
        A pixel is tissue when its optical density ``-log10(green / 255)`` is at least this and it has a color: its channels
        differ by 10 of 255 or more. Hematoxylin and eosin both take green away; glass, a faint wash of eosin beside the
        tissue, grey and black do not pass. Lumina and fat cells count as empty.

    Returns
    -------
    float64 (n,) in [0, 1].

    Raises
    ------
    ImageError
        The tiles have another dtype or shape.

    Examples
    --------
    >>> import numpy as np
    >>> import histodecon as hd
    >>> tiles = np.full((2, 4, 4, 3), 240, dtype=np.uint8)
    >>> tiles[1, :, :2] = (200, 120, 180)
    >>> hd.images.tissue_fraction(tiles)
    array([0. , 0.5])
    """
    tiles = np.asarray(tiles)
    if tiles.dtype != np.uint8 or tiles.ndim != 4 or tiles.shape[3] != 3:
        msg = "Tiles must be uint8 of shape (n, height, width, 3)"
        raise ImageError(msg, where=f"dtype {tiles.dtype}, shape {tiles.shape}", code="BI-24")
    return stained(tiles, green_density=green_density).mean(axis=(1, 2), dtype=np.float64)


def stained(pixels: np.ndarray, *, green_density: float = GREEN_DENSITY) -> np.ndarray:
    """Tell which pixels are stained tissue, as :func:`tissue_fraction` counts them.

    Parameters
    ----------
    pixels
        uint8 (..., 3).
    green_density
        As in :func:`tissue_fraction`.

    Returns
    -------
    bool (...).
    """
    red, green, blue = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    strongest = np.maximum(np.maximum(red, green), blue)
    weakest = np.minimum(np.minimum(red, green), blue)
    return (green <= 255 * 10**-green_density) & (strongest - weakest >= MIN_CHROMA)


def require_brightfield(picture: np.ndarray) -> None:
    """Refuse a picture whose colored pixels are dark.

    Parameters
    ----------
    picture
        uint8 (height, width, 3).

    Raises
    ------
    ImageError
        What is colored is as dark as in a fluorescence image.
    """
    light = picture.mean(axis=2)[stained(picture)]
    if light.size and float(np.median(light)) < FLUORESCENT:
        msg = "The image is not H&E in transmitted light"
        raise ImageError(
            msg,
            where=f"half of its colored pixels are darker than {FLUORESCENT} of 255, as in a fluorescence image",
            why="hematoxylin and eosin take light away from a white ground",
            fix="name the H&E image with `image_key=`",
            code="BI-30",
        )
