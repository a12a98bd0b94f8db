"""GeoJSON out and in: what QuPath reads, and what a pathologist drew there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely

import histodecon as hd


@pytest.fixture(scope="module")
def sdata() -> Any:
    sdata = hd.datasets.toy_slide(n_patients=2, n_rows=6, n_cols=6, mpp=1.0)
    hd.pp.tile_spots(sdata)
    hd.tl.set_targets(sdata["table"], "true_abundance")
    return sdata


def check_schema(collection: dict) -> None:
    """RFC 7946 and what QuPath adds to it, written down from their documentation."""
    assert collection["type"] == "FeatureCollection"
    ids = set()
    for feature in collection["features"]:
        assert set(feature) == {"type", "id", "geometry", "properties"}
        assert feature["type"] == "Feature"
        ids.add(feature["id"])
        assert feature["geometry"]["type"] == "Polygon"
        for ring in feature["geometry"]["coordinates"]:
            assert len(ring) >= 4
            assert ring[0] == ring[-1], "rings are closed"
            assert all(len(point) == 2 and all(np.isfinite(point)) for point in ring)
        properties = feature["properties"]
        assert properties["objectType"] in {"annotation", "detection", "tile", "cell"}
        assert all(isinstance(value, float) for value in properties.get("measurements", {}).values())
        if "classification" in properties:
            assert isinstance(properties["classification"]["name"], str)
            assert all(0 <= channel <= 255 for channel in properties["classification"]["color"])
    assert len(ids) == len(collection["features"])


@pytest.mark.parametrize("outline", ["tile", "spot"])
def test_every_spot_is_an_object_at_its_place_with_its_cells(sdata: Any, outline: str, tmp_path: Path) -> None:
    path = hd.io.write_geojson(
        sdata, tmp_path / "one.geojson", abundance="cell_abundance", library_id="toy_2", outline=outline
    )
    collection = json.loads(path.read_text())
    check_schema(collection)
    adata = sdata["table"][(sdata["table"].obs["library_id"] == "toy_2").to_numpy()]
    assert [one["properties"]["name"] for one in collection["features"]] == list(adata.obs_names)
    table = hd.get.abundance(adata).to_df()  # under the real names
    for feature, place, (_, cells) in zip(collection["features"], adata.obsm["spatial"], table.iterrows(), strict=True):
        area = shapely.geometry.shape(feature["geometry"])
        np.testing.assert_allclose(area.centroid.coords[0], place, atol=0.02)
        low, _, high, _ = area.bounds
        assert high - low == pytest.approx(112 if outline == "tile" else 65, abs=0.02)
        told = feature["properties"]["measurements"]
        assert [name.rsplit(" (", 1)[0] for name in told] == list(cells.index)
        np.testing.assert_allclose(list(told.values()), cells.to_numpy())
        if cells.max() > 0:
            assert feature["properties"]["classification"]["name"] == cells.idxmax()
        else:
            assert "classification" not in feature["properties"], "nothing is no cell type"


def test_the_tiles_of_the_spatialdata_are_the_outlines(sdata: Any, tmp_path: Path) -> None:
    path = hd.io.write_geojson(sdata, tmp_path / "one.geojson", abundance="cell_abundance", library_id="toy_1")
    areas = hd.io.read_geojson(path)
    for area, tile in zip(areas.geometry, sdata.shapes["toy_1_tiles"].geometry, strict=True):
        np.testing.assert_allclose(area.bounds, tile.bounds, atol=0.51)  # tiles are cut at whole pixels


def test_the_same_twice_and_ids_hang_on_the_barcode(sdata: Any, tmp_path: Path) -> None:
    options = {"abundance": "cell_abundance", "library_id": "toy_1"}
    first = hd.io.write_geojson(sdata, tmp_path / "a.geojson", **options).read_bytes()
    assert hd.io.write_geojson(sdata, tmp_path / "b.geojson", **options).read_bytes() == first


def test_a_spot_without_values_has_no_measurements(sdata: Any, tmp_path: Path) -> None:
    adata = sdata["table"].copy()
    adata.obsm["cell_abundance"].iloc[0] = np.nan
    path = hd.io.write_geojson(adata, tmp_path / "a.geojson", abundance="cell_abundance", library_id="toy_1")
    first, second = json.loads(path.read_text())["features"][:2]
    assert "measurements" not in first["properties"]
    assert "classification" not in first["properties"]
    assert "measurements" in second["properties"]


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({}, hd.InputError, "Several slides"),
        ({"library_id": "other"}, hd.InputError, "no slide 'other'"),
        ({"library_id": "toy_1", "abundance": "absent"}, hd.MissingKeyError, "absent"),
        ({"library_id": "toy_1", "outline": "star"}, hd.InputError, "outline"),
        ({"library_id": "toy_1", "path": "a.txt"}, hd.InputError, "geojson"),
        ({"library_id": "toy_1", "path": "absent/a.geojson"}, hd.StoreError, "could not be written"),
    ],
)
def test_bad_input_answers_and_writes_nothing(
    sdata: Any, options: dict, error: type[Exception], words: str, tmp_path: Path
) -> None:
    options = {"abundance": "cell_abundance", **options}
    path = tmp_path / options.pop("path", "a.geojson")
    with pytest.raises(error, match=words):
        hd.io.write_geojson(sdata, path, **options)
    assert not list(tmp_path.iterdir())


def test_without_tiles_the_size_is_asked_for(tmp_path: Path) -> None:
    adata = hd.datasets.toy_slide(n_rows=5, n_cols=5, mpp=1.0)["table"]
    with pytest.raises(hd.MissingKeyError, match="tile_spots"):
        hd.io.write_geojson(adata, tmp_path / "a.geojson", abundance="true_abundance")


def feature(geometry: dict | None, **properties: Any) -> dict:
    return {"type": "Feature", "id": "x", "geometry": geometry, "properties": properties}


SQUARE = {"type": "Polygon", "coordinates": [[[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]]]}
BOW = {"type": "Polygon", "coordinates": [[[0, 0], [10, 10], [10, 0], [0, 10], [0, 0]]]}
TWO = {"type": "MultiPolygon", "coordinates": [SQUARE["coordinates"], [[[20, 0], [30, 0], [30, 10], [20, 0]]]]}
POINT = {"type": "Point", "coordinates": [1, 2]}


@pytest.mark.parametrize("form", ["collection", "list", "one"])
def test_what_qupath_writes_is_read(form: str, tmp_path: Path) -> None:
    one = feature(SQUARE, objectType="annotation", classification={"name": "Tumor", "color": [200, 0, 0]})
    content = {"collection": {"type": "FeatureCollection", "features": [one]}, "list": [one], "one": one}[form]
    (tmp_path / "a.geojson").write_text(json.dumps(content))
    found = hd.io.read_geojson(tmp_path / "a.geojson")
    assert list(found["name"]) == ["Tumor"]
    assert list(found["object_type"]) == ["annotation"]
    assert found.geometry.iloc[0].area == 100


def test_names_outlines_and_what_has_no_inside(tmp_path: Path) -> None:
    features = [
        feature(SQUARE, name="by hand"),
        feature(TWO),
        feature(BOW),
        feature(POINT, name="a point"),
        feature(None),
    ]
    (tmp_path / "a.geojson").write_text(json.dumps(features))
    found = hd.io.read_geojson(tmp_path / "a.geojson")
    assert list(found["name"]) == ["by hand", "unnamed", "unnamed"]
    assert list(found.geometry.area) == [100, 150, 50]
    assert found.geometry.is_valid.all()


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        ("no json", hd.InputError, "not GeoJSON"),
        ("[1, 2]", hd.InputError, "not GeoJSON"),
        ('{"type": "FeatureCollection", "features": []}', hd.InputError, "no area"),
        (json.dumps([feature(POINT)]), hd.InputError, "no area"),
        (json.dumps([feature({"type": "Polygon", "coordinates": [[[0, 0]]]})]), hd.InputError, "Polygon"),
        ("[" * 100_000, hd.InputError, "not GeoJSON"),
        (None, hd.StoreError, "cannot be read"),
    ],
)
def test_bad_files_answer(content: str | None, error: type[Exception], words: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "a.geojson").write_text(content)
    with pytest.raises(error, match=words):
        hd.io.read_geojson(tmp_path / "a.geojson")
