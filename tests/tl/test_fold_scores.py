"""Scores of folds against slow loops over patients, slides and cell types."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr

import histodecon as hd
from histodecon import stats
from histodecon.tl._fold_scores import HeldOut, cc_by_fold, join_scores, score_learner, warn_undefined
from histodecon.tl._folds import make_folds

TYPES = ["B cell", "CAFs MSC/iCAF-like", "T cell"]
N = 96
LABELS = np.repeat(list("ABCD"), N // 4).astype(object)
SLIDES = np.array([f"{label}{i % 2}" for i, label in enumerate(LABELS)], dtype=object)
MEASURED = np.arange(N) % 10 != 9
RNG = np.random.default_rng(0)
TRUTH = np.where(
    MEASURED[:, None], RNG.gamma(1, size=(N, 3)) * RNG.uniform(1, 3, size=4).repeat(N // 4)[:, None], np.nan
)
GOOD = np.nan_to_num(TRUTH) + RNG.gamma(0.5, size=(N, 3))
WORSE = np.nan_to_num(TRUTH) + RNG.gamma(2.0, size=(N, 3))


def held_out(kind: str = "abundance", **kwargs) -> HeldOut:
    folds = make_folds(LABELS, MEASURED, **{"n_folds": None, "folds": None, "random_state": 0, **kwargs})
    return HeldOut(TRUTH, MEASURED, LABELS, SLIDES, folds, TYPES, kind)


def mean_cc(rows: np.ndarray, predicted: np.ndarray) -> float:
    rows = rows & MEASURED
    return float(np.mean([pearsonr(TRUTH[rows, k], predicted[rows, k])[0] for k in range(3)]))


@pytest.mark.parametrize("folds", [None, {"1": ["A", "C"], "2": ["B", "D"]}])
def test_cc_within_patients_within_slides_and_pooled(folds: dict | None) -> None:
    given = held_out(folds=folds)
    scores = score_learner(given, "ridge", GOOD)
    plan = folds or {name: [name] for name in "ABCD"}
    table = scores.rows.set_index("fold")
    assert list(table.index) == [*plan, "mean"]
    for name, groups in [*plan.items(), ("mean", list("ABCD"))]:
        row, inside = table.loc[name], np.isin(LABELS.astype(str), groups)
        assert row["cc"] == pytest.approx(np.mean([mean_cc(group == LABELS, GOOD) for group in groups]))
        assert row["cc_slides"] == pytest.approx(np.mean([mean_cc(one == SLIDES, GOOD) for one in set(SLIDES[inside])]))
        assert row["cc_pooled"] == pytest.approx(mean_cc(inside, GOOD))
        errors = [np.abs(TRUTH - GOOD)[(group == LABELS) & MEASURED].mean() for group in groups]
        assert row["l1"] == pytest.approx(np.mean(errors))
        assert row["n_test"] == (inside & MEASURED).sum()
        assert row["n_defined"] == 3 * len(groups)
    assert table.loc["mean", "n_train"] == table["n_train"][:-1].sum()
    assert scores.cc.shape == (4, 3)
    by_fold = cc_by_fold(given, scores)
    np.testing.assert_allclose(by_fold.mean(axis=1), table["cc"][:-1])


def test_order_of_rows_changes_nothing() -> None:
    given = held_out()
    order = np.random.default_rng(1).permutation(N)
    folds = make_folds(LABELS[order], MEASURED[order], n_folds=None, folds=None, random_state=0)
    turned = HeldOut(TRUTH[order], MEASURED[order], LABELS[order], SLIDES[order], folds, TYPES, "abundance")
    pd.testing.assert_frame_equal(
        score_learner(turned, "ridge", GOOD[order]).rows, score_learner(given, "ridge", GOOD).rows
    )


def test_baselines_are_compared_patient_by_patient() -> None:
    given = held_out()
    scores = {"mlp": score_learner(given, "mlp", GOOD), "ridge": score_learner(given, "ridge", WORSE)}
    table = join_scores(scores, "mlp")
    assert list(table["fold"])[-2:] == ["mean", "mean"]
    row = table.iloc[-1]
    own, other = (table[(table["learner"] == name) & (table["fold"] != "mean")] for name in ("mlp", "ridge"))
    for metric in ("cc", "l1"):
        test = stats.paired_test(own[metric], other[metric])
        assert row[f"{metric}_p"] == pytest.approx(test.p[0])
        assert row[f"{metric}_difference"] == pytest.approx(test.difference[0])
    assert row["smallest_p"] == 0.125
    assert table.iloc[:-1]["cc_p"].isna().all()


def test_a_constant_baseline_has_an_l1_to_compare_and_no_cc() -> None:
    given = held_out()
    scores = {"mlp": score_learner(given, "mlp", GOOD), "mean": score_learner(given, "mean", np.ones((N, 3)))}
    row = join_scores(scores, "mlp").iloc[-1]
    assert np.isnan(row["cc"])
    assert np.isnan(row["cc_p"])
    assert np.isfinite(row["l1_p"])
    assert row["n_defined"] == 0


def test_types_without_variance_are_named_with_their_group() -> None:
    given = held_out()
    flat = GOOD.copy()
    flat[LABELS == "B", 1] = 2.0
    scores = score_learner(given, "mlp", flat)
    with pytest.warns(hd.UndefinedMetricWarning, match="'mlp'.*B: 1 .'CAFs MSC/iCAF-like'."):
        warn_undefined(given, "mlp", scores)
    assert scores.rows.set_index("fold").loc["B", "n_defined"] == 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_undefined(given, "mlp", score_learner(given, "mlp", GOOD))
