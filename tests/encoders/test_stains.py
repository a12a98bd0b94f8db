"""Colors of tiles: densities, separation, what is stained."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.color import hed2rgb, rgb2hed

from histodecon.encoders._stains import STAIN_NAMES, optical_density, relative, stain_features, unmixing

MIDDLE = np.full((112, 112), 1 / 112**2, dtype=np.float32)


def test_density_is_that_of_a_loop():
    tiles = np.random.default_rng(0).integers(0, 256, (2, 8, 6, 3), dtype=np.uint8)
    expected = np.zeros((2, 4, 3, 3))
    for n, y, x, c in np.ndindex(2, 8, 6, 3):
        expected[n, y // 2, x // 2, c] += -np.log10(max(int(tiles[n, y, x, c]), 1) / 255) / 4
    np.testing.assert_allclose(optical_density(tiles), expected, rtol=1e-5, atol=1e-6)


def test_separation_is_that_of_scikit_image():
    amounts = np.random.default_rng(0).uniform(0.02, 0.08, (5, 5, 3))
    rgb = hed2rgb(amounts)
    found, theirs = -np.log10(rgb) @ unmixing(), rgb2hed(rgb)
    np.testing.assert_allclose(theirs, amounts, rtol=1e-6)
    ratio = found / theirs  # a unit of its own for each stain
    np.testing.assert_allclose(ratio, np.broadcast_to(ratio[:1, :1], ratio.shape), rtol=1e-4)
    for stain in range(2):
        pure = np.zeros((1, 1, 3))
        pure[..., stain] = 0.1
        amounts = (-np.log10(hed2rgb(pure)) @ unmixing())[0, 0]
        assert amounts.argmax() == stain
        assert np.abs(np.delete(amounts, stain)).max() < 1e-6


def test_relative_takes_ground_and_strength_away():
    layer = np.random.default_rng(0).gamma(2, 0.1, (3, 112, 112)).astype(np.float32)
    np.testing.assert_allclose(relative(2 * layer + 0.3), relative(layer), rtol=1e-3, atol=1e-4)
    faint = relative(0.01 * layer)
    assert faint.max() - faint.min() < 0.1


def test_unstained_and_dense_parts():
    density = np.full((1, 112, 112, 3), 0.3, dtype=np.float32)
    density[:, :28] = 0.0
    stains = np.zeros_like(density)
    stains[..., 1] = 0.2
    stains[:, -14:, :, 1] = 0.8
    table = dict(zip(STAIN_NAMES, stain_features(density, stains, MIDDLE)[0], strict=True))
    assert table["unstained"] == pytest.approx(0.25)
    assert table["unstained_middle"] == pytest.approx(0.25, rel=1e-4)
    assert table["eosin_dense"] == pytest.approx(0.125)
    assert table["eosin_q50"] == pytest.approx(0.2)
    assert table["od_red_mean"] == pytest.approx(0.225, rel=1e-4)
