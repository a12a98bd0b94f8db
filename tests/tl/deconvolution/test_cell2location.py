"""cell2location for real, on a small drawn slide whose cells are known."""

from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pytest
from tests_support import state_of

import histodecon as hd
from histodecon.tl._pyro import posterior
from histodecon.tl.deconvolution import cell2location

if importlib.util.find_spec("cell2location") is None:
    pytest.skip("the extra cell2location is absent", allow_module_level=True)

BRIEF = {"n_cells_per_location": 15, "max_epochs": 40, "reference_epochs": 20, "show_progress_bar": False}


def slide() -> ad.AnnData:
    return hd.datasets.toy_slide(n_patients=2, n_rows=6, n_cols=6)["table"]


def deconvolved(adata: ad.AnnData, **options: Any) -> ad.AnnData:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*BI-110", hd.HistodeconWarning)  # these runs are too short on purpose
        hd.tl.deconvolve(adata, hd.datasets.toy_reference(), labels_key="cell_type", **{**BRIEF, **options})
    return adata


@pytest.fixture(scope="module")
def brief() -> ad.AnnData:
    return deconvolved(slide())


@pytest.mark.slow
def test_when_its_loss_is_flat_it_has_found_the_cells(capfd: Any) -> None:
    adata = deconvolved(slide(), max_epochs=4000, learning_rate=0.05, reference_learning_rate=0.05, tolerance=2e-3)
    truth = hd.get.abundance(adata, layers={"truth": "true_abundance"}).to_df()
    for key in ("cell_abundance", "cell_abundance_mean"):
        found = hd.get.abundance(adata, layers={"own": key}).to_df()
        for name in truth:
            assert np.corrcoef(truth[name], found[name])[0, 1] > 0.9, (key, name)
    history = adata.uns["histodecon"]["deconvolution"]["cell_abundance"]["history"]
    assert len(history["spots"]) < 4000  # it ended because it was flat
    assert capfd.readouterr() == ("", "")  # nothing is said where no progress bar was asked for


def test_it_writes_four_tables_that_belong_together(brief: ad.AnnData) -> None:
    q05, mean, sd = (brief.obsm[f"cell_abundance_{name}"].to_numpy() for name in ("q05", "mean", "sd"))
    np.testing.assert_array_equal(brief.obsm["cell_abundance"], q05)
    assert (q05 < mean).all()
    assert (sd > 0).all()
    assert {record["kind"] for record in brief.uns["histodecon"]["tables"].values()} == {"abundance"}
    run = brief.uns["histodecon"]["deconvolution"]["cell_abundance"]
    assert {name: len(losses) for name, losses in run["history"].items()} == {"cells": 20, "spots": 40}
    assert set(run["versions"]) == {"histodecon", "cell2location", "scvi"}
    assert list(hd.get.signatures(brief)) == [str(name) for name in run["cell_types"]]


def test_the_same_seed_gives_the_same_bits_and_another_does_not(brief: ad.AnnData) -> None:
    again, other = deconvolved(slide()), deconvolved(slide(), random_state=1)
    np.testing.assert_array_equal(again.obsm["cell_abundance"], brief.obsm["cell_abundance"])
    assert not np.allclose(other.obsm["cell_abundance"], brief.obsm["cell_abundance"])


def test_signatures_spare_the_training_on_cells(brief: ad.AnnData) -> None:
    adata = slide()
    signatures = hd.get.signatures(brief)
    with pytest.warns(hd.HistodeconWarning, match=r"BI-110.*spots.*after 10 epochs.*max_epochs=20"):
        hd.tl.deconvolve(
            adata, signatures=signatures, max_epochs=10, batch_size=20, statistic="mean", show_progress_bar=False
        )
    assert set(adata.uns["histodecon"]["deconvolution"]["cell_abundance"]["history"]) == {"spots"}
    np.testing.assert_array_equal(adata.obsm["cell_abundance"], adata.obsm["cell_abundance_mean"])
    np.testing.assert_allclose(hd.get.signatures(adata), signatures)


@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
def test_it_survives_a_round_trip(brief: ad.AnnData, suffix: str, tmp_path: Path) -> None:
    getattr(brief, f"write_{suffix}")(tmp_path / "spots")
    back = getattr(ad, f"read_{suffix}")(tmp_path / "spots")
    assert state_of(back, loose=True) == state_of(brief, loose=True)


def test_nothing_is_left_in_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    deconvolved(slide(), max_epochs=2, reference_epochs=2)
    assert list(tmp_path.iterdir()) == []


def test_the_posterior_in_closed_form_is_that_of_many_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = {}

    def keep(model: Any, site: str) -> Any:
        if site == "w_sf":
            import torch

            batch = next(iter(model._make_data_loader(adata=model.adata, batch_size=model.adata.n_obs)))
            arguments = model.module._get_fn_args_from_batch(batch)[0]
            with torch.no_grad():
                kept["draws"] = np.stack([model.module.guide(*arguments)["w_sf"].numpy() for _ in range(2000)])
        kept["exact"] = posterior(model, site)
        return kept["exact"]

    monkeypatch.setattr(cell2location, "posterior", keep)
    deconvolved(slide())
    draws, exact = kept["draws"].astype(np.float64), kept["exact"]
    error = draws.std(axis=0) / np.sqrt(len(draws))
    assert np.abs((draws.mean(axis=0) - exact["mean"]) / error).mean() < 1.0
    np.testing.assert_allclose(draws.std(axis=0).mean(), exact["sd"].mean(), rtol=0.02)
    np.testing.assert_allclose(np.quantile(draws, 0.05, axis=0).mean(), exact["q05"].mean(), rtol=0.02)


def test_a_loss_that_explodes_is_an_error_and_changes_nothing() -> None:
    adata = slide()
    before = state_of(adata)
    with pytest.raises(hd.ModelError, match=r"BI-73.*no longer finite"):
        deconvolved(adata, learning_rate=1e6)
    assert state_of(adata) == before


def test_an_interrupt_passes_through(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cell2location, "train_pyro", stop)
    adata = slide()
    before = state_of(adata)
    with pytest.raises(KeyboardInterrupt):
        deconvolved(adata)
    assert state_of(adata) == before
