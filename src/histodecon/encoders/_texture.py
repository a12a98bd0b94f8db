"""Texture of tiles: bands of detail, gray levels side by side, local patterns, and how far fibers run in parallel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Floats = NDArray[np.float32]

BAND_SIGMAS_UM = (0.7, 1.4, 2.8, 5.6, 11.2)
FIBER_SIGMAS_UM = (3.0, 8.0, 20.0)
GRAY_LEVELS = 16
PAIR_DISTANCES_UM = (1, 3, 7)
PATTERN_POINTS, PATTERN_RADIUS_UM = 8, 2
LEAST_VARIANCE = 1e-4
"""Of an amount of stain: less is noise, and is not stretched."""

COARSEST_UM = 4.0
_PAIRS = ("contrast", "homogeneity", "correlation")

TEXTURE_NAMES = (
    "detail_finest",
    *(f"detail_{stain}_{i}" for stain in ("hematoxylin", "eosin") for i in range(1, len(BAND_SIGMAS_UM))),
    *(f"fiber_{round(sigma)}_{name}" for sigma in FIBER_SIGMAS_UM for name in ("mean", "middle")),
    "fiber_tile",
    *(f"pair_{name}_{distance}" for name in _PAIRS for distance in PAIR_DISTANCES_UM),
    *(f"pattern_{i}" for i in range(PATTERN_POINTS + 2)),
)


def texture_features(density: Floats, stains: Floats, middle: Floats) -> Floats:
    """Describe the texture of tiles.

    Parameters
    ----------
    density
        Optical densities, (n, h, w, 3), on pixels of 1 µm; sides divisible by 4.
    stains
        Hematoxylin, eosin and the rest, (n, h, w, 3).
    middle
        Weights of the pixels for values of the spot itself, (h, w), sum 1.

    Returns
    -------
    float32 (n, len(TEXTURE_NAMES)).
    """
    hematoxylin, eosin = (np.ascontiguousarray(stains[..., stain]) for stain in (0, 1))
    gray = density.mean(axis=3)
    columns = [_bands(hematoxylin), _bands(eosin)[:, 1:], _fibers(eosin, middle), _pairs_and_patterns(gray)]
    return np.concatenate(columns, axis=1, dtype=np.float32)


def halved(layer: Floats) -> Floats:
    """Average squares of 2 × 2 pixels.

    Parameters
    ----------
    layer
        Shape (..., 2h, 2w).

    Returns
    -------
    Shape (..., h, w).
    """
    rows = layer[..., ::2, :] + layer[..., 1::2, :]
    return (rows[..., ::2] + rows[..., 1::2]) * np.float32(0.25)


def _blurred(layer: Floats, sigma: float) -> Floats:
    sigmas = (0,) * (layer.ndim - 2) + (sigma, sigma)
    return ndimage.gaussian_filter(layer, sigmas, truncate=3)


def _bands(layer: Floats) -> Floats:
    """Root of the share of each band of detail in the variance of a stain: an octave a band, on ever coarser pixels."""
    total = np.maximum(layer.var(axis=(1, 2)), np.float32(LEAST_VARIANCE))
    reached, pixel, shares = 0.0, 1.0, []
    for sigma in BAND_SIGMAS_UM:
        coarse = _blurred(layer, np.sqrt(sigma**2 - reached**2) / pixel)
        shares.append(np.sqrt((layer - coarse).var(axis=(1, 2)) / total))
        layer, reached = coarse, sigma
        if sigma >= 2 * pixel:
            layer, pixel = halved(layer), 2 * pixel
    return np.stack(shares, axis=1)


def _fibers(eosin: Floats, middle: Floats) -> Floats:
    """Coherence of the structure tensor: 1 where all edges run in parallel, 0 where they run every way."""
    dy, dx = np.gradient(_blurred(eosin, 1.2), axis=(1, 2))
    parts = halved(np.stack([dx * dx + dy * dy, dx * dx - dy * dy, 2 * dx * dy]))
    weight = halved(middle) * 4
    reached, pixel, columns = 0.0, 2.0, []
    for sigma in FIBER_SIGMAS_UM:
        parts = _blurred(parts, np.sqrt(sigma**2 - reached**2) / pixel)
        coherence = _coherence(parts)
        columns += [coherence.mean(axis=(1, 2)), (coherence * weight).sum(axis=(1, 2))]
        reached = sigma
        if sigma >= 3 * pixel and pixel < COARSEST_UM:
            parts, weight, pixel = halved(parts), halved(weight) * 4, 2 * pixel
    return np.stack([*columns, _coherence(parts.mean(axis=(2, 3)))], axis=1)


def _coherence(parts: Floats) -> Floats:
    energy, straight, diagonal = parts
    return np.hypot(straight, diagonal) / (energy + np.float32(LEAST_VARIANCE / 10))


def _pairs_and_patterns(gray: Floats) -> NDArray:
    """Gray levels of the tile's own range side by side, and how often each local binary pattern occurs."""
    from skimage.feature import graycomatrix, graycoprops, local_binary_pattern

    rows = []
    angles = [0, np.pi / 4, np.pi / 2, 3 * np.pi / 4]
    for tile in gray:
        low, high = np.quantile(tile[::2, ::2], (0.02, 0.98))
        scaled = np.clip((tile - low) / max(high - low, 0.1), 0, 1)
        levels = np.minimum(scaled * GRAY_LEVELS, GRAY_LEVELS - 1).astype(np.uint8)
        matrix = graycomatrix(levels, PAIR_DISTANCES_UM, angles, levels=GRAY_LEVELS, symmetric=True, normed=True)
        pairs = [graycoprops(matrix, name).mean(axis=1) for name in _PAIRS]
        pairs[0] = pairs[0] / GRAY_LEVELS
        codes = local_binary_pattern(
            (scaled * 255).astype(np.uint8), PATTERN_POINTS, PATTERN_RADIUS_UM, method="uniform"
        )
        patterns = np.bincount(codes.astype(np.intp).ravel(), minlength=PATTERN_POINTS + 2) / codes.size
        rows.append(np.concatenate([*pairs, patterns]))
    return np.array(rows)
