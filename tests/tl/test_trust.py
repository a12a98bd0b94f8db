"""Bounds and novelty stand beside predictions, and do not outlive the model that made them."""

from __future__ import annotations

import warnings
from pathlib import Path

import anndata as ad
import numpy as np
import pytest
from tests_support import state_of
from toy_embeddings import cohort, truth_table

import histodecon as hd
from histodecon._core import read_table, table_record

BOTH = ["X_first", "X_second"]
LOWER, UPPER = "predicted_abundance_lower", "predicted_abundance_upper"


@pytest.fixture(scope="module")
def trained() -> tuple[ad.AnnData, hd.models.AbundanceRegressor]:
    adata = cohort(240)
    hd.tl.set_targets(adata, truth_table(adata))
    return adata, hd.tl.train_regressor(adata, use_rep=BOTH, learner="ridge", calibrate=True, show_progress_bar=False)


@pytest.fixture
def slide(trained) -> tuple[ad.AnnData, hd.models.AbundanceRegressor]:
    return trained[0].copy(), trained[1]


def test_bounds_hold_what_they_promise(slide) -> None:
    adata, model = slide
    hd.tl.predict_abundance(adata, model, coverage=0.8)
    predicted, lower, upper = (read_table(adata, key) for key in ("predicted_abundance", LOWER, UPPER))
    assert (lower.to_numpy() >= 0).all()
    assert (lower.to_numpy() <= predicted.to_numpy()).all()
    assert (predicted.to_numpy() <= upper.to_numpy()).all()
    truth = truth_table(adata)
    inside = (lower <= truth) & (truth <= upper)
    assert abs(inside.to_numpy().mean() - 0.8) < 0.08
    record = table_record(adata, LOWER)
    assert (record["bound"], record["coverage"], record["bound_of"]) == ("lower", 0.8, "predicted_abundance")
    assert record["kind"] == "abundance"
    assert list(lower.columns) == list(predicted.columns)
    hd.tl.predict_abundance(adata, model, coverage=0.95)
    assert (read_table(adata, UPPER) >= upper).to_numpy().all()


def test_novelty_and_its_limit(slide) -> None:
    adata, model = slide
    with warnings.catch_warnings():
        warnings.simplefilter("error", hd.HistodeconWarning)
        hd.tl.predict_abundance(adata, model)
    novelty = adata.obs["novelty"].to_numpy()
    np.testing.assert_array_equal(adata.obs["out_of_distribution"].to_numpy(), novelty > 1)
    assert adata.obs["out_of_distribution"].dtype == bool
    assert (novelty > 1).mean() < 0.05
    assert table_record(adata, "predicted_abundance")["n_out_of_distribution"] == (novelty > 1).sum()
    assert model.novelty_.facts_["held_out"] == "groups"
    assert [space.width for space in model.novelty_.spaces] == [8, 5]


def test_a_slide_unlike_training_is_told(slide) -> None:  # BI-91
    adata, model = slide
    few, many = np.arange(adata.n_obs) < 0.4 * adata.n_obs, np.arange(adata.n_obs) < 0.6 * adata.n_obs
    original = adata.obsm["X_first"].copy()
    adata.obsm["X_first"][few] = 40 - original[few]
    with warnings.catch_warnings():
        warnings.filterwarnings("error", r"\[HD-BI-91\]")
        hd.tl.predict_abundance(adata, model)
    assert adata.obs["out_of_distribution"][few].all()
    adata.obsm["X_first"][many] = 40 - original[many]
    with pytest.warns(hd.HistodeconWarning, match=r"BI-91.*of 240 spots.*1% of held-out.*out_of_distribution"):
        hd.tl.predict_abundance(adata, model)
    adata.obs["in_tissue_tile"] = ~many  # strange spots without tissue are no reason to worry
    with warnings.catch_warnings():
        warnings.filterwarnings("error", r"\[HD-BI-91\]")
        hd.tl.predict_abundance(adata, model)
    with pytest.warns(hd.HistodeconWarning, match="BI-91"):
        hd.tl.predict_abundance(adata, model, background="keep")


@pytest.mark.parametrize(("background", "kept"), [("nan", False), ("zero", False), ("keep", True)])
def test_glass_has_no_bounds(slide, background: str, kept: bool) -> None:
    adata, model = slide
    adata.obs["in_tissue_tile"] = np.arange(adata.n_obs) % 5 != 0
    glass = ~adata.obs["in_tissue_tile"].to_numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", hd.DroppedSpotsWarning)
        hd.tl.predict_abundance(adata, model, background=background)
    for key in (LOWER, UPPER):
        assert np.isfinite(adata.obsm[key].to_numpy()[glass]).all() == kept
        assert np.isfinite(adata.obsm[key].to_numpy()[~glass]).all()
    assert np.isfinite(adata.obs["novelty"]).all()


