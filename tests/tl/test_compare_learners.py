"""Learners and embeddings compared on the same patients left out, with what they cost."""

from __future__ import annotations

import gc
import time
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from tests_support import slots

import histodecon as hd
from histodecon.tl._peak_memory import PeakMemory

N, PATIENTS = 160, 8


@pytest.fixture
def adata() -> ad.AnnData:
    """An embedding that tells everything, one that tells half, one that tells nothing."""
    rng = np.random.default_rng(0)
    truth = rng.gamma(2.0, 1.0, (N, 3))
    obs = pd.DataFrame({"patient": [f"P{i % PATIENTS}" for i in range(N)]}, index=[f"s{i}" for i in range(N)])
    adata = ad.AnnData(np.zeros((N, 1), dtype=np.float32), obs=obs)
    adata.obsm["X_good"] = truth @ rng.normal(size=(3, 6)) + 0.01 * rng.normal(size=(N, 6))
    adata.obsm["X_half"] = truth @ rng.normal(size=(3, 6)) + 2.0 * rng.normal(size=(N, 6))
    adata.obsm["X_none"] = rng.normal(size=(N, 6))
    adata.obsm["cells"] = pd.DataFrame(truth, index=adata.obs_names, columns=["A", "B", "C"])
    hd.tl.set_targets(adata, "cells")
    return adata


def compare(adata: ad.AnnData, learners: Any = ("mean", "ridge"), **kwargs: Any) -> pd.DataFrame:
    common = {"use_rep": "X_half", "learners": learners, "show_progress_bar": False}
    return hd.tl.compare_learners(adata, **{**common, **kwargs})


def test_scores_are_those_of_cross_validate(adata: ad.AnnData) -> None:
    table = compare(adata)
    own = hd.tl.cross_validate(
        adata, use_rep="X_half", learner="ridge", baselines=("mean",), show_progress_bar=False
    ).set_index(["fold", "learner"])
    scores = pd.DataFrame(adata.uns["learner_comparison"]["scores"])
    assert len(scores) == 2 * PATIENTS
    for _, row in scores.iterrows():
        for metric in ("cc", "l1", "spearman", "n_test"):
            np.testing.assert_allclose(row[metric], own.loc[(row["test"], row["learner"]), metric], rtol=1e-12)
    for _, row in table.iterrows():
        np.testing.assert_allclose(row["cc"], own.loc[("mean", row["learner"]), "cc"], rtol=1e-12)
    gain = own.loc[("mean", "mean"), "l1"] - own.loc[("mean", "ridge"), "l1"]
    assert table.loc[0, "l1_difference"] == pytest.approx(gain)
    assert table["n_folds"].tolist() == [PATIENTS, PATIENTS]
    assert (table["seconds"] > 0).all()


def test_what_is_read_off_the_intervals(adata: ad.AnnData) -> None:
    sets = {"half": "X_half", "good": "X_good", "none": "X_none", "both": ["X_good", "X_half"]}
    table = compare(adata, {"ridge": "ridge", "again": "ridge", "flat": "mean"}, use_rep=sets).set_index(
        ["encoders", "learner"]
    )
    assert table.loc[("half", "ridge"), "reading"] == "reference"
    assert table.loc[("half", "again"), "reading"] == "as good"
    assert table.loc[("half", "again"), ["cc_difference", "better_in"]].tolist() == [0, 0]
    assert table.loc[("good", "ridge"), "reading"] == "better"
    assert table.loc[("both", "ridge"), "reading"] == "better"
    assert table.loc[("good", "ridge"), "better_in"] == PATIENTS
    assert table.loc[("good", "ridge"), "cc_p"] == 2.0 ** (1 - PATIENTS)
    assert table.loc[("none", "ridge"), "reading"] == "worse"
    assert table.loc[("half", "flat"), "reading"] == "no CC"
    known = table.dropna(subset=["cc_difference"])
    assert (known["cc_difference_lower"] <= known["cc_difference"]).all()
    assert (known["cc_difference"] <= known["cc_difference_upper"]).all()
    assert (table["cc_lower"].dropna() < table["cc"].dropna()).all()


