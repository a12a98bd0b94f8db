"""Joined tables know what their parts knew; what contradicts is refused, what is left out is told."""

from __future__ import annotations

import warnings
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from tests_support import state_of

import histodecon as hd
from histodecon._core import read_table

REP = "X_color_stats"


@pytest.fixture(scope="module")
def whole() -> Any:
    sdata = hd.datasets.toy_slide(n_patients=2)
    hd.pp.tile_spots(sdata)
    hd.pp.embed_tiles(sdata, "color_stats", show_progress_bar=False)
    adata = sdata.tables["table"]
    hd.tl.set_targets(adata, "true_abundance")
    hd.tl.train_regressor(adata, use_rep=REP, learner="ridge")
    hd.tl.predict_abundance(adata)
    return sdata


def parts_of(whole: Any) -> list[ad.AnnData]:
    adata = whole.tables["table"]
    parts = [adata[adata.obs["patient"] == patient].copy() for patient in ("P1", "P2")]
    for part in parts:
        mine = set(part.obs["library_id"])
        part.uns["spatial"] = {name: record for name, record in part.uns["spatial"].items() if name in mine}
        root = part.uns["histodecon"]
        for branch in ("slides", "tiles"):
            root[branch] = {name: record for name, record in root[branch].items() if name in mine}
        record = root["embeddings"][REP]
        for facts in {"sources", "mpp"} & set(record):
            record[facts] = {name: value for name, value in record[facts].items() if name in mine}
    return parts


