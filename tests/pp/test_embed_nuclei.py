from __future__ import annotations

import json

import numpy as np
import pytest
import shapely
from spatialdata import SpatialData, read_zarr
from spatialdata.models import Labels2DModel
from spatialdata.transformations import Identity
from tests_support import slots

import histodecon as hd
from histodecon._core import GeometryError, InputError, MissingKeyError, StoreError
from histodecon.pp import embed_nuclei


def mean_color(crops: np.ndarray) -> np.ndarray:
    return crops.mean(axis=(1, 2))


mean_color.input_px = 24


@pytest.fixture(scope="module")
def drawn() -> SpatialData:
    return hd.datasets.toy_slide(n_patients=2, n_rows=4, n_cols=4, nuclei=True)


@pytest.fixture(scope="module")
def drawn_slide() -> SpatialData:
    return hd.datasets.toy_slide(n_rows=4, n_cols=4, nuclei=True)


def shared(sdata: SpatialData) -> SpatialData:
    kinds = ("images", "labels", "points", "shapes", "tables")
    return SpatialData(**{kind: dict(getattr(sdata, kind)) for kind in kinds})


@pytest.fixture
def cohort(drawn) -> SpatialData:
    return shared(drawn)


@pytest.fixture
def slide(drawn_slide) -> SpatialData:
    return shared(drawn_slide)


def embed(sdata, nuclei, **options):
    return embed_nuclei(sdata, mean_color, nuclei=nuclei, show_progress_bar=False, **options)


def test_nuclei_of_shapes_stay_tied_to_them_and_know_their_spot(cohort):
    embed(cohort, "{library_id}_nuclei")
    nuclei, spots = cohort["nuclei"], cohort["table"]
    assert nuclei.n_obs == len(cohort["toy_1_nuclei"]) + len(cohort["toy_2_nuclei"])
    assert nuclei.obsm["X_mean_color"].shape == (nuclei.n_obs, 3)
    assert set(nuclei.obs["region"].unique()) == {"toy_1_nuclei", "toy_2_nuclei"}
    # the truth of the toy is counted from the same nuclei, so counting them by spot must give it back
    inside = nuclei[(nuclei.obs["spot"] != "").to_numpy()]
    counts = inside.obs["spot"].astype(str).value_counts().reindex(spots.obs_names, fill_value=0)
    np.testing.assert_array_equal(counts, spots.obsm["true_abundance"].sum(axis=1))
    patient = spots.obs["patient"].astype(str).loc[inside.obs["spot"].astype(str)].to_numpy()
    assert (patient == inside.obs["patient"].astype(str)).all()


def test_a_crop_is_centered_on_its_nucleus(slide):
    image = np.moveaxis(slide["toy_1_image"].values, 0, 2)
    embed(slide, "toy_1_nuclei")
    x, y = slide["nuclei"].obsm["spatial"][100]
    found = slide["nuclei"].obsm["X_mean_color"][100]
    own = image[round(y) - 12 : round(y) + 12, round(x) - 12 : round(x) + 12].mean(axis=(0, 1))
    np.testing.assert_allclose(found, own, atol=3)
    own_area = slide["toy_1_nuclei"].geometry.iloc[100].area
    assert slide["nuclei"].obs["area_um2"].iloc[100] == pytest.approx(own_area)


def test_geojson_labels_and_tables_of_areas_give_the_same_nuclei(slide, tmp_path):
    areas = slide["toy_1_nuclei"].geometry.to_numpy()[::9]
    embed(slide, slide["toy_1_nuclei"].iloc[::9], nuclei_key="a")
    features = [
        {"type": "Feature", "geometry": json.loads(shapely.to_geojson(shapely.buffer(area, 5))),
         "nucleusGeometry": json.loads(shapely.to_geojson(area)), "properties": {"objectType": "cell"}}
        for area in areas
    ]  # fmt: skip
    path = tmp_path / "cells.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    embed(slide, path, nuclei_key="b")
    from skimage.draw import polygon

    labels = np.zeros(slide["toy_1_image"].shape[1:], dtype=np.int32)
    for i, area in enumerate(areas, start=1):
        x, y = area.exterior.coords.xy
        labels[polygon(np.array(y) - 0.5, np.array(x) - 0.5, labels.shape)] = i
    slide.labels["seen"] = Labels2DModel.parse(labels, dims=("y", "x"), transformations={"toy_1": Identity()})
    embed(slide, "seen", nuclei_key="c")
    a, b, c = (slide[key].obsm["spatial"] for key in "abc")
    np.testing.assert_allclose(b, a, atol=1e-6)
    np.testing.assert_allclose(slide["b"].obs["area_um2"], shapely.area(areas), rtol=1e-6)
    kept = slide["c"].obs["nucleus_id"].to_numpy().astype(int) - 1  # those painted over are gone
    assert len(kept) > 0.8 * len(areas)
    assert np.abs(np.median(c - a[kept], axis=0)).max() < 0.1  # pixel i covers i to i + 1
    assert {"toy_1_a", "toy_1_b", "toy_1_c"} <= set(slide.shapes)