def test_few_patients_cannot_tell(adata: ad.AnnData) -> None:
    few = adata[adata.obs["patient"].isin(["P0", "P1", "P2"])].copy()
    table = compare(few, use_rep={"half": "X_half", "good": "X_good"})
    assert set(table["reading"]) == {"no CC", "reference", "too few groups to tell"}
    folds = compare(adata, ["ridge"], folds={"a": ["P0", "P1"], "b": [f"P{i}" for i in range(2, PATIENTS)]})
    assert folds["n_folds"].tolist() == [2]


def test_seeds_are_averaged_and_what_has_none_is_trained_once(adata: ad.AnnData) -> None:
    small = {"mlp": {"hidden": 8, "n_networks": 1, "max_epochs": 2}, "ridge": "ridge"}
    table = compare(adata, small, seeds=3, device="cpu").set_index("learner")
    scores = pd.DataFrame(adata.uns["learner_comparison"]["scores"])
    assert scores.groupby("learner")["seed"].nunique().to_dict() == {"mlp": 3, "ridge": 1}
    assert table.loc["mlp", "cc_sd_seeds"] > 0
    assert np.isnan(table.loc["ridge", "cc_sd_seeds"])
    by_seed = scores[scores["learner"] == "mlp"].groupby("seed")["cc"].mean()
    assert table.loc["mlp", "cc"] == pytest.approx(by_seed.mean())


def test_only_its_slot_is_written_and_it_survives_a_file(adata: ad.AnnData, tmp_path: Any) -> None:
    before = slots(adata)
    table = compare(adata)
    after = slots(adata)
    assert set(after) - set(before) == {'uns["learner_comparison"]'}
    assert {name: after[name] for name in before} == before
    hd.write(adata, tmp_path / "a.h5ad")
    kept = ad.read_h5ad(tmp_path / "a.h5ad").uns["learner_comparison"]
    assert pd.DataFrame(kept["summary"])["reading"].tolist() == table["reading"].tolist()
    assert list(kept["reference"]) == ["X_half", "ridge"]


@pytest.mark.parametrize(
    ("kwargs", "match"),
    [
        ({"learners": []}, "No learner"),
        ({"learners": ["forest"]}, "forest"),
        ({"learners": {"a": {"learner": "ridge", "depth": 3}}}, "depth"),
        ({"learners": ["ridge"], "reference": "mlp"}, "does not take part"),
        ({"use_rep": {}}, "No embedding"),
        ({"seeds": 0}, "seeds"),
        ({"seeds": 1.5}, "seeds"),
    ],
)
def test_bad_inputs_answer_and_change_nothing(adata: ad.AnnData, kwargs: dict[str, Any], match: str) -> None:
    before = slots(adata)
    with pytest.raises(hd.InputError, match=match):
        compare(adata, **kwargs)
    with pytest.raises(hd.MissingKeyError, match="X_absent"):
        compare(adata, use_rep={"half": "X_half", "absent": "X_absent"})
    assert slots(adata) == before


