"""Which image belongs to a slide, and how its pixels relate to full-resolution pixels."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from histodecon import GeometryError, InputError, MissingKeyError
from histodecon._core import image_source

PIXELS = np.zeros((3, 40, 60), dtype=np.uint8)


def table(*libraries: str) -> ad.AnnData:
    names = [f"{library}{i}" for library in libraries for i in range(2)]
    obs = pd.DataFrame({"library_id": np.repeat(libraries, 2)}, index=names)
    return ad.AnnData(np.zeros((len(names), 1), dtype=np.float32), obs=obs)


def sdata(adata: ad.AnnData, **images: dict):
    from spatialdata import SpatialData
    from spatialdata.models import Image2DModel

    parsed = {
        name: Image2DModel.parse(PIXELS, dims=("c", "y", "x"), transformations=transformations)
        for name, transformations in images.items()
    }
    return SpatialData(images=parsed, tables={"table": adata})


def identity(system: str) -> dict:
    from spatialdata.transformations import Identity

    return {system: Identity()}


def test_the_argument_comes_first():
    adata = table("A")
    data = sdata(adata, A_image=identity("A"))
    assert image_source(data, adata, "A", image="x.jpg").image == "x.jpg"
    assert image_source(adata, adata, "A", image={"A": "x.jpg"}).image == "x.jpg"
    with pytest.raises(MissingKeyError, match="'A'"):
        image_source(adata, adata, "A", image={"B": "x.jpg"})


def test_one_image_is_not_that_of_two_slides():
    adata = table("A", "B")
    with pytest.raises(InputError, match=r"BI-36.*for 2 slides"):
        image_source(adata, adata, "A", image="x.jpg")
    with pytest.raises(InputError, match="BI-36"):
        image_source(sdata(adata, one=identity("global")), adata, "A", image_key="one")
    with pytest.raises(MissingKeyError):  # an element that bears neither's name is not guessed
        image_source(sdata(adata, one=identity("global")), adata, "A")
    data = sdata(adata, one=identity("global"), two=identity("global"))
    assert image_source(data, adata, "B", image_key={"A": "one", "B": "two"}).name == 'images["two"]'


def test_elements_by_name():
    adata = table("A")
    both = sdata(adata, A_image=identity("A"), A_hires_image=identity("A"))
    assert image_source(both, adata, "A").name == 'images["A_image"]'
    assert image_source(both, adata, "A", image_key="A_hires_image").name == 'images["A_hires_image"]'
    assert image_source(sdata(adata, other=identity("global")), adata, "A").name == 'images["other"]'
    several = sdata(adata, A_full=identity("global"), A_hires=identity("global"))
    with pytest.raises(InputError, match=r"BI-35.*'A_full', 'A_hires'.*image_key='A_full'"):
        image_source(several, adata, "A")
    with pytest.raises(MissingKeyError, match=r"'nope'.*'A_full'"):
        image_source(several, adata, "A", image_key="nope")


def test_scale_and_shift_are_inverted():
    from spatialdata.transformations import Scale, Sequence, Translation

    adata = table("A")
    move = Sequence([Scale([4, 4], axes=("x", "y")), Translation([100, 60], axes=("x", "y"))])
    source = image_source(sdata(adata, A_image={"A": move}), adata, "A")
    assert source.scale == 0.25
    assert source.coordinate_system == "A"
    np.testing.assert_allclose(source.to_pixels(np.array([[100.0, 60.0], [140.0, 100.0]])), [[0, 0], [10, 10]])
    xy = np.random.default_rng(0).normal(size=(5, 2))
    np.testing.assert_allclose(source.to_fullres(source.to_pixels(xy)), xy)


def test_the_coordinate_system_of_the_slide_comes_first():
    from spatialdata.transformations import Identity, Scale

    adata = table("A")
    half = Scale([2, 2], axes=("x", "y"))
    assert image_source(sdata(adata, A_image={"A": half, "global": Identity()}), adata, "A").scale == 0.5
    assert image_source(sdata(adata, A_image={"x": Identity(), "global": half}), adata, "A").scale == 0.5
    with pytest.raises(InputError, match=r"BI-17.*'x', 'y'"):
        image_source(sdata(adata, A_image={"x": Identity(), "y": half}), adata, "A")


@pytest.mark.parametrize(
    "matrix",
    [
        [[2, 0, 0], [0, 3, 0], [0, 0, 1]],
        [[1, 0.2, 0], [0, 1, 0], [0, 0, 1]],
        [[0, 1, 0], [1, 0, 0], [0, 0, 1]],
        [[-1, 0, 0], [0, -1, 0], [0, 0, 1]],
    ],
)
def test_other_transformations_are_refused(matrix):
    from spatialdata.transformations import Affine

    adata = table("A")
    affine = Affine(matrix, input_axes=("x", "y"), output_axes=("x", "y"))
    with pytest.raises(GeometryError, match="BI-17"):
        image_source(sdata(adata, A_image={"A": affine}), adata, "A")


def test_picture_in_uns_and_nothing_at_all():
    adata = table("A")
    with pytest.raises(MissingKeyError, match=r"BI-106.*image="):
        image_source(adata, adata, "A")
    adata.uns["spatial"] = {"A": {"images": {"hires": PIXELS}, "scalefactors": {"tissue_hires_scalef": 0.1}}}
    source = image_source(adata, adata, "A")
    assert source.scale == 0.1
    assert source.image is PIXELS
    with pytest.raises(InputError, match="BI-35"):
        image_source(adata, adata, "A", image_key="A_image")
    del adata.uns["spatial"]["A"]["scalefactors"]
    with pytest.raises(MissingKeyError):
        image_source(adata, adata, "A")
