"""The journey of nuclei: outlines, crops, sums over spots, types of single nuclei, and back to spots."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score

import histodecon as hd
from histodecon._core import read_table


def rings(crops: np.ndarray) -> np.ndarray:
    """Color in rings around the middle, and how long and how large the dark spot there is: 16 µm in 32 px."""
    density = -np.log10(np.maximum(crops, 1) / 255.0).astype(np.float32)
    axis = np.arange(32) - 15.5
    y, x = np.meshgrid(axis, axis, indexing="ij")
    ring = np.minimum(np.hypot(y, x) / 2.3, 6.99).astype(int)
    inside = [density[:, ring == i].mean(axis=1) for i in range(7)]
    spread = [density[:, ring == i].std(axis=1) for i in range(0, 7, 2)]
    red = density[..., 0]
    near = np.exp(-(y**2 + x**2) / (2 * 6.0**2))
    dark = np.clip(red - np.quantile(red, 0.3, axis=(1, 2))[:, None, None], 0, None) * near
    total = dark.sum(axis=(1, 2)) + 1e-3
    yy, xx, xy = ((dark * one).sum(axis=(1, 2)) / total for one in (y * y, x * x, y * x))
    half, gap = (yy + xx) / 2, np.hypot((yy - xx) / 2, xy)
    return np.concatenate([*inside, *spread, np.stack([half, gap, gap / (half + 0.1), total / 100], axis=1)], axis=1)


rings.input_px = 32


@pytest.fixture(scope="module")
def drawn():
    sdata = hd.datasets.toy_slide(n_patients=4, n_rows=9, n_cols=9, mpp=0.5, nuclei=True)
    hd.pp.embed_nuclei(
        sdata, rings, nuclei="{library_id}_nuclei", size_um=16, only_in_spots=True, show_progress_bar=False
    )
    hd.tl.set_targets(sdata["table"], "true_abundance")
    hd.tl.set_targets(sdata["nuclei"], sdata["table"], by="spot")
    nuclei = sdata["nuclei"]
    truth = [sdata[row.region]["cell_type"].loc[row.nucleus_id] for row in nuclei.obs.itertuples()]
    nuclei.obs["cell_type"] = np.asarray(truth, dtype=object)
    return sdata


def test_drawn_nuclei_are_typed_from_the_sums_over_spots_of_other_patients(drawn):
    nuclei, spots = drawn["nuclei"], drawn["table"]
    out = (nuclei.obs["patient"] == "P4").to_numpy()
    train, test = nuclei[~out].copy(), nuclei[out].copy()
    model = hd.tl.train_regressor(train, use_rep="X_rings", learner="nuclei", show_progress_bar=False)
    hd.tl.predict_abundance(test, model)
    scores = read_table(test, "predicted_abundance")
    said = scores.columns.to_numpy()[scores.to_numpy().argmax(axis=1)]
    f1 = f1_score(test.obs["cell_type"].astype(str), said, average="macro")
    assert f1 >= 0.8, f1
    own = spots[(spots.obs["patient"] == "P4").to_numpy()].copy()
    hd.tl.sum_nuclei(test, own)
    sums = read_table(own, "predicted_abundance")
    np.testing.assert_allclose(sums.sum(), scores.sum(), rtol=1e-5)  # totals are conserved
    # and spot by spot they are close to what was counted there, which was never told for this patient
    truth = read_table(own, "cell_abundance")
    assert np.mean([np.corrcoef(sums[name], truth[name])[0, 1] for name in sums]) > 0.8
    # held to what was measured, single nuclei add up to it
    hd.tl.super_resolve(test, own, predicted="predicted_abundance", smooth=False, radius_um=32.5)
    held = test.obsm["superresolved_abundance"].groupby(test.obs["spot"].astype(str)).sum().to_numpy()
    measured = truth.loc[sorted(set(test.obs["spot"].astype(str)))].to_numpy()
    np.testing.assert_allclose(held.sum(), measured.sum(), rtol=1e-5)


def test_cross_validation_scores_sums_over_spots(drawn):
    nuclei = drawn["nuclei"].copy()
    params = {"n_networks": 1, "max_epochs": 20}
    table = hd.tl.cross_validate(nuclei, use_rep="X_rings", learner="nuclei", params=params, show_progress_bar=False)
    rows = table[(table["fold"] == "mean")].set_index("learner")
    n_spots = nuclei.obs["spot"].nunique()
    assert rows.loc["nuclei", "n_test"] == rows.loc["ridge", "n_test"] == n_spots
    assert rows.loc["nuclei", "cc"] > 0.6
    assert np.isfinite(rows.loc["ridge", "cc"])
    predicted = read_table(nuclei, "crossval_abundance")
    assert len(predicted) == nuclei.n_obs
    with pytest.raises(hd.InputError, match="not rows of this table"):
        hd.tl.cross_validate(nuclei, use_rep="X_rings", learner="nuclei", keep_baselines=True, show_progress_bar=False)


def test_compared_learners_are_scored_on_spots(drawn):
    nuclei = drawn["nuclei"].copy()
    before = set(nuclei.obsm)
    quick = {"n_networks": 1, "max_epochs": 20}
    how = {"use_rep": "X_rings", "show_progress_bar": False}
    learners = {"ridge": "ridge", "nuclei": {"learner": "nuclei", **quick}, "mean": "mean"}
    table = hd.tl.compare_learners(nuclei, learners=learners, **how).set_index("learner")
    own = hd.tl.cross_validate(nuclei.copy(), learner="nuclei", params=quick, **how).set_index(["fold", "learner"])
    scores = pd.DataFrame(nuclei.uns["learner_comparison"]["scores"])
    assert len(scores) == 12
    for _, row in scores.iterrows():
        for metric in ("cc", "cc_slides", "l1", "n_test", "n_train"):
            np.testing.assert_allclose(row[metric], own.loc[(row["test"], row["learner"]), metric], rtol=1e-9)
    assert scores.groupby("learner")["n_test"].sum().unique().tolist() == [nuclei.obs["spot"].nunique()]
    assert table.loc["ridge", "reading"] == "reference"
    assert table.loc["nuclei", "cc"] > table.loc["ridge", "cc"] - 0.1
    assert set(nuclei.obsm) == before


def test_intervals_are_refused(drawn):
    with pytest.raises(hd.InputError, match=r"BI-124.*cannot be calibrated"):
        hd.tl.train_regressor(drawn["nuclei"], use_rep="X_rings", learner="nuclei", calibrate=True)
    with pytest.raises(hd.MissingKeyError, match="'home'"):
        hd.tl.train_regressor(drawn["nuclei"], use_rep="X_rings", learner="nuclei", bag_key="home")
