"""Tiles of any size go in, one checked float32 row each comes out."""

from __future__ import annotations

import numpy as np
import pytest

from histodecon import ImageError, InputError
from histodecon.encoders import Encoder, EncoderCard

CARD = EncoderCard(name="mean", loader="function", model="m:f", dim=3, input_px=16, revision="1")


def test_other_sizes_are_resampled_antialiased():
    encoder = Encoder(CARD, lambda tiles: tiles.mean(axis=(1, 2)))
    stripes = np.zeros((2, 64, 64, 3), dtype=np.uint8)
    stripes[:, ::2] = 200  # finer than a pixel of 16: only averaging keeps the mean
    np.testing.assert_allclose(encoder.encode(stripes), 100, atol=1)
    seen = []
    Encoder(CARD, lambda tiles: seen.append(tiles.copy()) or tiles.mean(axis=(1, 2))).encode(stripes[:, :16, :16])
    np.testing.assert_array_equal(seen[0], stripes[:, :16, :16])


@pytest.mark.parametrize(
    "tiles",
    [
        np.zeros((2, 16, 16, 3), dtype=np.float32),
        np.zeros((2, 16, 16, 4), dtype=np.uint8),
        np.zeros((16, 16, 3), dtype=np.uint8),
        np.zeros((2, 16, 20, 3), dtype=np.uint8),
    ],
)
def test_other_tiles_are_refused(tiles):
    with pytest.raises(ImageError, match="BI-49"):
        Encoder(CARD, lambda tiles: tiles.mean(axis=(1, 2))).encode(tiles)


@pytest.mark.parametrize(
    "answer", [np.zeros((2, 4)), np.zeros((1, 3)), np.zeros(3), np.array([["a"] * 3] * 2), np.zeros((2, 3), complex)]
)
def test_other_answers_are_refused(answer):
    with pytest.raises(InputError, match="BI-44"):
        Encoder(CARD, lambda _: answer).encode(np.zeros((2, 16, 16, 3), dtype=np.uint8))
