"""The journey writes what the documentation says it writes, and every step survives h5ad and zarr."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from tests_support import slots, state_of

import histodecon as hd
from histodecon._core._journey import JOURNEY

STEPS = (
    "pp.tile_spots",
    "pp.set_embedding",
    "pp.embed_tiles",
    "pp.adapt_embedding",
    "pp.assign_regions",
    "tl.deconvolve",
    "tl.set_targets",
    "tl.aggregate_types",
    "tl.consensus_targets",
    "tl.train_regressor",
    "tl.predict_abundance",
    "tl.cross_validate",
    "tl.compare_learners",
    "tl.evaluate",
    "tl.colocalization",
    "tl.compare_colocalization",
    "tl.compare_conditions",
)


def given(adata: Any) -> pd.DataFrame:
    """Vectors as another tool may have made them, in another order."""
    vectors = np.random.default_rng(0).normal(size=(adata.n_obs, 119))
    return pd.DataFrame(vectors[::-1], index=adata.obs_names[::-1])


def halves() -> Any:
    import geopandas as gpd
    import shapely

    return gpd.GeoDataFrame(
        {"name": ["left", "right"]}, geometry=[shapely.box(0, 0, 400, 9e9), shapely.box(400, 0, 9e9, 9e9)]
    )


def libraries_of(adata: Any) -> list[str]:
    return sorted(set(adata.obs["library_id"].astype(str)))


def run(step: str, sdata: Any) -> None:
    adata = sdata.tables["table"]
    calls = {
        "pp.tile_spots": lambda: hd.pp.tile_spots(sdata),
        "pp.set_embedding": lambda: hd.pp.set_embedding(sdata, given(adata), encoder="color_stats"),
        "pp.embed_tiles": lambda: hd.pp.embed_tiles(sdata, "color_stats", overwrite=True, show_progress_bar=False),
        "pp.adapt_embedding": lambda: hd.pp.adapt_embedding(
            sdata, use_rep="X_color_stats", params={"max_epochs": 1, "n_held_in": 1}, show_progress_bar=False
        ),
        "pp.assign_regions": lambda: hd.pp.assign_regions(sdata, {name: halves() for name in libraries_of(adata)}),
        "tl.deconvolve": lambda: hd.tl.deconvolve(
            adata, hd.datasets.toy_reference(), labels_key="cell_type", method="nnls"
        ),
        "tl.set_targets": lambda: hd.tl.set_targets(adata, "true_abundance"),
        "tl.aggregate_types": lambda: hd.tl.aggregate_types(adata, {"T-cells": "Lymphoid"}, unmapped="keep"),
        "tl.consensus_targets": lambda: hd.tl.consensus_targets(adata, ["cell_abundance", "true_abundance"]),
        "tl.train_regressor": lambda: hd.tl.train_regressor(
            adata, use_rep="X_color_stats", learner="ridge", calibrate=True
        ),
        "tl.predict_abundance": lambda: hd.tl.predict_abundance(adata),
        "tl.cross_validate": lambda: hd.tl.cross_validate(adata, use_rep="X_color_stats", learner="ridge"),
        "tl.compare_learners": lambda: hd.tl.compare_learners(adata, use_rep="X_color_stats", learners=["ridge"]),
        "tl.evaluate": lambda: hd.tl.evaluate(adata),
        "tl.colocalization": lambda: hd.tl.colocalization(adata),
        "tl.compare_colocalization": lambda: hd.tl.compare_colocalization(adata, "colocalization", permutations=9),
        "tl.compare_conditions": lambda: hd.tl.compare_conditions(adata, "treated", groupby="patient"),
    }
    calls[step]()


def documented(step: str) -> tuple[set[str], set[str]]:
    """Slots that the journey table promises, and those it allows."""
    row = next(row for row in JOURNEY if step in row.functions)

    def plain(slot: str) -> str:
        return slot.replace("{encoder}", "color_stats").replace("{library}", "*").replace("{method}", "seal")

    return {plain(slot) for slot in row.writes}, {plain(slot) for slot in (*row.writes, *row.optional)}


def starred(slot_names: set[str], libraries: list[str]) -> set[str]:
    out = set()
    for slot in slot_names:
        for library in libraries:
            slot = re.sub(rf'"{re.escape(library)}_', '"*_', slot)
        out.add(slot)
    return out


@pytest.fixture(scope="module")
def journey() -> dict[str, Any]:
    """Run the journey once; keep a copy of the table and the changed slots after each step."""
    sdata = hd.datasets.toy_slide(n_patients=4)
    obs = sdata.tables["table"].obs
    obs["treated"] = obs["patient"].isin(["P1", "P2"]).map({True: "yes", False: "no"})  # two patients of each
    before = slots(sdata)
    tables, changed = {}, {}
    for step in STEPS:
        run(step, sdata)
        after = slots(sdata)
        changed[step] = {slot for slot in after if after[slot] != before.get(slot)}
        gone = set(before) - set(after)
        assert not gone, f"{step} removed {gone}"
        before = after
        tables[step] = sdata.tables["table"].copy()
    return {"tables": tables, "changed": changed, "sdata": sdata}


@pytest.mark.parametrize("step", STEPS)
def test_keys_written_are_the_keys_documented(journey: dict[str, Any], step: str) -> None:
    libraries = list(journey["sdata"].tables["table"].obs["library_id"].unique())
    written = starred(journey["changed"][step], libraries)
    promised, allowed = documented(step)
    assert promised <= written
    assert written <= allowed


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
def test_every_step_survives_a_round_trip(journey: dict[str, Any], step: str, suffix: str, tmp_path: Path) -> None:
    adata = journey["tables"][step]
    path = tmp_path / f"table.{suffix}"
    getattr(adata, f"write_{suffix}")(path)
    back = getattr(ad, f"read_{suffix}")(path)
    assert state_of(back, loose=True) == state_of(adata, loose=True)


@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
def test_predictions_after_a_round_trip_are_bit_equal(journey: dict[str, Any], suffix: str, tmp_path: Path) -> None:
    adata = journey["tables"]["tl.predict_abundance"]
    expected = adata.obsm["predicted_abundance"].to_numpy()
    path = tmp_path / f"table.{suffix}"
    getattr(adata, f"write_{suffix}")(path)
    back = getattr(ad, f"read_{suffix}")(path)
    del back.obsm["predicted_abundance"]
    hd.tl.predict_abundance(back)
    np.testing.assert_array_equal(back.obsm["predicted_abundance"].to_numpy(), expected)


def test_the_whole_spatialdata_survives_zarr(journey: dict[str, Any], tmp_path: Path) -> None:
    import spatialdata

    journey["sdata"].write(tmp_path / "slide.zarr")
    back = spatialdata.read_zarr(tmp_path / "slide.zarr")
    assert state_of(back.tables["table"], loose=True) == state_of(journey["sdata"].tables["table"], loose=True)
    hd.pp.embed_tiles(back, "color_stats", key_added="X_again", show_progress_bar=False)
    table = back.tables["table"]
    np.testing.assert_array_equal(table.obsm["X_again"], table.obsm["X_color_stats"])


LINKS = {'obs["region"]', 'obs["spot_id"]', 'uns["spatialdata_attrs"]'}  # how SpatialData ties rows to shapes


@pytest.fixture(scope="module")
def without_spots(journey: dict[str, Any]) -> dict[str, Any]:
    """The same journey from slides without a spot, read out by the regressor of the first."""
    pictures = {name.removesuffix("_image"): image for name, image in journey["sdata"].images.items()}
    sdata = hd.io.read_slide(pictures, mpp=1.0)
    read = {f'images["{name}"]' for name in sdata.images}
    read |= {f'attrs["histodecon"]["{branch}"]' for branch in sdata.attrs["histodecon"]}
    hd.pp.tile_grid(sdata)
    gridded = set(slots(sdata)) - read - LINKS
    model = hd.tl.train_regressor(journey["tables"]["tl.set_targets"], use_rep="X_color_stats", learner="ridge")
    return {"sdata": sdata, "model": model, "written": {"io.read_slide": read, "pp.tile_grid": gridded}}


@pytest.mark.parametrize("step", ["io.read_slide", "pp.tile_grid"])
def test_keys_written_without_spots_are_the_keys_documented(without_spots: dict[str, Any], step: str) -> None:
    libraries = list(without_spots["sdata"].tables["table"].obs["library_id"].unique())
    written = starred(without_spots["written"][step], libraries)
    promised, allowed = documented(step)
    assert promised <= written
    assert written <= allowed


def test_the_journey_without_spots_reaches_its_end_and_survives(
    without_spots: dict[str, Any], journey: dict[str, Any], tmp_path: Path
) -> None:
    import spatialdata

    sdata = without_spots["sdata"]
    adata = sdata.tables["table"]
    hd.pp.embed_tiles(sdata, "color_stats", show_progress_bar=False)
    hd.tl.predict_abundance(adata, without_spots["model"])
    hd.tl.colocalization(adata)
    after_spots = set(slots(journey["sdata"].tables["table"]))
    assert set(slots(adata)) - {'obs["in_tissue"]'} <= after_spots  # nothing that the journey over spots does not have
    sdata.write(tmp_path / "slides.zarr")
    back = spatialdata.read_zarr(tmp_path / "slides.zarr")
    assert state_of(back.tables["table"], loose=True) == state_of(adata, loose=True)
    assert back.attrs["histodecon"] == sdata.attrs["histodecon"]


def test_super_resolve_writes_what_is_documented(journey: dict[str, Any], tmp_path: Path) -> None:
    """Spots that are tiles of themselves: the smallest map there is."""
    spots = journey["tables"]["tl.set_targets"].copy()
    tiles = journey["tables"]["tl.predict_abundance"].copy()
    before = slots(tiles)
    hd.tl.super_resolve(tiles, spots)
    after = slots(tiles)
    written = {slot for slot in after if after[slot] != before.get(slot)}
    promised, allowed = documented("tl.super_resolve")
    assert promised <= written <= allowed
    tiles.write_h5ad(tmp_path / "tiles.h5ad")
    assert state_of(ad.read_h5ad(tmp_path / "tiles.h5ad"), loose=True) == state_of(tiles, loose=True)


def test_colors_are_kept_where_documented(journey: dict[str, Any], tmp_path: Path) -> None:
    adata = journey["tables"]["tl.predict_abundance"].copy()
    before = slots(adata)
    hd.pl.composition(adata, "predicted_abundance", show=False)
    after = slots(adata)
    written = {slot for slot in after if after[slot] != before.get(slot)}
    promised, allowed = documented("pl.composition")
    assert promised <= written <= allowed
    adata.write_h5ad(tmp_path / "table.h5ad")
    assert state_of(ad.read_h5ad(tmp_path / "table.h5ad"), loose=True) == state_of(adata, loose=True)


def test_the_documentation_shows_the_journey() -> None:
    for row in JOURNEY:
        for name in row.functions:
            room, function = name.split(".")
            assert callable(getattr(getattr(hd, room), function))
            assert f"`{name}`" in hd.__doc__


def test_every_thin_verb_is_on_the_journey() -> None:
    named = {name for row in JOURNEY for name in row.functions}
    verbs = {f"{room}.{name}" for room in ("pp", "tl", "get") for name in getattr(hd, room).__all__}
    assert {verb for verb in verbs if ".list_" not in verb} <= named


def test_get_abundance_carries_the_tables(journey: dict[str, Any]) -> None:
    spots_by_type = hd.get.abundance(journey["sdata"].tables["table"])
    assert {"target", "predicted", "crossval", "lower", "upper"} <= set(spots_by_type.layers)
