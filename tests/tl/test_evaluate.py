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
from histodecon import stats
from histodecon._core import read_table, table_kind, write_table

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


def change(adata: ad.AnnData, key: str, where: object, value: float) -> None:
    """Write a table again with other values in some places."""
    table = read_table(adata, key)
    table.iloc[where] = value
    write_table(adata, key, table, kind=table_kind(adata, key))


def test_scores_are_those_of_scipy_under_the_real_names() -> None:
    adata = build()
    scores = hd.tl.evaluate(adata)
    assert list(scores.index) == [*NAMES, "mean"]
    assert list(scores.columns) == ["cc", "spearman", "l1", "l1_shares", "rmse", "n", "n_defined"]
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
    change(adata, "cell_abundance", np.s_[:5], np.nan)
    change(adata, "predicted_abundance", (7, 0), np.nan)
    with pytest.warns(hd.DroppedSpotsWarning, match="5 of 24 spots .*'s0', 's1', 's2' and 2 more") as caught:
        scores = hd.tl.evaluate(adata)
    assert caught[0].filename == __file__
    assert list(scores["n"]) == [18, 19, 19, 19]
    record = adata.uns["abundance_evaluation"]
    assert (record["n_spots"], record["n_left_out"]) == (19, 5)


def test_types_without_variance_are_nan_counted_and_named() -> None:
    adata = build()
    change(adata, "predicted_abundance", np.s_[:, 1], 0.0)
    with pytest.warns(hd.UndefinedMetricWarning, match="1 of 3 \\('CAFs MSC/iCAF-like'\\)"):
        scores = hd.tl.evaluate(adata)
    assert np.isnan(scores.loc["CAFs MSC/iCAF-like", "cc"])
    assert scores.loc["mean", "cc"] == pytest.approx(scores.loc[["T-cells", "B-cells"], "cc"].mean())
    assert scores.loc["mean", "n_defined"] == 2
    change(adata, "predicted_abundance", np.s_[:12, 0], 0.0)
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
    change(adata, "predicted_abundance", np.s_[:], np.nan)


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


def cohort_of(n_groups: int = 8, n: int = 40, *, seed: int = 0, kind: str = "abundance") -> ad.AnnData:
    """Patients of unequal difficulty, a good prediction and a worse one."""
    rng = np.random.default_rng(seed)
    patient = np.repeat([f"P{i}" for i in range(n_groups)], n)
    adata = ad.AnnData(obs=pd.DataFrame({"patient": patient}, index=[f"s{i}" for i in range(len(patient))]))
    truth = rng.gamma(1, size=(len(patient), 3))
    noise = np.repeat(rng.uniform(0.5, 1.5, size=(n_groups, 1)), n, axis=0)
    good, worse = (truth + noise * rng.gamma(factor, size=truth.shape) for factor in (0.5, 1.5))
    for key, values in (("cell_abundance", truth), ("predicted_abundance", good), ("ridge", worse)):
        values = values / values.sum(axis=1, keepdims=True) if kind == "proportion" else values
        write_table(adata, key, pd.DataFrame(values, index=adata.obs_names, columns=NAMES), kind=kind)
    return adata


def test_both_conventions_of_l1() -> None:
    adata = build()
    scores = hd.tl.evaluate(adata)
    truth, predicted = (adata.obsm[key].to_numpy() for key in ("cell_abundance", "predicted_abundance"))
    assert scores.loc["mean", "l1"] == pytest.approx(np.abs(truth - predicted).mean())
    shares = [table / table.sum(axis=1, keepdims=True) for table in (truth, predicted)]
    assert scores.loc["mean", "l1_shares"] == pytest.approx(np.abs(shares[0] - shares[1]).sum(axis=1).mean())
    assert scores.loc[NAMES, "l1_shares"].sum() == pytest.approx(scores.loc["mean", "l1_shares"])
    proportions = hd.tl.evaluate(build(kind="proportion"))
    np.testing.assert_allclose(proportions.loc[NAMES, "l1_shares"], proportions.loc[NAMES, "l1"])


def test_spots_without_a_composition_are_counted_and_named() -> None:
    adata = build()
    change(adata, "cell_abundance", np.s_[:2], 0.0)
    with pytest.warns(hd.UndefinedMetricWarning, match="2 of 24 spots have no composition.*'s0', 's1'"):
        scores = hd.tl.evaluate(adata)
    rest = hd.tl.evaluate(adata[2:].copy())
    assert scores.loc["mean", "l1_shares"] == pytest.approx(rest.loc["mean", "l1_shares"])
    assert scores.loc["mean", "n"] == 24
    assert adata.uns["abundance_evaluation"]["n_without_shares"] == 2


