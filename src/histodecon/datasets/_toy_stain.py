"""Stains, lamp and camera: from amounts of stain to an RGB picture, a little different for each patient."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Absorbance of one unit of stain in red, green and blue (natural logarithm): hematoxylin, eosin, and blood with pigment.
HEMATOXYLIN = (0.60, 0.74, 0.33)
EOSIN = (0.13, 0.88, 0.45)
BLOOD = (0.12, 0.85, 0.66)


@dataclass(frozen=True)
class Stain:
    """One laboratory's stain: ``matrix`` (3 stains, 3 colors) of absorbances, ``lamp`` (3,) the white, ``noise`` in gray levels."""

    matrix: np.ndarray
    lamp: np.ndarray
    noise: float


def draw_stain(rng: np.random.Generator) -> Stain:
    """Draw the stain of one patient: hue and strength of each dye, white balance, noise.

    Parameters
    ----------
    rng
        Source of randomness.

    Returns
    -------
    The stain.
    """
    matrix = np.array([HEMATOXYLIN, EOSIN, BLOOD])
    matrix = np.clip(matrix + rng.normal(0, 0.028, matrix.shape), 0.02, None)
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    strength = np.exp(rng.normal(0, 0.08, (3, 1)))
    lamp = 243 + rng.normal(0, 2.5, 3)
    return Stain(matrix * strength, np.clip(lamp, 234, 250), float(rng.uniform(1.2, 2.2)))


def develop(rng: np.random.Generator, amounts: np.ndarray, stain: Stain, *, rows_at_once: int = 256) -> np.ndarray:
    """Turn amounts of stain into a picture by the law of Beer and Lambert, with the noise of a camera.

    Parameters
    ----------
    rng
        Source of randomness.
    amounts
        Shape (3, h, w), float32: hematoxylin, eosin, blood.
    stain
        Colors and strengths.
    rows_at_once
        Height of the strips; the picture does not depend on it.

    Returns
    -------
    RGB, uint8, shape (h, w, 3).
    """
    _, height, width = amounts.shape
    picture = np.empty((height, width, 3), np.uint8)
    matrix, lamp = stain.matrix.astype(np.float32), stain.lamp.astype(np.float32)
    for top in range(0, height, rows_at_once):
        strip = amounts[:, top : top + rows_at_once]
        grain = rng.standard_normal(strip.shape[1:], dtype=np.float32) * np.float32(stain.noise)
        for color in range(3):
            density = np.tensordot(matrix[:, color], strip, axes=1)
            light = lamp[color] * np.exp(-density) + grain
            picture[top : top + rows_at_once, :, color] = np.clip(light + 0.5, 0, 255)
    return picture