@pytest.fixture
def nuclei() -> ad.AnnData:
    """Three nuclei in each of 64 spots of 8 patients, one in eight of them in no spot."""
    rng = np.random.default_rng(0)
    n = 192
    obs = pd.DataFrame({"home": [f"s{i // 3}" for i in range(n)]}, index=[f"n{i}" for i in range(n)])
    obs["patient"] = [f"P{i // 3 % PATIENTS}" for i in range(n)]
    obs.loc[rng.choice(obs.index, n // 8, replace=False), "home"] = ""
    kinds = rng.integers(2, size=n)
    adata = ad.AnnData(np.zeros((n, 0), dtype=np.float32), obs=obs)
    adata.obsm["X_own"] = np.eye(2)[kinds] @ rng.normal(size=(2, 5)) + 0.1 * rng.normal(size=(n, 5))
    adata.obsm["X_noise"] = rng.normal(size=(n, 5))
    one = pd.DataFrame(np.eye(2)[kinds], index=obs["home"], columns=["A", "B"])
    hd.tl.set_targets(adata, one.groupby(level=0).sum().drop(""), by="home", kind="abundance")
    return adata


QUICK = {"learner": "nuclei", "n_networks": 1, "max_epochs": 5, "hidden": 8}


def test_a_learner_of_nuclei_is_compared_on_spots(nuclei: ad.AnnData) -> None:
    before = slots(nuclei)
    sets = {"own": "X_own", "noise": "X_noise", "both": ["X_own", "X_noise"]}
    table = compare(
        nuclei, {"ridge": "ridge", "nuclei": QUICK}, use_rep=sets, bag_key="home", weights=None, device="cpu"
    ).set_index(["encoders", "learner"])
    scores = pd.DataFrame(nuclei.uns["learner_comparison"]["scores"])
    n_spots = nuclei.obs["home"].nunique() - 1
    assert (scores.groupby(["encoders", "learner"])["n_test"].sum() == n_spots).all()
    assert table.loc[("noise", "ridge"), "reading"] == "worse"
    assert {name: value for name, value in slots(nuclei).items() if "learner_comparison" not in name} == before
    params = {name: value for name, value in QUICK.items() if name != "learner"}
    for keys, name in ((["X_own"], "own"), (["X_own", "X_noise"], "both")):
        alone = hd.tl.cross_validate(
            nuclei.copy(), use_rep=keys, learner="nuclei", params=params, bag_key="home", baselines=("ridge",),
            device="cpu", show_progress_bar=False,
        ).set_index(["fold", "learner"])  # fmt: skip
        for learner in ("ridge", "nuclei"):
            np.testing.assert_allclose(table.loc[(name, learner), "cc"], alone.loc[("mean", learner), "cc"], rtol=1e-9)
    only = compare(nuclei, {"nuclei": QUICK}, use_rep="X_own", bag_key="home", device="cpu")
    assert only["reading"].tolist() == ["reference"]
    assert only.loc[0, "cc"] == pytest.approx(table.loc[("own", "nuclei"), "cc"])


@pytest.mark.parametrize("other", ["context", "graph_attention", "cuca", "cpnn_abundance"])
def test_what_reads_more_than_an_embedding_is_not_compared_with_nuclei(nuclei: ad.AnnData, other: str) -> None:
    before = slots(nuclei)
    with pytest.raises(hd.InputError, match=rf"BI-124.*'{other}' cannot be compared with 'nuclei'.*table of spots"):
        compare(nuclei, ["ridge", "nuclei", other], use_rep="X_own", bag_key="home")
    assert slots(nuclei) == before


def test_nuclei_whose_spot_is_not_told_are_refused(nuclei: ad.AnnData) -> None:
    before = slots(nuclei)
    with pytest.raises(hd.MissingKeyError, match=r"BI-37.*'spot'"):
        compare(nuclei, ["ridge", "nuclei"], use_rep="X_own")
    with pytest.raises(hd.InputError, match=r"BI-72.*learner of nuclei"):
        compare(nuclei, ["ridge", "nuclei"], use_rep=lambda one, held_out: "X_own", bag_key="home")
    with pytest.raises(hd.MissingKeyError, match="X_absent"):
        compare(nuclei, ["ridge", "nuclei"], use_rep={"a": "X_own", "b": "X_absent"}, bag_key="home")
    assert slots(nuclei) == before


def test_memory_is_that_of_the_block() -> None:
    gc.collect()
    with PeakMemory() as memory:
        block = np.ones(400_000_000 // 8)
        end = time.monotonic() + 20  # on a busy machine the one that looks may have to wait
        while hasattr(memory, "_most") and memory._most - memory._before < 300 and time.monotonic() < end:
            time.sleep(0.05)
        del block
    assert np.isnan(memory.mb) or 300 < memory.mb < 600
