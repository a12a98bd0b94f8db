"""Stereoscope of scvi-tools, on a small drawn slide whose cells are known."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pytest

import histodecon as hd

if importlib.util.find_spec("scvi") is None:
    pytest.skip("the extra cell2location is absent", allow_module_level=True)

BRIEF = {"max_epochs": 2, "reference_epochs": 2}
ENOUGH = {"max_epochs": 900, "reference_epochs": 300, "learning_rate": 0.05, "batch_size": 512}


def deconvolved(**options: Any) -> ad.AnnData:
    adata = hd.datasets.toy_slide(n_patients=2, n_rows=6, n_cols=6)["table"]
    reference = hd.datasets.toy_reference()
    hd.tl.deconvolve(adata, reference, labels_key="cell_type", method="stereoscope", show_progress_bar=False, **options)
    return adata


@pytest.mark.slow
def test_it_finds_the_planted_proportions(capfd: Any) -> None:
    adata = deconvolved(**ENOUGH)
    truth = hd.get.abundance(adata, layers={"truth": "true_abundance"}).to_df()
    some = (truth.sum(axis=1) > 0).to_numpy()
    truth = truth.div(truth.sum(axis=1), axis=0)
    found = hd.get.abundance(adata).to_df()
    np.testing.assert_allclose(found.sum(axis=1), 1)
    for name in truth:
        assert np.corrcoef(truth.loc[some, name], found.loc[some, name])[0, 1] > 0.85, name
    assert adata.uns["histodecon"]["tables"]["cell_abundance"]["kind"] == "proportion"
    assert capfd.readouterr() == ("", "")


def test_the_same_seed_gives_the_same_bits_and_no_file_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    one, two, other = (deconvolved(**BRIEF, random_state=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.obsm["cell_abundance"], two.obsm["cell_abundance"])
    assert not np.allclose(one.obsm["cell_abundance"], other.obsm["cell_abundance"])
    assert list(tmp_path.iterdir()) == []
    history = one.uns["histodecon"]["deconvolution"]["cell_abundance"]["history"]
    assert {name: len(losses) for name, losses in history.items()} == {"cells": 2, "spots": 2}


def test_an_interrupt_passes_through_and_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    import signal

    from tests_support import state_of

    from histodecon.tl.deconvolution import stereoscope

    def interrupted(*_: Any, **__: Any) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # what Lightning makes of Ctrl-C
        raise SystemExit(1)

    handler = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(stereoscope, "train_scvi", interrupted)
    adata = hd.datasets.toy_slide(n_rows=5, n_cols=5)["table"]
    before = state_of(adata)
    with pytest.raises(KeyboardInterrupt):
        hd.tl.deconvolve(
            adata, hd.datasets.toy_reference(), labels_key="cell_type", method="stereoscope", show_progress_bar=False
        )
    assert state_of(adata) == before
    assert signal.getsignal(signal.SIGINT) is handler
