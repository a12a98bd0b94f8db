"""The patient left out takes no part in anything that is fitted."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from tests_support import state_of
from toy_embeddings import TYPES, cohort, truth_table

import histodecon as hd
from histodecon import stats
from histodecon._core import read_table

QUICK = {"n_networks": 2, "max_epochs": 6, "hidden": 16}


@pytest.fixture
def adata() -> ad.AnnData:
    adata = cohort()
    hd.tl.set_targets(adata, truth_table(adata))
    return adata


def validate(adata: ad.AnnData, **kwargs) -> pd.DataFrame:
    return hd.tl.cross_validate(
        adata, **{"use_rep": "X_first", "learner": "ridge", "show_progress_bar": False, "device": "cpu", **kwargs}
    )


def test_scores_are_those_of_the_predictions_it_leaves(adata) -> None:
    scores = validate(adata).set_index(["learner", "fold"])
    truth, predicted = read_table(adata, "cell_abundance"), read_table(adata, "crossval_abundance")
    for patient in "ABC":
        rows = (adata.obs["patient"] == patient).to_numpy()
        r = stats.pearson_per_type(truth[rows], predicted[rows])
        assert scores.loc[("ridge", patient), "cc"] == pytest.approx(r.mean())
        assert scores.loc[("ridge", patient), "l1"] == pytest.approx(
            np.abs(truth[rows] - predicted[rows]).mean().mean()
        )
    assert scores.loc[("ridge", "mean"), "cc"] == pytest.approx(scores.loc["ridge"].loc[["A", "B", "C"], "cc"].mean())
    assert scores.loc[("ridge", "mean"), "cc"] > 0.9
    assert np.isnan(scores.loc[("mean", "A"), "cc"])
    assert scores.loc[("mean", "A"), "n_defined"] == 0
    kept = adata.uns["cross_validation"]["crossval_abundance"]
    assert kept["cc"].shape == (3, 3)
    assert list(kept["cell_types"]) == TYPES


@pytest.mark.parametrize("learner", ["mean", "ridge", "mlp"])
def test_predictions_of_a_fold_equal_training_on_the_others(adata, learner: str) -> None:
    params = QUICK if learner == "mlp" else None
    validate(adata, learner=learner, params=params, baselines=())
    inside, out = adata[adata.obs["patient"] != "B"].copy(), adata[adata.obs["patient"] == "B"].copy()
    hd.tl.train_regressor(
        inside, use_rep="X_first", learner=learner, params=params, device="cpu", show_progress_bar=False
    )
    model = hd.models.AbundanceRegressor.from_bytes(inside.uns["histodecon"]["regressor"]["model"].tobytes())
    found = adata.obsm["crossval_abundance"][adata.obs["patient"] == "B"].to_numpy()
    # ridge solves all folds from shared sums: the same to rounding, not to the last bit
    np.testing.assert_allclose(found, model.predict(out.obsm["X_first"]), rtol=1e-10 if learner == "ridge" else 0)


@pytest.mark.parametrize("what", ["embedding of the patient left out", "targets of the patient left out"])
@pytest.mark.parametrize("learner", ["mean", "ridge", "mlp"])
def test_nothing_of_the_patient_left_out_leaks(adata, what: str, learner: str) -> None:
    """One spot of patient B is changed beyond measure: all other spots of B are predicted as before."""
    params = QUICK if learner == "mlp" else None
    validate(adata, learner=learner, params=params, baselines=())
    before = adata.obsm["crossval_abundance"].to_numpy().copy()
    rows = np.flatnonzero(adata.obs["patient"] == "B")
    if what.startswith("embedding"):
        adata.obsm["X_first"][rows[0]] += 1e4
    else:
        adata.obsm["cell_abundance"].iloc[rows[0]] = 1e4
    validate(adata, learner=learner, params=params, baselines=())
    after = adata.obsm["crossval_abundance"].to_numpy()
    np.testing.assert_allclose(after[rows[1:]], before[rows[1:]], rtol=1e-5, atol=1e-6)
    others = np.flatnonzero(adata.obs["patient"] != "B")
    if not (learner == "mean" and what.startswith("embedding")):
        assert np.abs(after[others] - before[others]).max() > 1e-3


def test_shuffled_targets_score_nothing() -> None:
    adata = cohort(600)
    table = truth_table(adata)
    order = np.random.default_rng(3).permutation(len(table))
    hd.tl.set_targets(adata, table.iloc[order].set_axis(table.index))
    scores = validate(adata, learner="mlp", params=QUICK).set_index(["learner", "fold"])["cc"]
    assert abs(scores["ridge", "mean"]) < 0.1
    assert abs(scores["mlp", "mean"]) < 0.1


def test_two_runs_stand_side_by_side(adata) -> None:
    validate(adata)
    validate(adata, learner="mean", key_added="crossval_mean", baselines=())
    assert set(adata.uns["cross_validation"]) == {"crossval_abundance", "crossval_mean"}


def test_spots_without_targets_are_predicted_but_not_scored(adata) -> None:
    table = truth_table(adata)
    with pytest.warns(hd.DroppedSpotsWarning):
        hd.tl.set_targets(adata, table.iloc[12:])
    scores = validate(adata)
    assert np.isfinite(adata.obsm["crossval_abundance"].to_numpy()).all()
    assert scores.loc[(scores["learner"] == "ridge") & (scores["fold"] != "mean"), "n_test"].sum() == 78


def test_results_survive_h5ad_and_zarr(adata, tmp_path) -> None:
    validate(adata)
    for form in ("h5ad", "zarr"):
        getattr(adata, f"write_{form}")(tmp_path / f"a.{form}")
        again = getattr(ad, f"read_{form}")(tmp_path / f"a.{form}")
        assert state_of(again, loose=True) == state_of(adata, loose=True)


def one_patient(adata: ad.AnnData) -> None:
    adata.obs["patient"] = "A"


def one_measured(adata: ad.AnnData) -> None:
    adata.obsm["cell_abundance"].loc[(adata.obs["patient"] != "A").to_numpy()] = np.nan


def same_slide_twice(adata: ad.AnnData) -> None:
    a, b = (np.flatnonzero(adata.obs["patient"] == name) for name in "AB")
    adata.obsm["X_first"][b] = adata.obsm["X_first"][a]


def nothing(adata: ad.AnnData) -> None:
    """Leaves it as it is."""


@pytest.mark.parametrize(
    ("change", "kwargs", "error", "words"),
    [
        (one_patient, {}, hd.InputError, "BI-68"),
        (one_measured, {}, hd.InputError, "BI-68"),
        (same_slide_twice, {}, hd.InputError, "BI-69"),
        (nothing, {"groupby": "site"}, hd.MissingKeyError, "site"),
        (nothing, {"learner": "forest"}, hd.InputError, "BI-51"),
        (nothing, {"baselines": ["forest"]}, hd.InputError, "BI-51"),
        (nothing, {"params": {"hidden": 3}}, hd.InputError, "BI-72"),
        (nothing, {"use_rep": "X_none"}, hd.MissingKeyError, "X_none"),
    ],
)
def test_bad_input_answers_and_changes_nothing(adata, change, kwargs: dict, error: type[Exception], words: str) -> None:
    change(adata)
    before = state_of(adata)
    with pytest.raises(error, match=words):
        validate(adata, **kwargs)
    assert state_of(adata) == before


def test_weights_of_a_fold_are_those_of_its_training_spots(adata) -> None:
    sd = truth_table(adata) * 0.5 + 0.1
    hd.tl.set_targets(adata, truth_table(adata), sd=sd)
    validate(adata, weights="posterior")
    expected = adata.obsm["crossval_abundance"].to_numpy()
    assert adata.uns["cross_validation"]["crossval_abundance"]["weights"] == "posterior"
    inside = adata[adata.obs["patient"] != "B"].copy()
    model = hd.tl.train_regressor(inside, use_rep="X_first", learner="ridge", weights="posterior")
    of_b = (adata.obs["patient"] == "B").to_numpy()
    np.testing.assert_array_equal(expected[of_b], model.predict(adata.obsm["X_first"][of_b]))
    sd.loc[of_b] *= 100  # how certain the patient left out is changes nothing for that patient
    hd.tl.set_targets(adata, truth_table(adata), sd=sd)
    validate(adata, weights="posterior")
    np.testing.assert_array_equal(adata.obsm["crossval_abundance"].to_numpy()[of_b], expected[of_b])
    assert np.abs(adata.obsm["crossval_abundance"].to_numpy()[~of_b] - expected[~of_b]).max() > 1e-6


def test_given_folds_score_each_patient_alone(adata) -> None:
    adata.obs["slide"] = "x"
    adata.obs["half"] = np.where(adata.obs["patient"] == "A", "one", "two")
    scores = validate(adata, folds={"one": ["A"], "two": ["B", "C"]})
    assert list(scores.loc[scores["learner"] == "ridge", "fold"]) == ["one", "two", "mean"]
    assert scores.equals(validate(adata, folds="half"))
    truth, predicted = read_table(adata, "cell_abundance"), read_table(adata, "crossval_abundance")
    per_patient = [
        stats.pearson_per_type(truth[own], predicted[own]).mean()
        for own in ((adata.obs["patient"] == name).to_numpy() for name in "ABC")
    ]
    table = scores[scores["learner"] == "ridge"].set_index("fold")
    assert table.loc["two", "cc"] == pytest.approx(np.mean(per_patient[1:]))
    assert table.loc["mean", "cc"] == pytest.approx(np.mean(per_patient))
    kept = adata.uns["cross_validation"]["crossval_abundance"]
    assert list(kept["groups"]) == ["A", "B", "C"]
    assert list(kept["group_folds"]) == ["one", "two", "two"]
    np.testing.assert_allclose(kept["group_cc"].mean(axis=1), per_patient)
    assert kept["cc"].shape == (2, 3)


def test_baselines_are_kept_on_request_and_compared(adata) -> None:
    validate(adata)
    assert "crossval_abundance_mean" not in adata.obsm
    scores = validate(adata, keep_baselines=True, baselines=["mean"])
    assert np.ptp(adata.obsm["crossval_abundance_mean"][adata.obs["patient"] == "A"].to_numpy(), axis=0).max() == 0
    with pytest.warns(hd.UndefinedMetricWarning, match="below 0.25"):
        table = hd.tl.evaluate(
            adata, predicted="crossval_abundance", baseline="crossval_abundance_mean", groupby="patient"
        )
    row = scores.set_index(["learner", "fold"]).loc[("mean", "mean")]
    assert table.loc[("mean", "mean"), "l1_p"] == pytest.approx(row["l1_p"]) == pytest.approx(row["smallest_p"])
    assert table.loc[("mean", "mean"), "l1_difference"] == pytest.approx(row["l1_difference"])
    assert row["l1_difference"] < 0


def test_learners_that_read_neighbors_see_none_of_the_patients_left_out(adata) -> None:
    adata.obs["library_id"] = adata.obs["patient"].astype(str)
    adata.obsm["spatial"] = np.array([[i // 3 % 6, i // 18] for i in range(90)], dtype=float)
    how = {"learner": "context", "params": QUICK, "baselines": ()}
    validate(adata, **how)
    before = adata.obsm["crossval_abundance"].to_numpy().copy()
    of_b = (adata.obs["patient"] == "B").to_numpy()
    adata.obsm["X_first"][of_b] += np.random.default_rng(0).normal(size=(30, 8)).astype(np.float32)
    validate(adata, **how)
    after = adata.obsm["crossval_abundance"].to_numpy()
    assert np.abs(after - before)[of_b].max() > 1e-3
    inside, out = adata[~of_b].copy(), adata[of_b].copy()
    model = hd.tl.train_regressor(inside, use_rep="X_first", learner="context", params=QUICK, device="cpu")
    hd.tl.predict_abundance(out, model)
    np.testing.assert_allclose(out.obsm["predicted_abundance"].to_numpy(), after[of_b], rtol=1e-6, atol=1e-7)


def test_a_fold_called_mean_is_refused(adata) -> None:
    adata.obs["patient"] = adata.obs["patient"].astype(str).replace("C", "mean")
    before = state_of(adata)
    with pytest.raises(hd.NamingError, match="'mean'"):
        validate(adata)
    assert state_of(adata) == before