def test_what_an_older_model_wrote_goes_away(slide) -> None:
    adata, model = slide
    hd.tl.predict_abundance(adata, model)
    adata.obsm["other_lower"] = adata.obsm[LOWER]  # not ours
    plain = hd.tl.train_regressor(adata, use_rep=BOTH, learner="ridge", show_progress_bar=False)
    assert not adata.uns["histodecon"]["regressor"]["calibrated"]
    hd.tl.predict_abundance(adata, plain)
    assert LOWER not in adata.obsm
    assert LOWER not in adata.uns["histodecon"]["tables"]
    assert "novelty" in adata.obs
    plain.novelty_ = None
    hd.tl.predict_abundance(adata, plain)
    assert "novelty" not in adata.obs
    assert "out_of_distribution" not in adata.obs
    hd.tl.predict_abundance(adata, plain, key_added="other")
    assert "other_lower" in adata.obsm


def test_another_key_has_slots_of_its_own(slide) -> None:
    adata, model = slide
    hd.tl.predict_abundance(adata, model, key_added="second")
    assert {"second", "second_lower", "second_upper"} <= set(adata.obsm)
    assert {"second_novelty", "second_out_of_distribution"} <= set(adata.obs)
    assert "novelty" not in adata.obs


@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
def test_it_survives_a_file(slide, suffix: str, tmp_path: Path) -> None:
    adata, model = slide
    hd.tl.predict_abundance(adata, model)
    path = tmp_path / f"table.{suffix}"
    getattr(adata, f"write_{suffix}")(path)
    back = getattr(ad, f"read_{suffix}")(path)
    for key in (LOWER, UPPER):
        np.testing.assert_array_equal(back.obsm[key].to_numpy(), adata.obsm[key].to_numpy())
    for column in ("novelty", "out_of_distribution"):
        np.testing.assert_array_equal(back.obs[column].to_numpy(), adata.obs[column].to_numpy())
    layers = hd.get.abundance(back).layers
    np.testing.assert_array_equal(layers["lower"], read_table(adata, LOWER).to_numpy())
    np.testing.assert_array_equal(layers["upper"], read_table(adata, UPPER).to_numpy())


def test_file_and_uns_carry_it_to_the_last_bit(slide, tmp_path: Path) -> None:
    adata, model = slide
    path = model.save(tmp_path / "model.safetensors")
    hd.tl.predict_abundance(adata, model)
    for key, given in (("uns", None), ("file", path)):
        hd.tl.predict_abundance(adata, given, key_added=key)
        for bound in ("lower", "upper"):
            expected = adata.obsm[f"predicted_abundance_{bound}"].to_numpy()
            np.testing.assert_array_equal(adata.obsm[f"{key}_{bound}"].to_numpy(), expected)
        np.testing.assert_array_equal(adata.obs[f"{key}_novelty"], adata.obs["novelty"])
    back = hd.models.AbundanceRegressor.load(path)
    assert str(back.reliability_) == str(model.reliability_)
    assert back.to_bytes() == model.to_bytes()
    assert adata.uns["histodecon"]["regressor"]["calibrated"]


def test_bad_coverage_changes_nothing(slide) -> None:
    adata, model = slide
    before = state_of(adata)
    with pytest.raises(hd.InputError, match="BI-91"):
        hd.tl.predict_abundance(adata, model, coverage=0.3)
    assert state_of(adata) == before


@pytest.mark.parametrize("case", ["one patient", "no unit"])
def test_calibration_needs_patients_before_it_trains(slide, case: str, monkeypatch) -> None:
    adata, _ = slide
    if case == "one patient":
        adata.obs["patient"] = "A"
    before = state_of(adata)
    monkeypatch.setattr(hd.models.AbundanceRegressor, "fit", lambda *_args, **_kwargs: pytest.fail("trained"))
    with pytest.raises(hd.InputError, match="BI-68"):
        hd.tl.train_regressor(
            adata, use_rep=BOTH, learner="ridge", calibrate=True, groupby=None if case == "no unit" else "patient"
        )
    assert state_of(adata) == before


def test_spots_without_targets_take_no_part() -> None:
    adata = cohort(120)
    targets = truth_table(adata)
    targets.iloc[::7] = np.nan
    hd.tl.set_targets(adata, targets, nan="mask")
    model = hd.tl.train_regressor(adata, use_rep=BOTH, learner="ridge", calibrate=True, show_progress_bar=False)
    assert (
        model.calibration_.facts_["n_rows"] == model.novelty_.facts_["n_rows"] == np.isfinite(targets).all(axis=1).sum()
    )


def test_uncertain_targets_count_less_in_the_folds_too() -> None:
    adata = cohort(120)
    targets = truth_table(adata)
    sd = targets * 0 + np.random.default_rng(0).gamma(2, size=targets.shape)
    hd.tl.set_targets(adata, targets, sd=sd)
    how = {"use_rep": BOTH, "learner": "ridge", "calibrate": True, "show_progress_bar": False}
    plain, weighted = hd.tl.train_regressor(adata, **how), hd.tl.train_regressor(adata, weights="posterior", **how)
    assert not np.array_equal(plain.reliability_.cc, weighted.reliability_.cc)
