"""Bars of scores: what they hold, how they are sorted, and scores without a value."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import anndata as ad
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from tests_support import state_of

import histodecon as hd
from histodecon._core import write_table

NAMES = ["A", "B$b_", "C"]


@pytest.fixture(autouse=True)
def _close() -> Iterator[None]:
    yield
    plt.close("all")


@pytest.fixture
def adata() -> ad.AnnData:
    rng = np.random.default_rng(0)
    obs = pd.DataFrame({"patient": np.repeat(["P1", "P2"], 30)}, index=[f"s{i}" for i in range(60)])
    adata = ad.AnnData(np.zeros((60, 1), dtype=np.float32), obs=obs)
    truth = rng.gamma(1, size=(60, 3))
    noise = rng.gamma(1, size=(60, 3)) * [1.0, 0.3, 3.0]
    for key, values in (
        ("cell_abundance", truth),
        ("predicted_abundance", truth + noise),
        ("ridge", truth + 2 * noise),
    ):
        write_table(adata, key, pd.DataFrame(values, index=adata.obs_names, columns=NAMES), kind="abundance")
    hd.tl.evaluate(adata)
    hd.tl.evaluate(adata, predicted="ridge", groupby="patient", key_added="ridge_scores")
    return adata


def names_of(ax: plt.Axes) -> list[str]:
    return [text.get_text().replace(r"\$", "$") for text in ax.get_yticklabels()]


def test_bars_are_the_scores_best_first(adata: ad.AnnData) -> None:
    ax = hd.pl.evaluation(adata, show=False)
    record = adata.uns["abundance_evaluation"]["scores"]
    cc = dict(zip(record["cell_type"], record["cc"], strict=True))
    assert names_of(ax) == sorted(NAMES, key=lambda name: -cc[name])
    widths = [bar.get_width() for bar in ax.containers[0]]
    assert widths == pytest.approx([cc[name] for name in names_of(ax)])
    assert ax.get_xlabel() == "CC (Pearson over spots)"
    mean = [line for line in ax.lines if line.get_linestyle() == "--"]
    assert mean[0].get_xdata()[0] == pytest.approx(cc["mean"])


def test_errors_are_sorted_upward_in_their_unit(adata: ad.AnnData) -> None:
    ax = hd.pl.evaluation(adata, metric="l1", show=False)
    widths = [bar.get_width() for bar in ax.containers[0]]
    assert widths == sorted(widths)
    assert ax.get_xlabel() == "L1, mean |error|, cells per spot"


def test_several_evaluations_and_groups(adata: ad.AnnData) -> None:
    ax = hd.pl.evaluation(adata, {"network": "abundance_evaluation", "line": "ridge_scores"}, show=False)
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert [label.split(":")[0] for label in labels] == ["network", "line"]
    record = pd.DataFrame(dict(adata.uns["ridge_scores"]["scores"])).set_index(["group", "cell_type"])["cc"]
    widths = dict(zip(names_of(ax), (bar.get_width() for bar in ax.containers[1]), strict=True))
    dots = [line for line in ax.lines if line.get_marker() == "o"]
    assert len(dots) == 3
    for name, line in zip(names_of(ax), dots, strict=True):
        np.testing.assert_allclose(line.get_xdata(), [record["P1", name], record["P2", name]])
        assert widths[name] == pytest.approx(np.mean(line.get_xdata()))
    assert len(hd.pl.evaluation(adata, ["abundance_evaluation", "ridge_scores"], show=False).containers) == 2


def test_a_score_without_a_value_says_so(adata: ad.AnnData) -> None:
    adata.obsm["predicted_abundance"].iloc[:, 0] = 1.0
    with pytest.warns(hd.UndefinedMetricWarning):
        hd.tl.evaluate(adata)
    ax = hd.pl.evaluation(adata, show=False)
    assert names_of(ax)[-1] == "A"
    assert [text.get_text().strip() for text in ax.texts] == ["undefined"]
    assert "mean of 2 types" in ax.get_legend().get_texts()[0].get_text()


def test_given_axes_are_used_and_left_open(adata: ad.AnnData, tmp_path: Path) -> None:
    _, ax = plt.subplots()
    assert hd.pl.evaluation(adata, cell_types=["C", "A"], ax=ax, save=tmp_path / "s.png") is ax
    assert set(names_of(ax)) == {"A", "C"}
    assert (tmp_path / "s.png").exists()
    assert plt.fignum_exists(ax.figure.number)


def test_a_record_read_back_from_a_file_is_drawn(adata: ad.AnnData, tmp_path: Path) -> None:
    adata.write_h5ad(tmp_path / "a.h5ad")
    ax = hd.pl.evaluation(ad.read_h5ad(tmp_path / "a.h5ad"), "ridge_scores", show=False)
    assert set(names_of(ax)) == set(NAMES)


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"keys": "other"}, hd.MissingKeyError, "'other'.*evaluations present: 'abundance_evaluation', 'ridge_scores'"),
        ({"keys": []}, hd.MissingKeyError, "No evaluation"),
        ({"metric": "r2"}, hd.InputError, "'r2'.*'cc'"),
        ({"metric": "jsd"}, hd.InputError, "abundances have: 'cc'"),
        ({"cell_types": "AA"}, hd.InputError, "Unknown cell type: 'AA'"),
    ],
)
def test_refusals(adata: ad.AnnData, options: dict[str, object], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        hd.pl.evaluation(adata, **options)


def test_the_adata_is_unchanged_and_nothing_is_said(adata: ad.AnnData) -> None:
    before = state_of(adata)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        hd.pl.evaluation(adata, ["abundance_evaluation", "ridge_scores"], show=False).figure.canvas.draw()
    assert state_of(adata) == before


@pytest.fixture
def patients() -> ad.AnnData:
    """Seven patients and two predictions, scored with intervals."""
    rng = np.random.default_rng(1)
    obs = pd.DataFrame({"patient": np.repeat([f"P{i}" for i in range(7)], 25)}, index=[f"s{i}" for i in range(175)])
    adata = ad.AnnData(np.zeros((175, 1), dtype=np.float32), obs=obs)
    truth = rng.gamma(1, size=(175, 3))
    for key, scale in (("cell_abundance", 0.0), ("predicted_abundance", 0.5), ("ridge", 1.5)):
        table = pd.DataFrame(truth + scale * rng.gamma(1, size=truth.shape), index=adata.obs_names, columns=NAMES)
        write_table(adata, key, table, kind="abundance")
    how = {"groupby": "patient", "intervals": "bootstrap", "n_boot": 100, "level": 0.9}
    hd.tl.evaluate(adata, **how)
    hd.tl.evaluate(adata, **how, predicted="ridge", key_added="ridge_scores")
    hd.tl.evaluate(adata, intervals="bootstrap", n_boot=100, key_added="pooled")
    return adata


def record_of(adata: ad.AnnData, key: str) -> pd.DataFrame:
    return pd.DataFrame(dict(adata.uns[key]["scores"])).set_index(["group", "cell_type"])


def bounds_of(ax: plt.Axes, bars: int = 0) -> np.ndarray:
    """Ends of the lines of one series, top to bottom."""
    from matplotlib.container import ErrorbarContainer

    found = [one for one in ax.containers if isinstance(one, ErrorbarContainer)][bars]
    return np.array([segment[:, 0] for segment in found.lines[2][0].get_segments()])


def test_lines_are_the_interval_over_groups_else_over_spots(patients: ad.AnnData) -> None:
    ax = hd.pl.evaluation(patients, show=False)
    scores = record_of(patients, "abundance_evaluation").loc["mean"].loc[names_of(ax)]
    np.testing.assert_allclose(bounds_of(ax), scores[["cc_groups_low", "cc_groups_high"]])
    assert ax.get_xlabel().endswith("lines: 90% interval over groups (patient)")
    ax = hd.pl.evaluation(patients, "pooled", metric="l1_shares", show=False)
    scores = record_of(patients, "pooled").loc["all"].loc[names_of(ax)]
    np.testing.assert_allclose(bounds_of(ax), scores[["l1_shares_spots_low", "l1_shares_spots_high"]])
    assert ax.get_xlabel().endswith("lines: 95% interval over spots")


def test_one_bar_a_patient_as_in_the_figures_of_the_source(patients: ad.AnnData) -> None:
    keys = {"ours": "abundance_evaluation", "ridge": "ridge_scores"}
    ax = hd.pl.evaluation(patients, keys, by="group", metric="l1", show=False)
    assert names_of(ax) == [f"P{i}" for i in range(7)]
    bars = [one for one in ax.containers if hasattr(one, "patches")]
    for series, (place, key) in zip(bars, enumerate(keys.values()), strict=True):
        scores = record_of(patients, key).xs("mean", level="cell_type").loc[names_of(ax)]
        assert [bar.get_width() for bar in series] == pytest.approx(list(scores["l1"]))
        np.testing.assert_allclose(bounds_of(ax, place), scores[["l1_spots_low", "l1_spots_high"]])


def test_patients_over_chosen_types_have_no_interval(patients: ad.AnnData) -> None:
    from matplotlib.container import ErrorbarContainer

    for metric, total in (("cc", np.mean), ("l1_shares", np.sum)):
        ax = hd.pl.evaluation(patients, by="group", metric=metric, cell_types=["A", "C"], show=False)
        scores = record_of(patients, "abundance_evaluation")[metric]
        expected = [total([scores[name, "A"], scores[name, "C"]]) for name in names_of(ax)]
        assert [bar.get_width() for bar in ax.containers[0]] == pytest.approx(expected)
        assert not any(isinstance(one, ErrorbarContainer) for one in ax.containers)


def test_groups_need_scores_within_groups(patients: ad.AnnData) -> None:
    with pytest.raises(hd.InputError, match=r"'pooled'.*not taken within groups.*groupby=\"patient\""):
        hd.pl.evaluation(patients, "pooled", by="group")
    with pytest.raises(hd.InputError, match="Unknown by 'slide'"):
        hd.pl.evaluation(patients, by="slide")  # type: ignore[arg-type]
