"""Embeddings made anew for every fold."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from tests_support import state_of
from toy_embeddings import cohort, truth_table

import histodecon as hd
from histodecon.tl._fold_embeddings import light_table

QUIET = {"show_progress_bar": False}


def table() -> ad.AnnData:
    adata = cohort()
    hd.tl.set_targets(adata, truth_table(adata), kind="abundance")
    return adata


def test_a_step_that_hands_the_key_back_gives_the_numbers_of_the_key() -> None:
    one, other, seen = table(), table(), []

    def step(adata: ad.AnnData, held_out: list[str]) -> str:
        seen.append(list(held_out))
        return "X_first"

    plain = hd.tl.cross_validate(one, use_rep="X_first", learner="ridge", **QUIET)
    stepped = hd.tl.cross_validate(other, use_rep=step, learner="ridge", **QUIET)
    pd.testing.assert_frame_equal(plain, stepped)
    np.testing.assert_allclose(one.obsm["crossval_abundance"], other.obsm["crossval_abundance"], rtol=1e-9)
    assert seen == [["A"], ["B"], ["C"]]
    assert other.uns["cross_validation"]["crossval_abundance"]["use_rep"].tolist() == ["X_first"]


def test_each_fold_is_read_off_its_own_embedding() -> None:
    adata = table()

    def only_for_a(one: ad.AnnData, held_out: list[str]) -> str:
        values = one.obsm["X_first"].copy()
        if held_out != ["A"]:
            values = np.random.default_rng(0).normal(size=values.shape).astype(np.float32)
        one.obsm["X_own"] = values
        return "X_own"

    scores = hd.tl.cross_validate(adata, use_rep=only_for_a, learner="ridge", **QUIET).set_index(["fold", "learner"])[
        "cc"
    ]
    assert scores["A", "ridge"] > 0.8
    assert abs(scores["B", "ridge"]) < 0.5
    assert "X_own" not in adata.obsm


def test_sets_and_steps_are_compared_side_by_side() -> None:
    adata = table()
    reps = {"first": "X_first", "second": lambda one, held_out: "X_second"}
    found = hd.tl.compare_learners(adata, use_rep=reps, learners=["ridge"], **QUIET)
    plain = hd.tl.compare_learners(adata, use_rep={"a": "X_first", "b": "X_second"}, learners=["ridge"], **QUIET)
    assert found["encoders"].tolist() == ["first", "second"]
    np.testing.assert_allclose(found["cc"], plain["cc"], rtol=1e-9)
    alone = hd.tl.compare_learners(adata, use_rep=reps["second"], learners=["ridge"], **QUIET)
    assert alone["encoders"].tolist() == ["adapted"]


def test_a_step_that_fails_changes_nothing() -> None:
    adata = table()
    before = state_of(adata)
    with pytest.raises(hd.MissingKeyError, match="BI-87"):
        hd.tl.cross_validate(adata, use_rep=lambda one, held_out: "X_absent", learner="ridge", **QUIET)
    assert state_of(adata) == before


def test_patients_that_stand_twice_are_told_for_steps_too() -> None:
    adata = table()
    rows = (adata.obs["patient"] == "A").to_numpy()
    other = (adata.obs["patient"] == "B").to_numpy()
    adata.obsm["X_first"][other] = adata.obsm["X_first"][rows]
    with pytest.warns(hd.HistodeconWarning, match="edited"), pytest.raises(hd.InputError, match="BI-69"):
        hd.tl.cross_validate(adata, use_rep=lambda one, held_out: "X_first", learner="ridge", **QUIET)


def test_an_adapter_of_pp_is_fitted_for_every_fold() -> None:
    from planted_stain import planted

    X, cells, counts, patients = planted(1.0, n_patients=3, n_spots=30)
    adata = ad.AnnData(counts.astype(np.float32), obs=pd.DataFrame(index=[f"s{i}" for i in range(len(X))]))
    adata.obs["patient"], adata.obsm["X_uni"] = patients, X
    hd.tl.set_targets(adata, pd.DataFrame(cells, index=adata.obs_names, columns=list("abcd")), kind="abundance")
    params = {"max_epochs": 4, "n_held_in": 1, "min_gain": 1.0}  # stays the identity
    step = hd.pp.adapter("X_uni", params=params, device="cpu")
    with pytest.warns(hd.FallbackWarning, match="BI-130"):
        found = hd.tl.cross_validate(adata.copy(), use_rep=step, learner="ridge", **QUIET)
    plain = hd.tl.cross_validate(adata, use_rep="X_uni", learner="ridge", **QUIET)
    pd.testing.assert_frame_equal(found, plain)


def test_a_light_table_shares_arrays_and_not_records() -> None:
    adata = table()
    light = light_table(adata, counts=False)
    light.obsm["X_new"] = light.obsm["X_first"]
    light.uns["histodecon"]["embeddings"]["X_new"] = {}
    assert "X_new" not in adata.obsm
    assert "X_new" not in adata.uns["histodecon"]["embeddings"]
