"""Which image belongs to a slide, and how its pixels relate to full-resolution pixels."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from histodecon import GeometryError, InputError, MissingKeyError
from histodecon._core import image_source, iter_libraries

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


def other_reader(*datasets: str, sizes: tuple[str, ...] = ("full", "hires", "lowres"), uns: bool = True):
    """A store as spatialdata-io writes it: no library_id, several sizes, coordinate systems for each."""
    from spatialdata import SpatialData
    from spatialdata.models import Image2DModel, ShapesModel, TableModel
    from spatialdata.transformations import Identity, Scale

    images, shapes, scales = {}, {}, {"full": 1.0, "hires": 0.5, "lowres": 0.25}
    for dataset in datasets:
        for size in sizes:
            pixels = np.arange(3 * 40 * 60, dtype=np.uint8).reshape(3, 40, 60)
            grown = 1 / scales[size]
            place = {dataset: Scale([grown, grown], axes=("x", "y")), f"{dataset}_downscaled_{size}": Identity()}
            images[f"{dataset}_{size}_image"] = Image2DModel.parse(pixels, dims=("c", "y", "x"), transformations=place)
        own = {dataset: Identity(), f"{dataset}_downscaled_hires": Scale([0.5, 0.5], axes=("x", "y"))}
        shapes[f"{dataset}_bins"] = ShapesModel.parse(np.ones((2, 2)), geometry=0, radius=1.0, transformations=own)
    adata = table(*datasets)
    adata.obs = pd.DataFrame(
        {"region": pd.Categorical(adata.obs["library_id"] + "_bins"), "spot": [0, 1] * len(datasets)},
        index=adata.obs_names,
    )
    adata = TableModel.parse(adata, region=list(shapes), region_key="region", instance_key="spot")
    if uns:
        adata.uns["spatial"] = {dataset: {} for dataset in datasets}
    return SpatialData(images=images, shapes=shapes, tables={"table": adata})


@pytest.mark.parametrize("uns", [True, False])
@pytest.mark.parametrize("datasets", [("A",), ("A", "B")])
def test_stores_of_spatialdata_io(datasets, uns):
    data = other_reader(*datasets, uns=uns)
    adata = data["table"]
    libraries = dict(iter_libraries(adata))
    named = ["A"] if uns and len(datasets) == 1 else [f"{dataset}_bins" for dataset in datasets]
    assert list(libraries) == named
    assert [rows.tolist() for rows in libraries.values()] == [[0, 1], [2, 3]][: len(datasets)]
    for library, dataset in zip(libraries, datasets, strict=True):
        source = image_source(data, adata, library)
        assert (source.name, source.scale) == (f'images["{dataset}_full_image"]', 1.0)
        assert source.coordinate_system == dataset
        small = image_source(
            data,
            adata,
            library,
            image_key={name: f"{d}_lowres_image" for name, d in zip(libraries, datasets, strict=True)},
        )
        assert (small.scale, small.coordinate_system) == (0.25, dataset)


def test_the_largest_picture_that_shows_something():
    data = other_reader("A", sizes=("hires", "lowres"))
    assert image_source(data, data["table"], "A").scale == 0.5
    data.images["A_hires_image"].data[:] = 0
    assert image_source(data, data["table"], "A").scale == 0.25
    data.images["A_lowres_image"].data[:] = 0
    with pytest.raises(InputError, match=r"BI-35.*2 images"):
        image_source(data, data["table"], "A")


def test_the_small_picture_of_squidpy_where_the_larger_is_black():
    adata = table("A")
    shown = np.arange(300, dtype=np.uint8).reshape(10, 10, 3)
    factors = {"tissue_hires_scalef": 0.4, "tissue_lowres_scalef": 0.1}
    adata.uns["spatial"] = {"A": {"images": {"hires": np.zeros((40, 40, 4)), "lowres": shown}, "scalefactors": factors}}
    assert image_source(adata, adata, "A").scale == 0.1
    adata.uns["spatial"]["A"]["images"]["hires"] = np.tile(shown, (4, 4, 1))
    assert image_source(adata, adata, "A").scale == 0.4
    del adata.uns["spatial"]["A"]["images"]["hires"]
    assert image_source(adata, adata, "A").scale == 0.1
