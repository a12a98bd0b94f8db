"""Pyramids: levels are told from other pictures, the best one is read, and tiles stay where they belong."""

from __future__ import annotations

import numpy as np
import pytest
from slide_files import BLUE, WRITERS, generic_tiff, pyramid, ramp

from histodecon import InputError, images
from histodecon.images._arrays import from_array, from_levels
from histodecon.images._levels import ChunkCache, shrink_factor

JPEG_NOISE = 0.2
"""Of a grey value, which is a pixel; what JPEG does to the mean of a tile."""


def blank(width: int, height: int) -> images.SlideImage:
    return images.SlideImage(lambda a, b, c, d: np.zeros((b - a, d - c, 3), np.uint8), width, height)


@pytest.mark.parametrize(
    ("full", "level", "factor"),
    [
        ((100, 80), (50, 40), 2.0),
        ((101, 81), (50, 40), 2.0),  # rounded down
        ((101, 81), (51, 41), 2.0),  # rounded up
        ((99_999, 99_999), (3124, 3124), 32.0),
        ((1000, 1000), (400, 400), 2.5),
        ((100, 80), (100, 80), None),
        ((100, 80), (200, 160), None),
        ((1000, 800), (300, 300), None),  # the label
    ],
)
def test_factors(full, level, factor):
    assert shrink_factor(blank(*full), blank(*level)) == factor


def test_levels_are_sorted_and_strangers_left_out():
    image = blank(1000, 800)
    image.set_levels([blank(250, 200), blank(300, 300), blank(500, 400)])
    assert [factor for factor, _ in image.levels] == [2.0, 4.0]
    assert "3 levels" in repr(image)


@pytest.mark.parametrize(("shrink", "factor"), [(0.5, 1), (1, 1), (1.99, 1), (2, 2), (3.9, 2), (4, 4), (100, 4)])
def test_no_level_is_ever_enlarged(shrink, factor):
    image = blank(1000, 800)
    image.set_levels([blank(500, 400), blank(250, 200)])
    level, chosen = image.level_for(shrink)
    assert chosen == factor
    assert level.width == 1000 / factor


def test_a_shrink_of_nothing_is_refused():
    with pytest.raises(InputError):
        blank(10, 10).level_for(0)


@pytest.fixture(params=[*WRITERS, "SpatialData", "zarr of SpatialData"], scope="module")
def coded(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("slides")
    if request.param in WRITERS:
        name, write = WRITERS[request.param]
        source = write(folder / name, ramp())
    else:
        import spatialdata

        import histodecon as hd

        source = hd.io.read_slide(generic_tiff(folder / "slide.tif", ramp()))
        if request.param == "zarr of SpatialData":
            source.write(folder / "slide.zarr")
            source = spatialdata.read_zarr(folder / "slide.zarr")
        source = source["slide_image"]
    with images.open_image(source) as image:
        yield image


@pytest.mark.parametrize("shrink", [0.5, 1, 1.5, 2, 3, 4, 6])
def test_middles_of_tiles_through_every_reader_and_level(coded, shrink):
    assert [factor for factor, _ in coded.levels] == [2.0, 4.0]
    rng = np.random.default_rng(0)
    size = 48
    output = round(size / shrink)
    xy = np.column_stack([rng.uniform(25, coded.width - 25, 60), rng.uniform(25, coded.height - 25, 60)])
    _, factor = coded.level_for(size / output)
    for rows, tiles in images.iter_tiles(coded, xy, size, output):
        # means of 2 × 2 pixels are rounded up to whole grey values: half a pixel, at the first level only
        middle = tiles[..., :2].mean(axis=(1, 2)) + 0.5 - 0.5 * (factor > 1)
        assert np.abs(middle - xy[rows]).max() <= 0.5 * factor + JPEG_NOISE


def test_tiles_over_the_edge_are_padded_where_the_image_ends(coded):
    corners = [[0, 0], [coded.width, 0], [0, coded.height], [coded.width, coded.height]]
    for output in (48, 24, 12):
        for rows, tiles in images.iter_tiles(coded, corners, 48, output):
            for row, tile in zip(rows, tiles, strict=True):
                white = (tile == 255).all(axis=2)
                x, y = corners[row]
                inside = ~white
                columns, rows_inside = inside.any(axis=0), inside.any(axis=1)
                np.testing.assert_array_equal(inside, np.outer(rows_inside, columns))
                assert columns[-1 if x == 0 else 0]
                assert rows_inside[-1 if y == 0 else 0]
                off = int(output == 12)  # 250 px make 62 of that level, not 62.5
                assert abs(columns.sum() - output // 2) <= off
                assert abs(rows_inside.sum() - output // 2) <= off
                assert np.abs(tile[inside][:, 2].astype(int) - BLUE).max() <= 3


def test_a_smaller_tile_is_read_from_the_smaller_level():
    read = []
    levels = [from_array(level) for level in pyramid(ramp())]
    for n, level in enumerate(levels):
        level._read_box = lambda *box, n=n, inner=level._read_box: read.append(n) or inner(*box)
    image = levels[0]
    image.set_levels(levels[1:])
    for output, wanted in ((48, 0), (30, 0), (24, 1), (13, 1), (12, 2), (6, 2)):
        read.clear()
        list(images.iter_tiles(image, [[100, 100]], 48, output))
        assert set(read) == {wanted}


def test_one_cache_for_all_levels():
    image = from_levels(pyramid(ramp()))
    assert {id(level._cache) for _, level in image.levels} == {id(image._cache)}


def test_depth_of_the_first_level_holds_for_all():
    dark = np.zeros((40, 40, 3), dtype=np.uint16)
    bright = np.full((80, 80, 3), 65535, dtype=np.uint16)
    image = from_levels([bright, dark])
    assert (image.levels[0][1].read(0, 0, 40, 40) == 0).all()  # alone its range could not be told


def test_thumbnail_comes_from_a_level_with_its_own_scale():
    plain = images.open_image(ramp())
    image = from_levels(pyramid(ramp()))
    picture, scale = image.thumbnail(12)
    x = (np.arange(picture.shape[1] - 1) + 0.5) / scale
    assert np.abs(picture[0, :-1, 0] + 0.5 - x).max() <= 1.5
    assert plain.thumbnail(12)[1] == pytest.approx(scale, rel=0.15)


def test_cache_drops_the_oldest_and_decodes_once():
    cache, made = ChunkCache(5), []

    def block(key):
        return cache.get(key, lambda: made.append(key) or np.zeros(1, np.uint8))

    for key in "abcdef":
        block(key)
    block("b")
    block("a")
    assert made == [*"abcdef", "a"]
    assert cache.held_bytes == 5
    cache.clear()
    assert cache.held_bytes == 0