@pytest.mark.parametrize("kind", ["abundance", "proportion"])
@pytest.mark.parametrize("groupby", [None, "patient"])
def test_more_columns_change_no_score(groupby: str | None, kind: str) -> None:
    adata = cohort_of(6, 20, kind=kind)
    plain = hd.tl.evaluate(adata, groupby=groupby)
    full = hd.tl.evaluate(adata, groupby=groupby, baseline="ridge", intervals="bootstrap", n_boot=100)
    pd.testing.assert_frame_equal(full[plain.columns], plain)
    alone = hd.tl.evaluate(adata, groupby=groupby, predicted="ridge")
    metrics = [name for name in plain if name not in {"n", "n_defined"}]
    for name in metrics:
        np.testing.assert_allclose(full[f"{name}_baseline"], alone[name])
        np.testing.assert_allclose(full[f"{name}_difference"], plain[name] - alone[name])
        for what in (name, f"{name}_difference"):
            assert (full[f"{what}_spots_low"] <= full[f"{what}_spots_high"]).all()
    ends = {"_spots_low", "_spots_high"} | ({"_groups_low", "_groups_high"} if groupby else set())
    expected = {name + end for name in metrics for end in ("_baseline", "_difference")}
    expected |= {f"{name}{part}{end}" for name in metrics for part in ("", "_difference") for end in ends}
    expected |= {f"{name}_p" for name in metrics} if groupby else set()
    assert set(full.columns) - set(plain.columns) == expected


def test_p_is_that_of_groups_and_only_in_their_mean() -> None:
    adata = cohort_of(8)
    scores = hd.tl.evaluate(adata, groupby="patient", baseline="ridge")
    patients = [f"P{i}" for i in range(8)]
    assert scores.loc[patients, "cc_p"].isna().all()
    for row in [*NAMES, "mean"]:
        pairs = scores.xs(row, level="cell_type").loc[patients]
        for name in ("cc", "l1", "l1_shares"):
            test = stats.paired_test(pairs[name], pairs[f"{name}_baseline"])
            assert scores.loc[("mean", row), f"{name}_p"] == pytest.approx(test.p[0])
            assert scores.loc[("mean", row), f"{name}_difference"] == pytest.approx(test.difference[0])
    assert scores.loc[("mean", "mean"), "cc_p"] == 2 / 2**8
    assert scores.loc[("mean", "mean"), "cc_difference"] > 0 > scores.loc[("mean", "mean"), "l1_difference"]


def test_two_patients_are_told_that_no_p_can_be_small() -> None:
    adata = cohort_of(2)
    with pytest.warns(hd.UndefinedMetricWarning, match=r"2 groups .*'P0', 'P1'.*takes 6.*below 0.5 \(0.25 one-sided\)"):
        scores = hd.tl.evaluate(adata, groupby="patient", baseline="ridge", intervals="bootstrap", n_boot=100)
    assert scores.loc["mean", "cc_groups_low"].isna().all()
    assert scores.loc[("mean", "mean"), "cc_p"] == 0.5


def test_intervals_of_a_group_are_those_of_its_spots() -> None:
    adata = cohort_of(7)
    scores = hd.tl.evaluate(adata, groupby="patient", intervals="bootstrap", n_boot=300)
    first = (adata.obs["patient"] == "P0").to_numpy()
    truth, predicted = (adata.obsm[key].to_numpy()[first] for key in ("cell_abundance", "predicted_abundance"))
    seed = np.random.SeedSequence(0).spawn(7)[0]
    drawn = stats.bootstrap_scores(truth, predicted, n_boot=300, random_state=seed)["cc"]
    low, high = stats.percentile_interval(np.column_stack([drawn, drawn.mean(axis=1)]))
    np.testing.assert_allclose(scores.loc["P0", "cc_spots_low"], low)
    np.testing.assert_allclose(scores.loc["P0", "cc_spots_high"], high)
    inside = scores.loc["P0", "cc"].between(scores.loc["P0", "cc_spots_low"], scores.loc["P0", "cc_spots_high"])
    assert inside.all()
    mean = scores.loc[("mean", "mean")]
    assert mean["cc_groups_low"] < mean["cc"] < mean["cc_groups_high"]
    widths = scores["cc_spots_high"] - scores["cc_spots_low"]
    own = widths.loc[[(f"P{i}", "mean") for i in range(7)]]
    assert widths["mean", "mean"] == pytest.approx(np.sqrt((own**2).sum()) / 7, rel=0.2)


