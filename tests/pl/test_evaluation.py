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
