"""Chunks are decoded once, digests see changes, thumbnails average."""

from __future__ import annotations

import numpy as np
import pytest

from histodecon import InputError, images
from histodecon.images import _slide_image


def picture(height: int = 90, width: int = 130) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_digest_sees_one_pixel_and_the_size():
    pixels = picture()
    first = images.open_image(pixels).digest()
    changed = pixels.copy()
    changed[40, 50, 1] ^= 1
    assert images.open_image(changed).digest() != first
    assert images.open_image(pixels[:-1]).digest() != first
    assert images.open_image(pixels.copy(order="F")).digest() == first


def test_digest_of_a_large_image_reads_patches(monkeypatch):
    monkeypatch.setattr(_slide_image, "DIGEST_WHOLE_PX", 1000)
    pixels = picture(1000, 1400)
    first = images.open_image(pixels).digest()
    pixels[0, 0] ^= 255
    assert images.open_image(pixels).digest() != first


def test_thumbnail_is_the_mean_of_whole_pixels():
    pixels = picture(90, 130)
    small, scale = images.open_image(pixels).thumbnail(26)
    assert scale == 1 / 5
    expected = np.floor(pixels.reshape(18, 5, 26, 5, 3).mean(axis=(1, 3)) + 0.5)
    np.testing.assert_array_equal(small, expected)
    assert images.open_image(pixels).thumbnail(500)[1] == 1.0
    with pytest.raises(InputError):
        images.open_image(pixels).thumbnail(0)


def test_close_runs_once():
    closed = []
    image = images.SlideImage(
        lambda a, b, c, d: np.zeros((b - a, d - c, 3), np.uint8), 9, 9, close=lambda: closed.append(1)
    )
    with image:
        image.read(0, 0, 3, 3)
    image.close()
    assert closed == [1]


def test_cache_is_bounded(monkeypatch):
    monkeypatch.setattr(_slide_image, "CACHE_BYTES", 5 * 64 * 64 * 3)
    monkeypatch.setattr(_slide_image, "MIN_CHUNK_PX", 1)
    pixels = picture(640, 640)
    edges = list(range(0, 641, 64))
    image = images.SlideImage(lambda a, b, c, d: pixels[a:b, c:d].copy(), 640, 640, chunks=(edges, edges))
    np.testing.assert_array_equal(image.read(0, 0, 640, 640), pixels)
    assert 4 * 64 * 64 * 3 <= image._cache.held_bytes <= 5 * 64 * 64 * 3
