"""Slides of every kind keep their pixels, their pyramid and their scale; what cannot be trusted is refused."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import PIL.Image
import pytest
import spatialdata
import tifffile
from slide_files import WRITERS, aperio_svs, generic_tiff, ome_tiff, ramp
from spatialdata.transformations import get_transformation

import histodecon as hd
from histodecon import ImageError, InputError, NamingError, ResolutionError, ResolutionWarning, images
from histodecon._core import slide_notes


def note(sdata, library="slide"):
    return slide_notes(sdata)[library]


@pytest.mark.parametrize("kind", WRITERS)
def test_pyramids_stay_on_disk_with_their_levels(tmp_path, kind):
    name, write = WRITERS[kind]
    sdata = hd.io.read_slide(write(tmp_path / name, ramp()))
    tree = sdata["slide_image"]
    shapes = [tuple(tree[scale]["image"].shape) for scale in tree.children]
    assert shapes == [(3, 240, 250), (3, 120, 125), (3, 60, 62)]
    assert all(hasattr(tree[scale]["image"].data, "dask") for scale in tree.children)
    assert sdata.coordinate_systems == ["slide"]
    assert not list(sdata.tables)
    matrix = get_transformation(tree, "slide").to_affine_matrix(("x", "y"), ("x", "y"))
    np.testing.assert_array_equal(matrix, np.eye(3))
    x = tree["scale2"]["image"].coords["x"].values
    assert x[0] == pytest.approx(250 / 62 / 2)
    assert x[-1] == pytest.approx(250 - 250 / 62 / 2)
    assert note(sdata)["mpp"] == pytest.approx(0.5)
    assert note(sdata)["mpp_source"] == "image file"
    assert (note(sdata)["width_px"], note(sdata)["height_px"]) == (250, 240)
    pixels = np.moveaxis(tree["scale0"]["image"].values, 0, 2).astype(int)
    assert np.abs(pixels - ramp()).max() <= (3 if kind == "SVS" else 0)  # JPEG


def test_nothing_is_decoded_before_it_is_needed(tmp_path, monkeypatch):
    path = generic_tiff(tmp_path / "slide.tif", ramp())
    read = []
    box = images.SlideImage.read_into
    monkeypatch.setattr(images.SlideImage, "read_into", lambda *args: read.append(1) or box(*args))
    sdata = hd.io.read_slide(path)
    assert not read
    assert images.open_image(sdata["slide_image"]).digest()
    assert read


def test_images_survive_pickle_and_zarr(tmp_path):
    sdata = hd.io.read_slide(generic_tiff(tmp_path / "slide.tif", ramp()))
    again = pickle.loads(pickle.dumps(sdata["slide_image"]["scale1"]["image"].data))
    np.testing.assert_array_equal(again.compute(), sdata["slide_image"]["scale1"]["image"].values)
    sdata.write(tmp_path / "slide.zarr")
    back = spatialdata.read_zarr(tmp_path / "slide.zarr")
    assert note(back) == note(sdata)
    assert images.open_image(back["slide_image"]).digest() == images.open_image(sdata["slide_image"]).digest()
    assert len(images.open_image(back["slide_image"]).levels) == 2


def test_a_relative_path_stays_true_when_the_folder_changes(tmp_path, monkeypatch):
    generic_tiff(tmp_path / "slide.tif", ramp())
    monkeypatch.chdir(tmp_path)
    sdata = hd.io.read_slide("slide.tif")
    monkeypatch.chdir("/")
    assert sdata["slide_image"]["scale2"]["image"].values.shape == (3, 60, 62)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
def test_plain_images(tmp_path, suffix):
    path = tmp_path / f"B 4.{suffix}"
    if suffix == "tif":
        tifffile.imwrite(path, ramp(), photometric="rgb", resolution=(72, 72), resolutionunit="INCH")
    else:
        PIL.Image.fromarray(ramp()).save(path, dpi=(25400 * 2, 25400 * 2), quality=95)
    with pytest.raises(ResolutionError, match=r"HD-BI-14.*mpp=0\.5") as caught:
        hd.io.read_slide(path)
    assert "dpi" in str(caught.value)
    sdata = hd.io.read_slide(path, mpp=0.5, patient="P1")
    assert list(sdata.images) == ["B_4_image"]
    assert note(sdata, "B_4")["mpp_source"] == "user"
    assert note(sdata, "B_4")["patient"] == "P1"
    assert sdata["B_4_image"].shape == (3, 240, 250)


@pytest.mark.parametrize("unit", ["µm", "nm", "mm"])
def test_ome_units(tmp_path, unit):
    assert note(hd.io.read_slide(ome_tiff(tmp_path / "slide.ome.tif", ramp(), mpp=0.25, unit=unit)))[
        "mpp"
    ] == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("resolution", "unit", "mpp"),
    [
        ((20_000, 20_000), "CENTIMETER", 0.5),
        ((50_800, 50_800), "INCH", 0.5),
        ((300, 300), "INCH", None),  # a printer
        ((72, 72), "CENTIMETER", None),
        ((20_000, 20_000), "NONE", None),
        ((200_000, 200_000), "CENTIMETER", None),  # 0.05 µm
    ],
)
def test_tags_of_a_tiff_are_believed_when_a_microscope_can_have_written_them(tmp_path, resolution, unit, mpp):
    tifffile.imwrite(tmp_path / "slide.tif", ramp(), photometric="rgb", resolution=resolution, resolutionunit=unit)
    if mpp is None:
        with pytest.raises(ResolutionError, match="HD-BI-14"):
            hd.io.read_slide(tmp_path / "slide.tif")
    else:
        assert note(hd.io.read_slide(tmp_path / "slide.tif"))["mpp"] == pytest.approx(mpp)


def test_what_the_user_says_against_what_the_file_says(tmp_path):
    path = aperio_svs(tmp_path / "slide.svs", ramp(), mpp=0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert note(hd.io.read_slide(path, mpp=0.51))["mpp_source"] == "user"
    with pytest.warns(ResolutionWarning, match="image file"):
        assert note(hd.io.read_slide(path, mpp=0.6))["mpp"] == 0.6
    with pytest.raises(ResolutionError, match="HD-BI-15"):
        hd.io.read_slide(path, mpp=500)
    with pytest.raises(ResolutionError, match="must be a number"):
        hd.io.read_slide(path, mpp="0.5")


def test_several_slides(tmp_path):
    sources = {"A": generic_tiff(tmp_path / "a.tif", ramp()), "B": ramp(), "C": images.open_image(ramp())}
    sdata = hd.io.read_slide(sources, mpp={"B": 1.0, "C": 2.0}, patient={"A": "one", "B": "two"})
    assert sorted(sdata.images) == ["A_image", "B_image", "C_image"]
    assert {library: note(sdata, library)["mpp"] for library in "ABC"} == {"A": 0.5, "B": 1.0, "C": 2.0}
    assert "patient" not in note(sdata, "C")
    joined = spatialdata.concatenate(
        [hd.io.read_slide(ramp(), library_id=name, mpp=0.5) for name in "AB"], attrs_merge="unique"
    )
    assert sorted(slide_notes(joined)) == ["A", "B"]


def test_several_faults_are_told_together(tmp_path):
    with pytest.raises(InputError, match="2 problems") as caught:
        hd.io.read_slide({"A": tmp_path / "absent.tif", "B": ramp()})
    assert "absent.tif" in str(caught.value)
    assert "'B'" in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"path": {}}, InputError),
        ({"path": {"A": ramp()}, "library_id": "B", "mpp": 1.0}, InputError),
        ({"path": {"A": ramp()}, "mpp": {"B": 1.0}}, InputError),
        ({"path": ramp(), "library_id": "a/b", "mpp": 1.0}, NamingError),
        ({"path": "no such file.svs"}, ImageError),
        ({"path": ramp()[:, :, 0], "mpp": 1.0}, ImageError),
    ],
)
def test_bad_input(arguments, error):
    with pytest.raises(error):
        hd.io.read_slide(arguments.pop("path"), **arguments)
