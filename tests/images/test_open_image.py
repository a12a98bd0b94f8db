"""Every container gives the same pixels at the same places; bad files are named."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import tifffile

from histodecon import FallbackWarning, ImageError, images

WIDTH, HEIGHT = 700, 530


def coded(width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """An image whose pixels tell their own x and y."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x % 256, y % 256, x // 256 * 16 + y // 256], axis=2).astype(np.uint8)


def place(pixel: np.ndarray) -> tuple[int, int]:
    return int(pixel[0]) + 256 * (int(pixel[2]) // 16), int(pixel[1]) + 256 * (int(pixel[2]) % 16)


def _png(folder: Path) -> Path:
    PIL.Image.fromarray(coded()).save(folder / "a.png")
    return folder / "a.png"


def _tiff_strips(folder: Path) -> Path:
    tifffile.imwrite(folder / "s.tif", coded(), photometric="rgb", rowsperstrip=17)
    return folder / "s.tif"


def _tiff_tiled(folder: Path) -> Path:
    tifffile.imwrite(folder / "t.tif", coded(), photometric="rgb", tile=(128, 128), compression="zlib")
    return folder / "t.tif"


def _tiff_pyramid(folder: Path) -> Path:
    with tifffile.TiffWriter(folder / "p.ome.tif", ome=True) as tiff:
        metadata = {"axes": "YXS", "PhysicalSizeX": 0.5, "PhysicalSizeXUnit": "µm"}
        tiff.write(coded(), photometric="rgb", tile=(128, 128), subifds=1, metadata=metadata)
        tiff.write(coded()[::2, ::2], photometric="rgb", tile=(128, 128), subfiletype=1)
    return folder / "p.ome.tif"


def _tiff_planar(folder: Path) -> Path:
    planes = np.moveaxis(coded(), 2, 0)
    tifffile.imwrite(folder / "c.tif", planes, photometric="rgb", planarconfig="separate", tile=(128, 128))
    return folder / "c.tif"


def _tiff_16(folder: Path) -> Path:
    tifffile.imwrite(folder / "d.tif", coded().astype(np.uint16) * 257, photometric="rgb", tile=(128, 128))
    return folder / "d.tif"


def _dask(_: Path) -> object:
    import dask.array as da

    return da.from_array(np.moveaxis(coded(), 2, 0), chunks=(3, 100, 130))


def _zarr(_: Path) -> object:
    import zarr

    array = zarr.create_array({}, shape=(HEIGHT, WIDTH, 3), dtype="u1", chunks=(64, 64, 3))
    array[:] = coded()
    return array


def _spatialdata(_: Path) -> object:
    from spatialdata.models import Image2DModel

    return Image2DModel.parse(np.moveaxis(coded(), 2, 0), dims=("c", "y", "x"), c_coords=["r", "g", "b"])


def _multiscale(_: Path) -> object:
    from spatialdata.models import Image2DModel

    return Image2DModel.parse(np.moveaxis(coded(), 2, 0), dims=("c", "y", "x"), scale_factors=[2], chunks=(3, 90, 90))


def _bgr(_: Path) -> object:
    from spatialdata.models import Image2DModel

    return Image2DModel.parse(np.moveaxis(coded()[:, :, ::-1], 2, 0), dims=("c", "y", "x"), c_coords=["b", "g", "r"])


SOURCES = {
    "array": lambda _: coded(),
    "channel first": lambda _: np.moveaxis(coded(), 2, 0),
    "float 0-1": lambda _: coded() / 255,
    "float 0-255": lambda _: coded().astype(np.float32),
    "uint16": lambda _: coded().astype(np.uint16) * 257,
    "leading axis": lambda _: coded()[None],
    "png": _png,
    "tiff in strips": _tiff_strips,
    "tiled tiff": _tiff_tiled,
    "pyramid": _tiff_pyramid,
    "planar tiff": _tiff_planar,
    "16-bit tiff": _tiff_16,
    "dask": _dask,
    "zarr": _zarr,
    "SpatialData": _spatialdata,
    "SpatialData, multi-scale": _multiscale,
    "channels named b, g, r": _bgr,
}


@pytest.fixture(params=list(SOURCES))
def image(request, tmp_path):
    with images.open_image(SOURCES[request.param](tmp_path)) as opened:
        yield opened


def test_every_container_holds_the_same_picture(image):
    assert (image.width, image.height) == (WIDTH, HEIGHT)
    np.testing.assert_array_equal(image.read(0, 0, WIDTH, HEIGHT), coded())
    np.testing.assert_array_equal(image.read(123, 77, 301, 222), coded()[77:299, 123:424])
    assert image.digest() == images.open_image(coded()).digest()


def test_outside_is_white(image):
    box = image.read(WIDTH - 5, -3, 12, 9)
    padded = np.pad(coded(), ((3, 3), (5, 7), (0, 0)), constant_values=255)
    np.testing.assert_array_equal(box, padded[:9, WIDTH:])
    assert (image.read(WIDTH + 10, 0, 4, 4) == 255).all()
    assert (image.read(0, -9, 4, 4) == 255).all()


@pytest.mark.parametrize("size", [1, 2, 7, 8, 163])
def test_tile_centers_are_the_spots_to_half_a_pixel(image, size):
    rng = np.random.default_rng(0)
    xy = np.column_stack([rng.uniform(90, WIDTH - 90, 40), rng.uniform(90, HEIGHT - 90, 40)])
    seen = []
    for rows, tiles in images.iter_tiles(image, xy, size, size, batch_size=7):
        for row, tile in zip(rows, tiles, strict=True):
            first, last = place(tile[0, 0]), place(tile[-1, -1])
            middle = (np.array(first) + np.array(last) + 1) / 2  # pixel i covers i to i + 1
            assert np.abs(middle - xy[row]).max() <= 0.5
            if size % 2:
                assert place(tile[size // 2, size // 2]) == tuple(np.floor(xy[row]).astype(int))
        seen.extend(rows)
    assert sorted(seen) == list(range(40))


def test_jpeg_pixels_and_no_believed_dpi(tmp_path):
    smooth = np.broadcast_to(np.linspace(50, 200, 400).astype(np.uint8)[None, :, None], (300, 400, 3))
    PIL.Image.fromarray(np.ascontiguousarray(smooth)).save(tmp_path / "a.jpg", quality=95, dpi=(50800, 50800))
    image = images.open_image(tmp_path / "a.jpg")
    assert image.mpp is None
    assert np.abs(image.read(100, 20, 60, 40).astype(int) - smooth[20:60, 100:160]).max() <= 3


def test_mpp_of_tiffs(tmp_path):
    assert images.open_image(_tiff_pyramid(tmp_path)).mpp == 0.5
    tifffile.imwrite(
        tmp_path / "cm.tif", coded(), photometric="rgb", resolution=(20000, 20000), resolutionunit="CENTIMETER"
    )
    assert images.open_image(tmp_path / "cm.tif").mpp == pytest.approx(0.5)
    tifffile.imwrite(tmp_path / "in.tif", coded(), photometric="rgb", resolution=(72, 72), resolutionunit="INCH")
    assert images.open_image(tmp_path / "in.tif").mpp is None
    tifffile.imwrite(tmp_path / "ap.tif", coded(), photometric="rgb", description="Aperio |AppMag = 20|MPP = 0.4990")
    assert images.open_image(tmp_path / "ap.tif").mpp == pytest.approx(0.499)


def test_transparent_becomes_white(tmp_path):  # BI-18
    rgba = np.zeros((5, 6, 4), dtype=np.uint8)
    rgba[:, :3] = (200, 100, 50, 255)
    rgba[:, 3:] = (0, 0, 0, 128)
    rgba[0, :] = (9, 9, 9, 0)
    PIL.Image.fromarray(rgba).save(tmp_path / "a.png")
    for source in (rgba, tmp_path / "a.png", np.moveaxis(rgba, 2, 0)):
        pixels = images.open_image(source).read(0, 0, 6, 5)
        assert pixels[0].tolist() == [[255] * 3] * 6
        assert pixels[1, 0].tolist() == [200, 100, 50]
        assert pixels[1, 5].tolist() == [127] * 3  # 0 · 128/255 + 255 · 127/255


def test_palette_and_cmyk(tmp_path):  # BI-21, BI-24
    PIL.Image.fromarray(coded(64, 64)).quantize(256).save(tmp_path / "p.png")
    expected = np.asarray(PIL.Image.open(tmp_path / "p.png").convert("RGB"))
    np.testing.assert_array_equal(images.open_image(tmp_path / "p.png").read(0, 0, 64, 64), expected)
    PIL.Image.new("CMYK", (20, 10), (0, 100, 0, 0)).save(tmp_path / "c.jpg")
    with pytest.warns(FallbackWarning, match="CMYK"):
        image = images.open_image(tmp_path / "c.jpg")
    red, green, _ = image.read(5, 5, 1, 1)[0, 0]
    assert red > 240
    assert green < 170


def test_bit_depth_is_scaled_not_clipped():  # BI-19, BI-20
    ramp = np.linspace(0, 65535, 256).astype(np.uint16)
    deep = np.broadcast_to(ramp[None, :, None], (10, 256, 3))
    np.testing.assert_array_equal(images.open_image(deep).read(0, 0, 256, 1)[0, :, 0], np.arange(256))
    twelve = np.broadcast_to(np.linspace(0, 4095, 256).astype(np.uint16)[None, :, None], (10, 256, 3))
    with pytest.raises(ImageError, match=r"BI-19.*max_value") as error:
        images.open_image(twelve // 16)  # 8-bit values in 16 bits
    assert "255" in str(error.value)
    np.testing.assert_array_equal(images.open_image(twelve, max_value=4095).read(0, 0, 256, 1)[0, :, 0], np.arange(256))


def test_sixteen_bits_a_channel_in_a_tiff(tmp_path):  # BI-20
    tifffile.imwrite(tmp_path / "deep.tif", coded().astype(np.uint16) * 257, photometric="rgb", tile=(64, 64))
    with images.open_image(tmp_path / "deep.tif") as deep:
        np.testing.assert_array_equal(deep.read(0, 0, WIDTH, HEIGHT), coded())


def test_gray_only_on_request(tmp_path):
    grey = coded()[:, :, 0]
    deep = grey.astype(np.uint16) * 257
    PIL.Image.fromarray(grey).save(tmp_path / "g.png")
    PIL.Image.fromarray(deep).save(tmp_path / "g16.png")
    tifffile.imwrite(tmp_path / "g.tif", deep)
    for source in (grey, tmp_path / "g.png", tmp_path / "g16.png", tmp_path / "g.tif"):
        with pytest.raises(ImageError, match="BI-22"):
            images.open_image(source)
        pixels = images.open_image(source, allow_gray=True).read(0, 0, WIDTH, HEIGHT)
        np.testing.assert_array_equal(pixels, np.repeat(grey[:, :, None], 3, axis=2))


@pytest.mark.parametrize(
    ("values", "code"),
    [
        (np.full((9, 9, 3), 1.5), "BI-23"),
        (np.full((9, 9, 3), 300.0), "BI-23"),
        (np.full((9, 9, 3), -1.0), "BI-23"),
        (np.full((9, 9, 3), np.nan), "BI-23"),
        (np.full((9, 9, 3), 100, dtype=np.int64), "BI-23"),
        (np.zeros((3, 20, 3), dtype=np.uint8), "BI-24"),
        (np.zeros((20, 20, 5), dtype=np.uint8), "BI-24"),
        (np.zeros((2, 20, 20, 3), dtype=np.uint8), "BI-24"),
        (np.zeros((0, 20, 3), dtype=np.uint8), "BI-29"),
        ("not here.png", "BI-29"),
        (None, "BI-24"),
    ],
)
def test_ambiguous_arrays_are_refused(values, code):
    with pytest.raises(ImageError, match=code):
        images.open_image(values)


def test_a_value_beyond_the_range_found_is_not_clipped():
    import dask.array as da

    values = np.full((1000, 1000, 3), 0.5)
    values[300, 300] = 40.0  # between the places that are looked at
    image = images.open_image(da.from_array(values, chunks=500))
    with pytest.raises(ImageError, match="BI-23"):
        image.read(290, 290, 20, 20)


def test_dims_tell_what_a_shape_does_not():
    odd = np.moveaxis(coded(4, 60), 2, 0)
    with pytest.raises(ImageError, match="BI-24"):
        images.open_image(odd)
    np.testing.assert_array_equal(images.open_image(odd, dims=("c", "y", "x")).read(0, 0, 4, 60), coded(4, 60))


def test_fluorescence_is_refused():
    from spatialdata.models import Image2DModel

    dapi = Image2DModel.parse(np.zeros((3, 20, 20), np.uint8), dims=("c", "y", "x"), c_coords=["DAPI", "CD3", "CD8"])
    with pytest.raises(ImageError, match=r"BI-30.*DAPI"):
        images.open_image(dapi)


def test_turned_images_are_refused(tmp_path):
    exif = PIL.Image.Exif()
    exif[274] = 6
    PIL.Image.fromarray(coded(64, 32)).save(tmp_path / "a.jpg", exif=exif)
    tifffile.imwrite(tmp_path / "a.tif", coded(64, 32), photometric="rgb", extratags=[(274, "H", 1, 6, True)])
    for name in ("a.jpg", "a.tif"):
        with pytest.raises(ImageError, match=r"BI-25.*orientation 6"):
            images.open_image(tmp_path / name)
        with images.open_image(tmp_path / name, exif="ignore") as stored:
            assert (stored.width, stored.height) == (64, 32)
    with pytest.raises(ImageError, match="BI-25"):
        images.open_image(tmp_path / "a.tif", exif="apply")
    with pytest.raises(ValueError, match="BI-25"):
        images.open_image(tmp_path / "a.jpg", exif="turn")


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_a_picture_is_turned_where_that_is_asked_for(tmp_path, suffix):
    exif = PIL.Image.Exif()
    exif[274] = 6  # to be shown turned by a quarter, clockwise
    pixels = np.zeros((32, 64, 3), dtype=np.uint8)
    pixels[:, :32] = (220, 120, 180)
    PIL.Image.fromarray(pixels).save(tmp_path / f"a.{suffix}", exif=exif)
    with images.open_image(tmp_path / f"a.{suffix}", exif="apply") as turned:
        assert (turned.width, turned.height) == (32, 64)
        above, below = turned.read(16, 8, 1, 1)[0, 0].astype(int), turned.read(16, 56, 1, 1)[0, 0].astype(int)
    assert np.abs(above - (220, 120, 180)).max() <= 4
    assert below.max() <= 4


def test_cmyk_is_refused_where_color_must_be_sure(tmp_path):  # BI-21
    PIL.Image.new("CMYK", (20, 10), (0, 100, 0, 0)).save(tmp_path / "c.jpg")
    with pytest.raises(ImageError, match="BI-21"):
        images.open_image(tmp_path / "c.jpg", strict_color=True)


@pytest.mark.parametrize("maker", [_png, _tiff_tiled, _tiff_strips])
def test_truncated_files(tmp_path, maker):
    path = maker(tmp_path)
    whole = path.read_bytes()
    for part in (0.1, 0.5, 0.9):
        path.write_bytes(whole[: int(len(whole) * part)])
        with pytest.raises(ImageError, match="BI-26"):
            images.open_image(path).read(0, 0, WIDTH, HEIGHT)


def test_truncated_jpeg_also_when_pillow_was_told_to_accept_it(tmp_path, monkeypatch):
    from PIL import ImageFile

    PIL.Image.fromarray(coded()).save(tmp_path / "a.jpg")
    whole = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ImageError, match="BI-26"):
        images.open_image(tmp_path / "a.jpg").read(0, 0, 9, 9)
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with pytest.raises(ImageError, match="LOAD_TRUNCATED_IMAGES"):
        images.open_image(tmp_path / "a.jpg")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "Git LFS pointer"),
        (b"<!DOCTYPE html><html>login</html>", "web page"),
        (b"GIF89a", "not read here"),
    ],
)
def test_things_that_are_not_images(tmp_path, content, found):
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(ImageError, match=rf"BI-29.*{found}.*{len(content)} bytes"):
        images.open_image(tmp_path / "a.jpg")


def test_a_bomb_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    import struct
    import zlib

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 30000, 30000, 8, 2, 0, 0, 0)
    bomb = (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(999))) + chunk(b"IEND", b"")
    )
    (tmp_path / "b.png").write_bytes(bomb)
    with pytest.raises(ImageError, match=r"BI-28.*30000 × 30000.*GB"):
        images.open_image(tmp_path / "b.png")
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", 1000)  # another library's limit is neither used nor changed
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pixels = images.open_image(_png(tmp_path)).read(0, 0, 20, 20)
    np.testing.assert_array_equal(pixels, coded()[:20, :20])
    assert PIL.Image.MAX_IMAGE_PIXELS == 1000
    with pytest.raises(ImageError, match="max_pixels=371000"):
        images.open_image(tmp_path / "a.png", max_pixels=1000)


def test_her2st_opens_without_a_warning(shared_data):  # BI-27
    path = shared_data / "her2st" / "images" / "C2__5714_HE_BT_C2.jpg"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        image = images.open_image(path)
    assert image.width * image.height > 90_000_000
    assert image.mpp is None
