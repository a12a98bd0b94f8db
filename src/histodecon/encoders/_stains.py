"""Stain color of tiles: optical density, hematoxylin and eosin, how they are spread."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
TISSUE_DENSITY = 0.15
"""Optical density of green above which a pixel is stained; glass and lumina lie below."""

LEAST_CONTRAST = 0.15
"""A tile whose hematoxylin spans less (optical density) is not stretched further: noise is not nuclei."""

STAIN_NAMES = (
    *(f"od_{color}_mean" for color in ("red", "green", "blue")),
    *(f"od_{color}_sd" for color in ("red", "green", "blue")),
    *(f"{stain}_q{round(100 * q):02d}" for stain in ("hematoxylin", "eosin") for q in QUANTILES),
    "residual_mean",
    "residual_sd",
    *(f"{stain}_middle" for stain in ("hematoxylin", "eosin", "residual")),
    "hematoxylin_eosin_correlation",
    "hematoxylin_share",
    "unstained",
    "unstained_middle",
    "eosin_dense",
    "eosin_dense_middle",
)


@functools.cache
def density_of_values() -> Floats:
    """Optical density of the 256 values of a channel; 0 counts as 1.

    Returns
    -------
    float32 (256,).
    """
    return (-np.log10(np.maximum(np.arange(256), 1) / 255.0)).astype(np.float32)


@functools.cache
def unmixing() -> Floats:
    """Matrix from optical densities of red, green, blue to amounts of hematoxylin, eosin and the rest.

    Returns
    -------
    float32 (3, 3): that of Ruifrok and Johnston, as scikit-image has it, scaled so that one unit of a stain has the
    density of its strongest color.
    """
    from skimage.color import hed_from_rgb, rgb_from_hed

    return (hed_from_rgb * np.abs(rgb_from_hed).max(axis=1)).astype(np.float32)


def optical_density(tiles: NDArray[np.uint8]) -> Floats:
    """Optical density of tiles, averaged over squares of 2 × 2 pixels.

    Parameters
    ----------
    tiles
        uint8 (n, 2h, 2w, 3).

    Returns
    -------
    float32 (n, h, w, 3).
    """
    table = density_of_values()
    parts = [table[tiles[:, a::2, b::2]] for a in (0, 1) for b in (0, 1)]
    return (parts[0] + parts[1] + parts[2] + parts[3]) * np.float32(0.25)


def relative(layer: Floats) -> Floats:
    """Stretch the hematoxylin of each tile from its own ground to its own darkest nuclei.

    Parameters
    ----------
    layer
        Amounts, (n, h, w).

    Returns
    -------
    The same shape; about 0 for the ground of the tile, about 1 for its dark nuclei.
    """
    low, high = np.quantile(layer.reshape(len(layer), -1), (0.1, 0.98), axis=1).astype(np.float32)
    span = np.maximum(high - low, np.float32(LEAST_CONTRAST))
    return (layer - low[:, None, None]) / span[:, None, None]


def stain_features(density: Floats, stains: Floats, middle: Floats) -> Floats:
    """Describe the color of tiles.

    Parameters
    ----------
    density
        Optical densities, (n, h, w, 3).
    stains
        Hematoxylin, eosin and the rest, (n, h, w, 3).
    middle
        Weights of the pixels for values of the spot itself, (h, w), sum 1.

    Returns
    -------
    float32 (n, len(STAIN_NAMES)).
    """
    n = len(density)
    flat, amounts, weights = density.reshape(n, -1, 3), stains.reshape(n, -1, 3), middle.reshape(-1)
    quantiles = np.quantile(amounts[:, ::2, :2], QUANTILES, axis=1)
    empty = (flat[..., 1] < TISSUE_DENSITY).astype(np.float32)
    median, upper = quantiles[2, :, 1], quantiles[3, :, 1]
    dense = (amounts[..., 1] > (median + 2 * np.maximum(upper - median, 0.03))[:, None]).astype(np.float32)
    centered = amounts[..., :2] - amounts[..., :2].mean(axis=1, keepdims=True)
    spread = np.sqrt((centered**2).mean(axis=1))
    together = (centered[..., 0] * centered[..., 1]).mean(axis=1) / np.maximum(spread.prod(axis=1), 1e-4)
    mean = amounts.mean(axis=1)
    share = mean[:, 0] / np.maximum(np.abs(mean[:, :2]).sum(axis=1), 0.02)
    columns = [
        flat.mean(axis=1),
        flat.std(axis=1),
        quantiles.transpose(1, 2, 0).reshape(n, -1),
        mean[:, 2:],
        amounts[..., 2].std(axis=1)[:, None],
        (amounts * weights[:, None]).sum(axis=1),
        together[:, None],
        share[:, None],
        empty.mean(axis=1)[:, None],
        (empty * weights).sum(axis=1)[:, None],
        dense.mean(axis=1)[:, None],
        (dense * weights).sum(axis=1)[:, None],
    ]
    return np.concatenate(columns, axis=1, dtype=np.float32)
