"""Scores of tables in an AnnData: names not positions, groups, means, missing spots, refusals."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr
from tests_support import state_of

import histodecon as hd
from histodecon._core import write_table

NAMES = ["T-cells", "CAFs MSC/iCAF-like", "B-cells"]


def build(n: int = 24, *, kind: str = "abundance", seed: int = 0) -> ad.AnnData:
    rng = np.random.default_rng(seed)
    obs = pd.DataFrame({"patient": np.repeat(["P1", "P2"], n // 2)}, index=[f"s{i}" for i in range(n)])
    adata = ad.AnnData(np.zeros((n, 1), dtype=np.float32), obs=obs)
    truth = rng.gamma(1, size=(n, 3))
    predicted = truth + rng.gamma(0.3, size=(n, 3))
    if kind == "proportion":
        truth, predicted = (table / table.sum(axis=1, keepdims=True) for table in (truth, predicted))
    for key, values in (("cell_abundance", truth), ("predicted_abundance", predicted)):
        write_table(adata, key, pd.DataFrame(values, index=adata.obs_names, columns=NAMES), kind=kind)
    return adata


def test_scores_are_those_of_scipy_under_the_real_names() -> None:
    adata = build()
    scores = hd.tl.evaluate(adata)
    assert list(scores.index) == [*NAMES, "mean"]
    assert list(scores.columns) == ["cc", "spearman", "l1", "rmse", "n", "n_defined"]
    truth, predicted = (adata.obsm[key].to_numpy() for key in ("cell_abundance", "predicted_abundance"))
    for i, name in enumerate(NAMES):
        assert scores.loc[name, "cc"] == pytest.approx(pearsonr(truth[:, i], predicted[:, i])[0], abs=1e-12)
    assert scores.loc["mean", "l1"] == pytest.approx(np.abs(truth - predicted).mean())
    assert scores.loc["mean", "cc"] == pytest.approx(scores.loc[NAMES, "cc"].mean())
    assert (scores.loc["mean", "n"], scores.loc["mean", "n_defined"]) == (24, 3)


def test_columns_are_matched_by_name() -> None:
    adata = build()
    expected = hd.tl.evaluate(adata)
    shuffled = pd.DataFrame(adata.obsm["predicted_abundance"].to_numpy(), index=adata.obs_names, columns=NAMES)
    write_table(adata, "predicted_abundance", shuffled[NAMES[::-1]], kind="abundance")
    pd.testing.assert_frame_equal(hd.tl.evaluate(adata), expected)


def test_groups_are_scored_alone_and_then_averaged() -> None:
    adata = build()
    scores = hd.tl.evaluate(adata, groupby="patient")
    assert list(scores.index.names) == ["patient", "cell_type"]
    for patient in ("P1", "P2"):
        alone = hd.tl.evaluate(adata[adata.obs["patient"] == patient].copy())
        pd.testing.assert_frame_equal(scores.loc[patient], alone)
    over = (scores.loc[("P1", "mean"), "cc"] + scores.loc[("P2", "mean"), "cc"]) / 2
    assert scores.loc[("mean", "mean"), "cc"] == pytest.approx(over)
    assert scores.loc[("mean", "mean"), "n"] == 24
    assert scores.loc[("mean", "T-cells"), "n_defined"] == 2


def test_proportions_get_a_divergence() -> None:
    scores = hd.tl.evaluate(build(kind="proportion"))
    assert "jsd" in scores
    assert scores["jsd"].between(0, 1).all()


def test_spots_without_a_value_are_left_out_and_counted() -> None:
    adata = build()
    adata.obsm["cell_abundance"].iloc[:5] = np.nan
    adata.obsm["predicted_abundance"].iloc[7, 0] = np.nan
    with pytest.warns(hd.DroppedSpotsWarning, match="5 of 24 spots .*'s0', 's1', 's2' and 2 more") as caught:
        scores = hd.tl.evaluate(adata)
    assert caught[0].filename == __file__
    assert list(scores["n"]) == [18, 19, 19, 19]
    record = adata.uns["abundance_evaluation"]
    assert (record["n_spots"], record["n_left_out"]) == (19, 5)


def test_types_without_variance_are_nan_counted_and_named() -> None:
    adata = build()
    adata.obsm["predicted_abundance"].iloc[:, 1] = 0.0
    with pytest.warns(hd.UndefinedMetricWarning, match="1 of 3 \\('CAFs MSC/iCAF-like'\\)"):
        scores = hd.tl.evaluate(adata)
    assert np.isnan(scores.loc["CAFs MSC/iCAF-like", "cc"])
    assert scores.loc["mean", "cc"] == pytest.approx(scores.loc[["T-cells", "B-cells"], "cc"].mean())
    assert scores.loc["mean", "n_defined"] == 2
    adata.obsm["predicted_abundance"].iloc[:12, 0] = 0.0
    with pytest.warns(hd.UndefinedMetricWarning, match="P1: 2 of 3 .*; P2: 1 of 3"):
        hd.tl.evaluate(adata, groupby="patient")


def test_a_correlation_of_two_spots_is_said_to_be_empty() -> None:
    adata = build()
    adata.obs["patient"] = ["tiny"] * 2 + ["P2"] * 22
    with pytest.warns(hd.UndefinedMetricWarning, match="2 spots .*'tiny'"):
        scores = hd.tl.evaluate(adata, groupby="patient")
    np.testing.assert_allclose(np.abs(scores.loc["tiny"].loc[NAMES, "cc"]), 1)


def test_nothing_is_said_when_all_is_well() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        hd.tl.evaluate(build(), groupby="patient")


@pytest.mark.parametrize("groupby", [None, "patient"])
def test_record_survives_files(tmp_path: Path, groupby: str | None) -> None:
    adata = build()
    scores = hd.tl.evaluate(adata, groupby=groupby, key_added="mine")
    adata.write_h5ad(tmp_path / "a.h5ad")
    adata.write_zarr(tmp_path / "a.zarr")
    for back in (ad.read_h5ad(tmp_path / "a.h5ad"), ad.read_zarr(tmp_path / "a.zarr")):
        record = back.uns["mine"]
        assert list(record["scores"]["cell_type"])[:4] == [*NAMES, "mean"]
        assert record["scores"]["group"][0] == ("all" if groupby is None else "P1")
        np.testing.assert_array_equal(record["scores"]["cc"], scores["cc"].to_numpy())
        assert (record["truth"], record["kind"], record["unit"]) == ("cell_abundance", "abundance", "cells per spot")


def _drop_type(adata: ad.AnnData) -> None:
    table = pd.DataFrame(np.ones((24, 2)), index=adata.obs_names, columns=["T-cells", "NK cells"])
    write_table(adata, "predicted_abundance", table, kind="abundance")


def _other_kind(adata: ad.AnnData) -> None:
    table = pd.DataFrame(np.full((24, 3), 1 / 3), index=adata.obs_names, columns=NAMES)
    write_table(adata, "predicted_abundance", table, kind="proportion")


def _all_nan(adata: ad.AnnData) -> None:
    adata.obsm["predicted_abundance"].iloc[:] = np.nan


def _delete(adata: ad.AnnData) -> None:
    del adata.obsm["predicted_abundance"]


def _call_a_group_mean(adata: ad.AnnData) -> None:
    adata.obs["patient"] = "mean"


@pytest.mark.parametrize(
    ("spoil", "options", "error", "match"),
    [
        (_delete, {}, hd.MissingKeyError, "predicted_abundance.*tables present: 'cell_abundance'.*predict_abundance"),
        (_drop_type, {}, hd.AlignmentError, "only in cell_abundance: .*CAFs.*only in predicted_abundance: 'NK cells'"),
        (_other_kind, {}, hd.InputError, "HD-BI-61.*abundances.*proportions"),
        (_all_nan, {}, hd.InputError, "No spot has both"),
        (_call_a_group_mean, {"groupby": "patient"}, hd.NamingError, "called 'mean'"),
        (None, {"groupby": "donor"}, hd.MissingKeyError, "donor.*patient"),
        (None, {"key_added": "a/b"}, hd.NamingError, 'key_added="a_b"'),
    ],
)
def test_refusals_leave_the_adata_unchanged(
    spoil: Callable[[ad.AnnData], None] | None,
    options: dict[str, str],
    error: type[Exception],
    match: str,
) -> None:
    adata = build()
    if spoil is not None:
        spoil(adata)
    before = state_of(adata)
    with pytest.raises(error, match=match):
        hd.tl.evaluate(adata, **options)  # type: ignore[arg-type]
    assert state_of(adata) == before


def test_an_empty_table_is_refused() -> None:
    with pytest.raises(hd.InputError, match="0 spots"):
        hd.tl.evaluate(build()[:0].copy())
