"""Sets of encoders compared patient by patient: which numbers are drawn, and from which tables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection

import histodecon as hd
from histodecon import stats

SETS = ["color", "UNI $x$", "both"]


@pytest.fixture(autouse=True)
def _close() -> Iterator[None]:
    yield
    plt.close("all")


def long(n: int = 8) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = [
        {"encoders": name, "learner": learner, "seed": seed, "test": f"P{i}", "cc": rng.normal(0.3 + 0.05 * j, 0.03)}
        for learner in ("mlp", "ridge")
        for j, name in enumerate(SETS)
        for i in range(n)
        for seed in range(2)
    ]
    return pd.DataFrame(rows)


def means_of(ax: plt.Axes) -> list[np.ndarray]:
    return [np.asarray(line.get_xdata()) for line in ax.lines if line.get_marker() == "D" and len(line.get_xdata())]


def intervals_of(ax: plt.Axes) -> list[np.ndarray]:
    found = [np.array(one.get_segments()) for one in ax.collections if isinstance(one, LineCollection)]
    return [one[:, :, 0] for one in found if len(one)]


def test_means_dots_intervals_and_gains_are_those_of_the_table() -> None:
    table = long()
    ax = hd.pl.ablation(table, series="learner", show=False)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["color", r"UNI \$x\$", "both"]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["mlp", "ridge"]
    texts = [text.get_text().replace("−", "-") for text in ax.texts]
    for i, learner in enumerate(("mlp", "ridge")):
        own = table[table["learner"] == learner].groupby(["test", "encoders"])["cc"].mean().unstack()[SETS]
        np.testing.assert_allclose(means_of(ax)[i], own.mean())
        drawn = stats.bootstrap_groups(own.to_numpy(), n_boot=9999, random_state=0)
        np.testing.assert_allclose(intervals_of(ax)[i].T, stats.group_interval(drawn, 8))
        gain = own["both"] - own["color"]
        assert f"{(gain > 0).sum()} of 8  ({gain.mean():+.3f})" in texts
    dots = [line for line in ax.lines if line.get_marker() == "o"]
    assert len(dots) == 16
    assert "dots: 8 left out; lines: 95% interval" in ax.get_xlabel()


def test_few_patients_have_no_interval_and_it_is_said() -> None:
    ax = hd.pl.ablation(long(3), series="learner", learners="mlp", show=False)
    assert not intervals_of(ax)
    assert "3 left out, too few for an interval over them (it takes 6)" in ax.get_xlabel()
    assert ax.get_legend() is None


def test_errors_gain_when_they_fall_and_the_reference_can_be_named() -> None:
    table = long().rename(columns={"cc": "l1", "encoders": "set", "test": "patient"})
    ax = hd.pl.ablation(
        table[table["learner"] == "mlp"], by="set", unit="patient", metric="l1", reference="both", show=False
    )
    own = table[table["learner"] == "mlp"].groupby(["patient", "set"])["l1"].mean().unstack()
    better = int((own["color"] < own["both"]).sum())
    assert [text.get_text() for text in ax.texts if text.get_text().startswith(f"{better} of 8")]
    assert ax.texts[2].get_text() == "reference"
    assert ax.get_xlabel().startswith("L1, mean |error|")


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    adata = hd.datasets.toy_slide(n_patients=3, n_rows=6, n_cols=6)["table"]
    hd.tl.set_targets(adata, "true_abundance")
    true = adata.obsm["true_abundance"].to_numpy() + np.random.default_rng(0).gamma(1, size=(adata.n_obs, 6))
    adata.obsm["X_two"], adata.obsm["X_four"] = true[:, :2] + 1.0, true[:, :4] + 1.0
    found: dict[str, Any] = {"cross": {}, "evaluation": {}, "record": {}}
    for rep in ("X_two", "X_four"):
        found["cross"][rep] = hd.tl.cross_validate(adata, use_rep=rep, learner="ridge", show_progress_bar=False)
        how = {"predicted": "crossval_abundance", "groupby": "patient", "key_added": rep}
        found["evaluation"][rep] = hd.tl.evaluate(adata, **how)
        found["record"][rep] = adata.uns[rep]
    found["pooled"] = {"X_two": hd.tl.evaluate(adata, predicted="crossval_abundance")}
    return found


@pytest.mark.parametrize("kind", ["cross", "evaluation", "record"])
def test_what_tl_gives_is_drawn_the_same_from_all_forms(results: dict[str, Any], kind: str) -> None:
    ax = hd.pl.ablation(results[kind], show=False)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["X_two", "X_four"]
    expected = [
        one[(one["learner"] == "ridge") & (one["fold"] == "mean")]["cc"].iloc[0] for one in results["cross"].values()
    ]
    np.testing.assert_allclose(means_of(ax)[0], expected)


def test_what_compare_learners_keeps_is_drawn() -> None:
    table = long()
    record = {"scores": {name: table[name].to_numpy() for name in table.columns}, "groupby": "patient"}
    ax = hd.pl.ablation(record, show=False)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["mlp", "ridge"]
    one = {"scores": {name: table.loc[table["encoders"] == "both", name].to_numpy() for name in table.columns}}
    ax = hd.pl.ablation(one, reference="ridge", show=False)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["mlp", "ridge"]
    own = table[table["encoders"] == "both"].groupby("learner", sort=False)["cc"].mean()
    np.testing.assert_allclose(means_of(ax)[0], own)


def test_given_axes_are_used_and_files_written(tmp_path: Path) -> None:
    _, ax = plt.subplots()
    assert hd.pl.ablation(long(), ax=ax, save=tmp_path / "a.png") is ax
    assert (tmp_path / "a.png").exists()
    assert plt.fignum_exists(ax.figure.number)


def test_a_set_without_scores_says_so() -> None:
    table = long()
    table.loc[table["encoders"] == "both", "cc"] = np.nan
    ax = hd.pl.ablation(table, show=False)
    assert "undefined" in [text.get_text() for text in ax.texts]
    ax.figure.canvas.draw()


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"by": "encoder"}, hd.MissingKeyError, "no column 'encoder'.*encoders"),
        ({"metric": "r2"}, hd.MissingKeyError, "no column 'r2'"),
        ({"reference": "CONCH"}, hd.InputError, "Unknown set: 'CONCH'"),
        ({"series": "learner", "learners": "xgb"}, hd.InputError, "Unknown learner: 'xgb'"),
        ({"scores": 3}, hd.InputError, "DataFrame or a dict.*int"),
        ({"scores": {}}, hd.InputError, "DataFrame or a dict"),
        ({"scores": {"a": 3}}, hd.InputError, "'a' holds no scores but int"),
        ({"scores": {"a": pd.DataFrame({"x": [1]})}}, hd.InputError, "'a' has no scores of single patients.*'x'"),
    ],
)
def test_refusals(options: dict[str, Any], error: type[Exception], match: str) -> None:
    options = {"scores": long(), **options}
    with pytest.raises(error, match=re.compile(match, re.DOTALL)):
        hd.pl.ablation(options.pop("scores"), **options)


def test_pooled_scores_and_absent_metrics_are_refused(results: dict[str, Any]) -> None:
    with pytest.raises(hd.InputError, match="no scores of single patients"):
        hd.pl.ablation(results["pooled"])
    with pytest.raises(hd.MissingKeyError, match="'X_two' has no 'r2'"):
        hd.pl.ablation(results["cross"], metric="r2")
    empty = long().assign(cc=np.nan)
    with pytest.raises(hd.InputError, match="no 'cc' to draw"):
        hd.pl.ablation(empty)
