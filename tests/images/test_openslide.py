"""Whole-slide images: the same pixels as by other readers, the label never read, and what is missing is named."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from slide_files import aperio_svs, generic_tiff, pyramid, ramp

from histodecon import ImageError, MissingDependencyError, images
from histodecon.images import _openslide
from histodecon.images._openslide import open_openslide, wants_openslide
from histodecon.images._tiff import open_tiff

openslide = pytest.importorskip("openslide")


def test_pixels_of_every_level(tmp_path):
    pixels = ramp()
    with open_openslide(generic_tiff(tmp_path / "a.tif", pixels, compression="zlib")) as image:
        assert (image.width, image.height, image.mpp) == (250, 240, 0.5)
        levels = [image, *(level for _, level in image.levels)]
        for level, expected in zip(levels, pyramid(pixels), strict=True):
            np.testing.assert_array_equal(level.read(0, 0, level.width, level.height), expected)
            np.testing.assert_array_equal(level.read(11, 17, 40, 30), expected[17:47, 11:51])
        assert image.digest() == images.open_image(pixels).digest()


def test_svs_is_read_by_openslide_as_by_tifffile(tmp_path):
    path = aperio_svs(tmp_path / "a.svs", ramp(), mpp=0.25)
    assert wants_openslide(path)
    plain = {"max_pixels": None, "max_value": None, "allow_gray": False}
    with images.open_image(path) as through, open_tiff(path, **plain) as direct:
        assert "aperio" in through.source
        assert through.mpp == direct.mpp == 0.25
        assert [factor for factor, _ in through.levels] == [factor for factor, _ in direct.levels] == [2.0, 4.0]
        difference = through.read(0, 0, 250, 240).astype(int) - direct.read(0, 0, 250, 240)
        assert np.abs(difference).max() <= 2


@pytest.mark.parametrize("reader", ["openslide", "tifffile"])
def test_label_and_overview_are_never_read(tmp_path, monkeypatch, reader):
    secret = np.full((500, 400, 3), 7, dtype=np.uint8)
    path = aperio_svs(tmp_path / "a.svs", ramp(), label=secret[:60, :50])
    if reader == "tifffile":
        monkeypatch.setattr(_openslide, "SHARED_SUFFIXES", frozenset())
    else:
        asked = []
        monkeypatch.setattr(openslide.OpenSlide, "associated_images", property(lambda _: asked.append(1)))
    with images.open_image(path) as image:
        everything = [image, *(level for _, level in image.levels)]
        assert [(level.width, level.height) for level in everything] == [(250, 240), (125, 120), (62, 60)]
        for level in everything:
            assert not (level.read(0, 0, level.width, level.height) == 7).all(axis=2).any()
        image.thumbnail(100)
        image.digest()
    if reader == "openslide":
        assert not asked


def test_generic_tiff_stays_with_tifffile(tmp_path):
    assert not wants_openslide(generic_tiff(tmp_path / "a.tif", ramp()))


def test_without_openslide_an_svs_is_read_by_tifffile_and_an_mrxs_says_what_it_needs(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openslide", None)
    svs = aperio_svs(tmp_path / "a.svs", ramp())
    with images.open_image(svs) as image:
        assert image.source.startswith("TIFF")
    (tmp_path / "a.mrxs").write_bytes(b"\xff\xd8\xff a small jpeg stands here")
    with pytest.raises(MissingDependencyError, match=r"histodecon\[slide\]"):
        images.open_image(tmp_path / "a.mrxs")


@pytest.mark.parametrize("suffix", [".mrxs", ".ndpi", ".scn"])
def test_files_that_are_no_slides(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"\xff\xd8\xff\xe0 not a slide")  # an .mrxs begins so, and must not be taken for a JPEG
    with pytest.raises(ImageError, match=r"HD-BI-(26|29)"):
        images.open_image(path)
    with pytest.raises(ImageError, match="HD-BI-29"):
        images.open_image(tmp_path / f"absent{suffix}")


def test_size_is_checked_before_reading(tmp_path):
    with pytest.raises(ImageError, match="HD-BI-28"):
        images.open_image(aperio_svs(tmp_path / "a.svs", ramp()), max_pixels=1000)


def test_damaged_tiles_are_named(tmp_path):
    path = generic_tiff(tmp_path / "a.tif", ramp(), compression="zlib")
    content = bytearray(path.read_bytes())
    content[2000:9000] = bytes(7000)
    path.write_bytes(content)
    with pytest.raises(ImageError, match="HD-BI-26"), open_openslide(path) as image:  # opening or reading finds it
        image.read(0, 0, 250, 240)


@pytest.mark.parametrize(
    ("properties", "mpp"),
    [
        ({"openslide.mpp-x": "0.25", "openslide.mpp-y": "0.2502"}, 0.2501),
        ({"openslide.mpp-x": "0.25", "openslide.mpp-y": "0.5"}, None),
        ({"openslide.mpp-x": "0.25"}, None),
        ({"openslide.mpp-x": "0", "openslide.mpp-y": "0"}, None),
        ({}, None),
    ],
)
def test_mpp_must_be_stated_for_both_axes(properties, mpp):
    assert _openslide._stated_mpp(properties) == (mpp if mpp is None else pytest.approx(mpp))