def test_segmented_nuclei_get_shapes_of_their_own(slide):
    embed(slide, "segment", nuclei_key="found", only_in_spots=True)
    found = slide["found"]
    assert (found.obs["spot"] != "").all()
    assert len(slide["toy_1_found"]) == found.n_obs
    assert found.uns["histodecon"]["nuclei"]["toy_1"]["source"] == "a segmentation by hematoxylin"
    embed(slide, "segment", nuclei_key="found")  # replaces its own
    assert slide["found"].n_obs > found.n_obs
    n_drawn = len(slide["toy_1_nuclei"])
    assert 0.7 * n_drawn < slide["found"].n_obs < 1.3 * n_drawn


def test_slides_without_spots(slide):
    plain = hd.io.read_slide(slide["toy_1_image"], library_id="biopsy", mpp=1.0)
    embed(plain, "segment")
    nuclei = plain["nuclei"]
    assert (nuclei.obs["spot"] == "").all()
    assert nuclei.obs["library_id"].unique().tolist() == ["biopsy"]
    assert "biopsy_nuclei" in plain.shapes


def test_it_survives_zarr_and_takes_more_encoders(slide, tmp_path):
    embed(slide, "toy_1_nuclei")
    slide.write(tmp_path / "slide.zarr")
    again = read_zarr(tmp_path / "slide.zarr")

    def darkness(crops):
        return 255.0 - crops.min(axis=(1, 2))

    hd.pp.embed_tiles(again, darkness, table_key="nuclei", show_progress_bar=False)
    np.testing.assert_array_equal(again["nuclei"].obsm["X_mean_color"], slide["nuclei"].obsm["X_mean_color"])
    assert again["nuclei"].obsm["X_darkness"].shape == (again["nuclei"].n_obs, 3)


def test_a_copy_leaves_the_original_alone(slide):
    before = slots(slide)
    out = embed(slide, "segment", nuclei_key="found", copy=True)
    assert slots(slide) == before
    assert "found" not in slide.tables
    assert "found" in out.tables


WRONG = {
    "no SpatialData": (lambda s: embed(s["table"], "segment"), InputError, "SpatialData"),
    "no such shapes": (lambda s: embed(s, "nothing"), MissingKeyError, "no nuclei 'nothing'"),
    "no such file": (lambda s: embed(s, "nothing.geojson"), StoreError, "cannot be read"),
    "another slide": (lambda s: embed(s, {"toy_9": "toy_1_nuclei"}), InputError, "none of slide"),
    "a table of spots": (lambda s: embed(s, "segment", nuclei_key="table"), InputError, "does not hold nuclei"),
    "shapes of a user": (lambda s: embed(s, "segment"), InputError, "has shapes 'toy_1_nuclei'"),
    "no size": (lambda s: embed(s, "segment", size_um=0.0), InputError, "size_um"),
    "no spot": (lambda s: embed(s, "segment", spot_um=-1.0), InputError, "spot_um"),
    "a bad name": (lambda s: embed(s, "segment", nuclei_key="a/b"), InputError, "cannot be called"),
    "outside": (lambda s: embed(s, far_away(s)), GeometryError, "outside its image"),
}


def far_away(sdata):
    frame = sdata["toy_1_nuclei"].copy()
    frame["geometry"] = shapely.transform(frame.geometry.to_numpy(), lambda xy: xy + 5000)
    return frame


@pytest.mark.parametrize("case", list(WRONG))
def test_what_cannot_be_is_refused_and_nothing_is_written(slide, case):
    call, error, text = WRONG[case]
    before, shapes = slots(slide), sorted(slide.shapes)
    with pytest.raises(error, match=text):
        call(slide)
    assert slots(slide) == before
    assert sorted(slide.shapes) == shapes
    assert list(slide.tables) == ["table"]


def test_one_name_for_several_slides_is_refused(cohort):
    with pytest.raises(InputError, match="for 2 slides"):
        embed(cohort, "toy_1_nuclei")


def test_an_encoder_that_fails_leaves_no_table(slide):
    def broken(crops):
        raise ValueError

    with pytest.raises(Exception):  # noqa: B017, PT011
        embed_nuclei(slide, broken, nuclei="segment", nuclei_key="found", show_progress_bar=False)
    assert "found" not in slide.tables
    assert "toy_1_found" not in slide.shapes
