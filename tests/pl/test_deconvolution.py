"""pl.deconvolution draws what the run kept."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest

import histodecon as hd


@pytest.fixture
def adata():
    adata = hd.datasets.toy_slide(n_rows=5, n_cols=5)["table"]
    hd.tl.deconvolve(adata, hd.datasets.toy_reference(), labels_key="cell_type", method="nnls")
    run = adata.uns["histodecon"]["deconvolution"]["cell_abundance"]
    run["method"] = "cell2location"
    run["history"] = {
        "cells": 100 + np.exp(-np.arange(150) / 20),
        "spots": 1e6 * np.exp(-np.arange(500) / 10) + 50 + np.sin(np.arange(500)),
    }
    yield adata
    plt.close("all")


def test_the_line_is_the_mean_of_a_hundred_epochs(adata) -> None:
    ax = hd.pl.deconvolution(adata, show=False)
    losses = adata.uns["histodecon"]["deconvolution"]["cell_abundance"]["history"]["spots"]
    raw, mean = ax.lines
    np.testing.assert_array_equal(raw.get_ydata(), losses)
    assert mean.get_xdata()[0] == 100
    assert mean.get_xdata()[-1] == 500
    np.testing.assert_allclose(mean.get_ydata()[[0, -1]], [losses[:100].mean(), losses[-100:].mean()])
    assert ax.get_ylim()[1] < losses[0]  # the first epochs do not hide the others
    assert "spots" in ax.get_title()


def test_each_training_can_be_drawn_into_given_axes(adata, tmp_path: Path) -> None:
    given = plt.subplots()[1]
    assert hd.pl.deconvolution(adata, training="cells", ax=given, show=False) is given
    assert "cells" in given.get_title()
    hd.pl.deconvolution(adata, save=tmp_path / "loss.png", show=False)
    assert (tmp_path / "loss.png").stat().st_size > 1000


def test_a_short_training_is_drawn_too(adata) -> None:
    adata.uns["histodecon"]["deconvolution"]["cell_abundance"]["history"] = {"spots": np.array([3.0, 2.0])}
    assert len(hd.pl.deconvolution(adata, show=False).lines[1].get_ydata()) == 1


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"key": "other"}, hd.MissingKeyError, "BI-104.*'cell_abundance'"),
        ({"training": "spot"}, hd.InputError, "BI-104.*did you mean `spots`"),
    ],
)
def test_what_is_absent_is_named(adata, arguments, error, match) -> None:
    with pytest.raises(error, match=match):
        hd.pl.deconvolution(adata, **arguments, show=False)


def test_a_method_without_training_says_so(adata) -> None:
    adata.uns["histodecon"]["deconvolution"]["cell_abundance"]["history"] = {}
    with pytest.raises(hd.InputError, match="no training"):
        hd.pl.deconvolution(adata, show=False)