def test_the_seed_decides_and_blocks_widen() -> None:
    adata = cohort_of(2, 60)
    adata.obs["patch"] = [f"patch {i // 6}" for i in range(120)]
    table = read_table(adata, "cell_abundance").to_numpy()[::6]
    for key in ("cell_abundance", "predicted_abundance"):
        repeated = np.repeat(read_table(adata, key).to_numpy()[::6], 6, axis=0)
        write_table(adata, key, pd.DataFrame(repeated, index=adata.obs_names, columns=NAMES), kind="abundance")
    assert len(table) == 20
    options = {"intervals": "bootstrap", "n_boot": 200}
    single = hd.tl.evaluate(adata, **options)
    pd.testing.assert_frame_equal(hd.tl.evaluate(adata, **options), single)
    assert not hd.tl.evaluate(adata, **options, random_state=1).equals(single)
    patches = hd.tl.evaluate(adata, **options, blocks="patch")
    width = [(table["l1_spots_high"] - table["l1_spots_low"])["mean"] for table in (single, patches)]
    assert width[1] > 1.5 * width[0]


def test_a_baseline_without_variance_is_named() -> None:
    adata = cohort_of(6)
    change(adata, "ridge", np.s_[:, 1], 2.0)
    with pytest.warns(hd.UndefinedMetricWarning, match="baseline obsm.'ridge'. is undefined for 1 of 3 .*CAFs"):
        scores = hd.tl.evaluate(adata, baseline="ridge", groupby="patient")
    assert np.isnan(scores.loc[("mean", "CAFs MSC/iCAF-like"), "cc_p"])
    assert np.isfinite(scores.loc[("mean", "CAFs MSC/iCAF-like"), "l1_p"])


def test_a_spot_that_the_baseline_lacks_is_scored_in_neither() -> None:
    adata = cohort_of(6)
    change(adata, "ridge", np.s_[:3], np.nan)
    with pytest.warns(hd.DroppedSpotsWarning, match="or none in obsm.'ridge'."):
        scores = hd.tl.evaluate(adata, baseline="ridge")
    assert scores.loc["mean", "n"] == 237
    rest = hd.tl.evaluate(adata[3:].copy(), baseline="ridge")
    pd.testing.assert_frame_equal(scores, rest)


def test_every_part_survives_files(tmp_path: Path) -> None:
    adata = cohort_of(6, 12)
    scores = hd.tl.evaluate(adata, groupby="patient", baseline="ridge", intervals="bootstrap", n_boot=100)
    adata.write_h5ad(tmp_path / "a.h5ad")
    adata.write_zarr(tmp_path / "a.zarr")
    for back in (ad.read_h5ad(tmp_path / "a.h5ad"), ad.read_zarr(tmp_path / "a.zarr")):
        assert state_of(back, loose=True) == state_of(adata, loose=True)
        record = back.uns["abundance_evaluation"]
        np.testing.assert_array_equal(record["scores"]["cc_p"], scores["cc_p"].to_numpy())
        assert (record["baseline"], record["intervals"], record["n_boot"]) == ("ridge", "bootstrap", 100)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"intervals": "bca"}, "intervals='bca'"),
        ({"blocks": "patient"}, "without intervals"),
        ({"intervals": "bootstrap", "n_boot": 50}, "n_boot=50"),
        ({"intervals": "bootstrap", "level": 95}, "level=95"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, object], match: str) -> None:
    adata = build()
    before = state_of(adata)
    with pytest.raises(hd.InputError, match=match) as caught:
        hd.tl.evaluate(adata, **options)  # type: ignore[arg-type]
    assert caught.value.code == "BI-72"
    assert state_of(adata) == before
    with pytest.raises(hd.MissingKeyError, match="no_patch"):
        hd.tl.evaluate(adata, intervals="bootstrap", blocks="no_patch")
    with pytest.raises(hd.MissingKeyError, match="no_ridge"):
        hd.tl.evaluate(adata, baseline="no_ridge")
