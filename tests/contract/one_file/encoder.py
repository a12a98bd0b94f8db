"""Mean and spread of the three colors: the smallest encoder there is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from histodecon.encoders._card import EncoderCard


def encode(tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Encode tiles, uint8 (n, height, width, 3), to vectors (n, 6)."""
    pixels = tiles.reshape(len(tiles), -1, 3) / 255.0
    return np.concatenate([pixels.mean(axis=1), pixels.std(axis=1)], axis=1).astype(np.float32)


CARD = EncoderCard(
    name="mean_color",
    loader="function",
    model=f"{__name__}:encode",
    dim=6,
    input_px=224,
    interpolation="bilinear",
    tile_um=112.0,
    revision="1",  # a change of its numbers changes this
    license="BSD-3-Clause",
    commercial=True,
    citation="none",
    summary="Mean and spread of the three colors.",
)
