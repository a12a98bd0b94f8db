"""Spots and the areas they lie in."""

from __future__ import annotations

from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import shapely
from tests_support import state_of

import histodecon as hd


@pytest.fixture
def adata() -> Any:
    return hd.datasets.toy_slide(n_patients=2, n_rows=6, n_cols=6, mpp=1.0)["table"]


def areas(**boxes: tuple[float, float, float, float]) -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame({"name": list(boxes)}, geometry=[shapely.box(*box) for box in boxes.values()])


def test_centers_decide_and_slides_stay_apart(adata: Any) -> None:
    hd.pp.assign_regions(adata, {"toy_1": areas(a=(0, 0, 300, 400), b=(300.5, 0, 2000, 400))})
    x, y = adata.obsm["spatial"].T
    first = (adata.obs["library_id"] == "toy_1").to_numpy()
    want = np.where(first & (y <= 400) & (x <= 300), "a", np.where(first & (y <= 400) & (x > 300.5), "b", "none"))
    np.testing.assert_array_equal(adata.obs["annotation"].astype(object).fillna("none"), want)
    assert {"a", "b", "none"} == set(want), "the picture must hold all three"


@pytest.mark.parametrize("order", [("nest", "lobule"), ("lobule", "nest")])
def test_the_smaller_of_two_counts(adata: Any, order: tuple[str, str]) -> None:
    boxes = {"nest": (200, 200, 400, 400), "lobule": (0, 0, 2000, 2000)}
    hd.pp.assign_regions(adata, {"toy_1": areas(**{name: boxes[name] for name in order})})
    x, y = adata.obsm["spatial"].T
    inside = (x >= 200) & (x <= 400) & (y >= 200) & (y <= 400) & (adata.obs["library_id"] == "toy_1").to_numpy()
    assert inside.any()
    assert ((adata.obs["annotation"] == "nest").to_numpy() == inside).all()


def test_holes_are_no_inside(adata: Any) -> None:
    ring = shapely.box(0, 0, 2000, 2000) - shapely.box(200, 200, 400, 400)
    hd.pp.assign_regions(adata, {"toy_1": gpd.GeoDataFrame({"kind": ["ring"]}, geometry=[ring])}, name_column="kind")
    x, y = adata.obsm["spatial"].T
    hole = (x > 200) & (x < 400) & (y > 200) & (y < 400)
    assert adata.obs["annotation"][hole].isna().all()


def test_a_copy_and_a_spatialdata() -> None:
    sdata = hd.datasets.toy_slide(n_rows=5, n_cols=5, mpp=1.0)
    out = hd.pp.assign_regions(sdata, areas(all=(0, 0, 9999, 9999)), copy=True, key_added="where")
    assert "where" not in sdata["table"].obs
    assert (out["table"].obs["where"] == "all").all()


@pytest.mark.parametrize(
    ("regions", "options", "words"),
    [
        (areas(a=(0, 0, 1, 1)), {}, "2 slides"),
        ({"other": areas(a=(0, 0, 1, 1))}, {}, "not here"),
        ({"toy_1": areas(a=(0, 0, 1, 1))}, {"name_column": "label"}, "no column 'label'"),
    ],
)
def test_bad_input_answers_and_changes_nothing(adata: Any, regions: Any, options: dict, words: str) -> None:
    before = state_of(adata)
    with pytest.raises(hd.InputError, match=words):
        hd.pp.assign_regions(adata, regions, **options)
    assert state_of(adata) == before