def quiet(parts: Any, **kwargs: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("error", hd.HistodeconWarning)
        return hd.concat(parts, **kwargs)


def test_nothing_is_lost(whole: Any) -> None:  # BI-88
    adata, parts = whole.tables["table"], parts_of(whole)
    before = [state_of(part) for part in parts]
    joined = quiet(parts)[adata.obs_names].copy()
    assert state_of(joined, loose=True) == state_of(adata[adata.obs_names].copy(), loose=True)
    assert [state_of(part) for part in parts] == before
    pd.testing.assert_frame_equal(
        hd.tl.evaluate(joined.copy(), groupby="patient"), hd.tl.evaluate(adata.copy(), groupby="patient")
    )
    del joined.obsm["predicted_abundance"]
    hd.tl.predict_abundance(joined)  # the model is still there
    assert "histodecon" not in ad.concat(parts).uns  # and this is what it is for


def test_scales_of_tiles_cut_in_pixels_are_kept_slide_by_slide() -> None:
    sdata = hd.datasets.toy_slide(n_patients=2, n_rows=5, n_cols=5)
    hd.pp.tile_spots(sdata, size_px=100)
    hd.pp.embed_tiles(sdata, "color_stats", show_progress_bar=False)
    record = sdata.tables["table"].uns["histodecon"]["embeddings"][REP]
    assert len(record["mpp"]) == 2
    joined = quiet(parts_of(sdata)).uns["histodecon"]["embeddings"][REP]
    assert joined["mpp"] == record["mpp"]
    assert joined["sources"] == record["sources"]


def test_spatialdata_keep_their_elements(whole: Any) -> None:
    one, other = (hd.datasets.toy_slide(n_patients=1, random_state=seed) for seed in (0, 1))
    with pytest.raises(hd.AlignmentError, match=r"BI-05.*'toy_1'.*library_id="):
        hd.concat([one, other])
    parts = parts_of(whole)
    for part in parts:
        part.obs["region"] = part.obs["region"].cat.remove_unused_categories()
        part.uns["spatialdata_attrs"]["region"] = part.obs["region"].cat.categories.tolist()
    from spatialdata import SpatialData

    halves = [
        SpatialData(images={f"toy_{i}_image": whole.images[f"toy_{i}_image"]}, tables={"table": part})
        for i, part in zip((1, 2), parts, strict=True)
    ]
    joined = quiet(halves)
    assert sorted(joined.images) == ["toy_1_image", "toy_2_image"]
    hd.pp.embed_tiles(joined, "color_stats", key_added="X_again", show_progress_bar=False)
    halves[1].images["toy_1_image"] = whole.images["toy_1_image"]
    with pytest.raises(hd.AlignmentError, match=r"images of the same name.*'toy_1_image'"):
        hd.concat(halves)


def test_tables_that_only_one_has_are_nan_elsewhere(whole: Any) -> None:
    first, second = parts_of(whole)
    del second.obsm["cell_abundance"], first.obs["novelty"], first.obs["in_tissue_tile"]
    first.obs["batch"] = pd.Categorical(["x"] * first.n_obs)
    joined = quiet([first, second])
    measured = joined.obsm["cell_abundance"].notna().all(axis=1)
    assert measured.sum() == first.n_obs
    assert measured.iloc[: first.n_obs].all()
    assert joined.obs["novelty"].isna().sum() == first.n_obs
    assert str(joined.obs["in_tissue_tile"].dtype) == "boolean"
    assert joined.obs["batch"].cat.categories.tolist() == ["x"]
    hd.tl.train_regressor(joined, use_rep=REP, learner="ridge")


def test_what_is_left_out_is_told(whole: Any) -> None:
    first, second = parts_of(whole)
    first.obsm["X_pca"], first.layers["log"] = np.ones((first.n_obs, 3)), first.X.copy()
    first.uns["mine"], second.uns["mine"], second.uns["both"], first.uns["both"] = 1, 2, "x", "x"
    hd.tl.train_regressor(second, use_rep=REP, learner="mean")
    with pytest.warns(hd.HistodeconWarning, match="BI-88") as told:
        joined = hd.concat([first, second])
    text = str(told[0].message)
    for name in ("layers['log']", "obsm['X_pca']", "uns['mine']", "uns['histodecon']['regressor']"):
        assert name in text
        slot, _, key = name.replace("']", "").partition("['")
        assert key.split("['")[-1] not in getattr(joined, slot)
    assert joined.uns["both"] == "x"
    assert "regressor" not in joined.uns["histodecon"]


def refused(parts: list[Any], error: type[Exception], words: str, **kwargs: Any) -> None:
    before = [state_of(part) for part in parts]
    with pytest.raises(error, match=words):
        hd.concat(parts, **kwargs)
    assert [state_of(part) for part in parts] == before


def test_what_contradicts_is_refused(whole: Any) -> None:
    first, second = parts_of(whole)
    refused([first], hd.InputError, "BI-35.*at least two")
    refused([first, first], hd.AlignmentError, "BI-05.*slides of the same name")
    narrow = second.copy()
    narrow.obsm[REP] = narrow.obsm[REP][:, :4]
    refused([first, narrow], hd.AlignmentError, r"BI-89.*119 columns.*4 columns")
    other = second.copy()
    other.uns["histodecon"]["embeddings"][REP]["fingerprint"] = "other"
    refused([first, other], hd.InputError, "BI-45.*different recipes")
    types = second.copy()
    table = read_table(types, "cell_abundance").rename(columns={"T-cells": "Tregs"})
    hd.tl.set_targets(types, table)
    refused([first, types], hd.AlignmentError, "BI-64.*'T-cells', 'Tregs'")
    shares = second.copy()
    table = read_table(shares, "cell_abundance")
    hd.tl.set_targets(shares, table.div(table.sum(axis=1), axis=0), kind="proportion", nan="mask")
    refused([first, shares], hd.InputError, "BI-61.*abundances in toy_1 and proportions")
    same = second[: first.n_obs].copy()
    same.obs_names = first.obs_names[: same.n_obs]
    refused([first, same], hd.AlignmentError, r"BI-05.*same barcodes.*index_unique")
    twice = second.copy()
    twice.obs_names = ["x"] * twice.n_obs
    refused([first, twice], hd.AlignmentError, "BI-04")


def test_barcodes_can_be_told_apart(whole: Any) -> None:
    first, second = parts_of(whole)
    first, second = first[:50].copy(), second[:50].copy()
    first.obs_names = second.obs_names = [f"b{i}" for i in range(50)]
    joined = hd.concat([first, second], index_unique="-")
    assert joined.obs_names[0].endswith("-toy_1")
    assert joined.obs_names[-1].endswith("-toy_2")
    named = hd.concat({"a": first, "b": second}, index_unique=":")
    assert named.obs_names[-1].endswith(":b")
    assert hd.verify(named).index.isin(["cell_abundance", REP, "true_abundance", "predicted_abundance"]).all()


def test_columns_are_matched_by_name(whole: Any) -> None:
    first, second = parts_of(whole)
    expected = hd.concat([first, second]).obsm["cell_abundance"]
    hd.tl.set_targets(second, read_table(second, "cell_abundance").iloc[:, ::-1])
    pd.testing.assert_frame_equal(hd.concat([first, second]).obsm["cell_abundance"], expected)


def test_tables_without_a_column_of_slides() -> None:
    def plain(name: str) -> ad.AnnData:
        adata = ad.AnnData(np.ones((3, 2)), obs=pd.DataFrame(index=[f"{name}{i}" for i in range(3)]))
        adata.uns["spatial"] = {name: {"images": {}, "scalefactors": {}}}
        return adata

    joined = quiet([plain("A"), plain("B")])
    assert joined.obs["library_id"].tolist() == ["A"] * 3 + ["B"] * 3
    unnamed = [ad.AnnData(np.ones((2, 2)), obs=pd.DataFrame(index=[f"{i}a", f"{i}b"])) for i in range(2)]
    refused(unnamed, hd.AlignmentError, "BI-05")
