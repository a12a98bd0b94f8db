"""A descriptor of H&E tiles that needs no weights: stain color, nuclei, texture."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from histodecon.encoders._nuclei import NUCLEUS_NAMES, nucleus_features
from histodecon.encoders._stains import STAIN_NAMES, optical_density, relative, stain_features, unmixing
from histodecon.encoders._texture import TEXTURE_NAMES, texture_features

MIDDLE_RADIUS_UM = 32.5
"""Radius of a Visium spot, which lies in the middle of the tile."""

RIM_UM = 4.0
_AT_ONCE = 16


def color_stats_names() -> list[str]:
    """Name the columns of the embedding ``color_stats``.

    Returns
    -------
    119 names, in order:

    - stain: optical density of each channel (mean, sd); quantiles of hematoxylin and eosin after stain separation [1]_ and
      what is left over; their means in the middle of the tile; their correlation; unstained pixels (lumina, fat, glass)
      and pixels of dense eosin (blood), as parts of the tile;
    - nuclei: how many there are per 1000 µm², by size (about 16, 26, 38, 56, 80, 120 µm²) and shape (long: longer
      than 1.4 to 2 times their width), and dark ones by size, each in the middle and in the whole tile; mean and spread of
      their area, length, darkness, grain, eosin around, crowding; response to blobs of 1.5 to 6.6 µm; nuclear area;
    - texture: share of bands of detail (0.5 to 11 µm), coherence of fibers at 3, 8 and 20 µm, gray-level co-occurrence at
      1, 3 and 7 µm [2]_, local binary patterns [3]_.

    ``middle`` is the disk of a Visium spot (radius 32.5 µm). Nuclei, bands and patterns are taken relative to the tile's
    own ground and dark nuclei, so that they bear a stronger or weaker stain.

    References
    ----------
    .. [1] Ruifrok and Johnston, Anal. Quant. Cytol. Histol. 23:291 (2001).
    .. [2] Haralick, Shanmugam and Dinstein, IEEE Trans. Syst. Man Cybern. 3:610 (1973).
    .. [3] Ojala, Pietikäinen and Mäenpää, IEEE Trans. Pattern Anal. Mach. Intell. 24:971 (2002).

    Examples
    --------
    >>> import histodecon as hd
    >>> names = hd.encoders.color_stats_names()
    >>> len(names), names[27]
    (119, 'nuclei_round_tiny_middle')
    """
    return [*STAIN_NAMES, *NUCLEUS_NAMES, *TEXTURE_NAMES]


def color_stats(tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Describe tiles.

    Parameters
    ----------
    tiles
        uint8 (n, 224, 224, 3); lengths hold at 0.5 µm per pixel.

    Returns
    -------
    float32 (n, 119), finite for every tile, columns as in :func:`color_stats_names`.
    """
    out = np.empty((len(tiles), len(color_stats_names())), dtype=np.float32)
    for start in range(0, len(tiles), _AT_ONCE):
        out[start : start + _AT_ONCE] = _describe(tiles[start : start + _AT_ONCE])
    return out


def _describe(tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
    density = optical_density(tiles)  # 1 µm per pixel from here on
    stains = density @ unmixing()
    middle = _middle(density.shape[1])
    eosin = np.ascontiguousarray(stains[..., 1])
    dark = relative(np.ascontiguousarray(stains[..., 0]))
    parts = [
        stain_features(density, stains, middle),
        nucleus_features(dark, eosin, middle, MIDDLE_RADIUS_UM),
        texture_features(density, stains, middle),
    ]
    return np.concatenate(parts, axis=1)


@functools.cache
def _middle(side: int) -> NDArray[np.float32]:
    """Weights of the pixels for the middle of a tile: a disk with a soft rim, sum 1."""
    axis = np.arange(side) - (side - 1) / 2
    distance = np.hypot(axis[:, None], axis)
    weight = np.clip((MIDDLE_RADIUS_UM - distance) / RIM_UM + 0.5, 0, 1)
    return (weight / weight.sum()).astype(np.float32)
