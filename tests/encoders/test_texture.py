"""Fibers, bands and patterns of drawn textures."""

from __future__ import annotations

import numpy as np
import pytest

from histodecon.encoders._texture import TEXTURE_NAMES, halved, texture_features

MIDDLE = np.full((112, 112), 1 / 112**2, dtype=np.float32)


def describe(layer: np.ndarray) -> dict[str, float]:
    stains = np.repeat(layer[None, ..., None], 3, axis=3).astype(np.float32)
    return dict(zip(TEXTURE_NAMES, texture_features(stains, stains, MIDDLE)[0], strict=True))


@pytest.mark.parametrize("turn", [0.0, 0.4, 1.0, np.pi / 2])
def test_parallel_fibers_are_coherent(turn):
    y, x = np.indices((112, 112))
    table = describe(0.3 + 0.2 * np.sin((x * np.cos(turn) + y * np.sin(turn)) * 2 * np.pi / 10))
    for name in ("fiber_3_mean", "fiber_8_mean", "fiber_20_mean", "fiber_tile", "fiber_20_middle"):
        assert table[name] > 0.9


def test_noise_is_not_coherent():
    table = describe(np.random.default_rng(0).uniform(0, 1, (112, 112)))
    assert table["fiber_20_mean"] < 0.2
    assert table["fiber_tile"] < 0.1
    assert table["fiber_20_mean"] < table["fiber_8_mean"] < table["fiber_3_mean"]


@pytest.mark.parametrize(("period", "band"), [(6, 1), (12, 2), (24, 3), (48, 4)])
def test_a_wave_lies_in_its_band(period, band):
    y, x = np.indices((112, 112))
    table = describe(0.5 + 0.2 * np.sin(x * 2 * np.pi / period) * np.sin(y * 2 * np.pi / period))
    bands = [table["detail_finest"]] + [table[f"detail_hematoxylin_{i}"] for i in range(1, 5)]
    assert abs(int(np.argmax(bands)) - band) <= 1
    assert bands[-1] == max(bands) or period < 48


def test_bands_do_not_see_the_strength():
    layer = np.random.default_rng(0).uniform(0, 1, (112, 112))
    weak, strong = describe(0.3 * layer), describe(layer)
    for name in TEXTURE_NAMES:
        assert strong[name] == pytest.approx(weak[name], rel=0.05, abs=0.02), name


def test_halved_is_a_mean():
    layer = np.arange(48.0, dtype=np.float32).reshape(2, 4, 6)
    expected = layer.reshape(2, 2, 2, 3, 2).mean(axis=(2, 4))
    np.testing.assert_allclose(halved(layer), expected)
