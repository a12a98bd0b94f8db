"""Boxes, padding, one resample, and a stream that names every row once and decodes chunks once."""

from __future__ import annotations

from collections import Counter

import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histodecon import GeometryError, InputError, images
from histodecon.images import _slide_image, _tiles

CENTERS = st.lists(st.tuples(st.floats(-50, 350), st.floats(-50, 250)), min_size=1, max_size=20)


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@given(CENTERS, st.integers(1, 60))
def test_boxes_are_centered_to_half_a_pixel(xy, size):
    middle = images.tile_boxes(xy, size) + size / 2
    assert np.abs(middle - np.array(xy)).max() <= 0.5 + 1e-9


@given(CENTERS, st.integers(1, 60))
def test_padding_is_the_share_of_white_pixels(xy, size):
    image = images.open_image(np.zeros((200, 300, 3), dtype=np.uint8))
    corners = images.tile_boxes(xy, size)
    white = [(image.read(x, y, size, size) == 255).all(axis=2).mean() for x, y in corners]
    np.testing.assert_allclose(images.padding_fraction(xy, size, 300, 200), white, atol=1e-12)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 80), st.integers(1, 40), st.integers(1, 25), st.booleans())
def test_stream_equals_one_crop_per_spot(n, size, batch, chunked):
    rng = np.random.default_rng(n)
    pixels = picture(200, 300)
    image = images.open_image(pixels)
    if chunked:
        edges = ([0, 70, 140, 200], [0, 90, 180, 270, 300])
        image = images.SlideImage(lambda a, b, c, d: pixels[a:b, c:d], 300, 200, chunks=edges)
        image.chunk_edges = edges
    xy = rng.uniform(-20, 320, (n, 2))
    padded = np.pad(pixels, ((400, 400), (400, 400), (0, 0)), constant_values=255)
    seen = Counter()
    for rows, tiles in images.iter_tiles(image, xy, size, size, batch_size=batch):
        assert len(rows) == len(tiles) <= batch
        for row, tile in zip(rows, tiles, strict=True):
            x, y = np.floor(xy[row] - size / 2 + 0.5).astype(int) + 400
            np.testing.assert_array_equal(tile, padded[y : y + size, x : x + size])
        seen.update(rows.tolist())
    assert seen == Counter(range(n))


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("size", "output"), [(163, 224), (300, 224), (448, 224), (97, 40)])
def test_resample_is_antialiased_as_pillow_does_it(interpolation, size, output):
    pixels = picture(size, size)
    ((_, tiles),) = images.iter_tiles(
        images.open_image(pixels), [[size / 2, size / 2]], size, output, interpolation=interpolation
    )
    expected = np.asarray(
        PIL.Image.fromarray(pixels).resize((output, output), getattr(PIL.Image.Resampling, interpolation.upper()))
    )
    assert np.abs(tiles[0].astype(int) - expected).max() <= 1


def test_batches_do_not_change_tiles():
    image = images.open_image(picture(200, 300))
    xy = np.random.default_rng(1).uniform(0, 200, (30, 2))
    results = []
    for batch in (1, 7, 64):
        out = np.empty((30, 32, 32, 3), np.uint8)
        for rows, tiles in images.iter_tiles(image, xy, 50, 32, batch_size=batch):
            out[rows] = tiles
        results.append(out)
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


def test_native_tiles_held_are_bounded(monkeypatch):
    monkeypatch.setattr(_tiles, "NATIVE_BYTES", 3 * 50 * 50 * 3)
    held = []
    resample = _tiles.resample
    monkeypatch.setattr(_tiles, "resample", lambda tiles, *rest: held.append(len(tiles)) or resample(tiles, *rest))
    image = images.open_image(picture(200, 300))
    for _ in images.iter_tiles(image, np.full((20, 2), 100.0), 50, 25):
        pass
    assert sum(held) == 20
    assert max(held) == 3


@pytest.mark.parametrize("cache_chunks", [1000, 24])
def test_chunks_are_decoded_once_or_nearly(monkeypatch, cache_chunks):
    monkeypatch.setattr(_slide_image, "MIN_CHUNK_PX", 1)
    monkeypatch.setattr(_slide_image, "CACHE_BYTES", cache_chunks * 64 * 64 * 3)
    monkeypatch.setattr(_tiles, "STRIP_BYTES", cache_chunks * 64 * 64 * 3)
    pixels, decoded = picture(1280, 1280), Counter()

    def read(a, b, c, d):
        decoded[a, c] += 1
        return pixels[a:b, c:d]

    edges = list(range(0, 1281, 64))
    image = images.SlideImage(read, 1280, 1280, chunks=(edges, edges))
    xy = np.random.default_rng(0).uniform(0, 1280, (4000, 2))
    for _ in images.iter_tiles(image, xy, 30, 30):
        pass
    assert len(decoded) == 400
    # 24 chunks hold two rows of 12 where the image is 20 wide: the 20 at the border of the strips come twice
    assert sum(decoded.values()) <= (400 if cache_chunks == 1000 else 440)


@pytest.mark.parametrize(
    ("kwargs", "error"),
    [
        ({"size_px": 0, "output_px": 8}, InputError),
        ({"size_px": 2.5, "output_px": 8}, InputError),
        ({"size_px": 8, "output_px": 0}, InputError),
        ({"size_px": 8, "output_px": 8, "batch_size": 0}, InputError),
        ({"size_px": 8, "output_px": 8, "interpolation": "nearest"}, InputError),
    ],
)
def test_bad_sizes(kwargs, error):
    with pytest.raises(error):
        images.iter_tiles(images.open_image(picture(20, 20)), [[1, 1]], **kwargs)


@pytest.mark.parametrize("xy", [[[np.nan, 1.0]], [1.0, 2.0], [[1.0, 2.0, 3.0]]])
def test_bad_centers(xy):
    with pytest.raises(GeometryError):
        images.tile_boxes(xy, 8)
