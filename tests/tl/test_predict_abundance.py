"""Prediction finds its model, recognizes its embeddings, and gives usable numbers."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pytest
from tests_support import state_of
from toy_embeddings import cohort, truth_table

import histodecon as hd
from histodecon._core import read_table, table_record

BOTH = ["X_first", "X_second"]


@pytest.fixture
def trained() -> tuple[ad.AnnData, hd.models.AbundanceRegressor]:
    adata = cohort()
    hd.tl.set_targets(adata, truth_table(adata))
    return adata, hd.tl.train_regressor(adata, use_rep=BOTH, learner="ridge", show_progress_bar=False)


def test_object_file_and_uns_give_the_same(trained, tmp_path) -> None:
    adata, model = trained
    path = model.save(tmp_path / "model.safetensors")
    hd.tl.predict_abundance(adata)
    for key, given in (("a", model), ("b", path), ("c", str(path))):
        hd.tl.predict_abundance(adata, given, key_added=key)
        np.testing.assert_array_equal(adata.obsm[key].to_numpy(), adata.obsm["predicted_abundance"].to_numpy())
    record = table_record(adata, "predicted_abundance")
    assert record["kind"] == "abundance"
    assert record["model_sha256"] == adata.uns["histodecon"]["regressor"]["sha256"]


def test_a_slide_without_targets_is_predicted_by_name(trained) -> None:
    adata, model = trained
    slide = cohort(seed=0)[::-1].copy()
    hd.tl.predict_abundance(slide, model)
    hd.tl.predict_abundance(adata, model)
    found = read_table(slide, "predicted_abundance").loc[adata.obs_names]
    np.testing.assert_array_equal(found.to_numpy(), read_table(adata, "predicted_abundance").to_numpy())
    assert np.corrcoef(found.to_numpy()[:, 0], adata.uns["truth"][:, 0])[0, 1] > 0.9


def test_one_spot(trained) -> None:
    adata, model = trained
    one = adata[:1].copy()
    hd.tl.predict_abundance(one, model)
    assert np.isfinite(one.obsm["predicted_abundance"].to_numpy()).all()


def test_another_key_of_the_same_recipe(trained) -> None:
    adata, model = trained
    adata.obsm["X_renamed"] = adata.obsm["X_first"]
    records = adata.uns["histodecon"]["embeddings"]
    records["X_renamed"] = dict(records["X_first"])
    hd.tl.predict_abundance(adata, model, use_rep=["X_renamed", "X_second"])
    assert "predicted_abundance" in adata.obsm


def other_recipe(adata: ad.AnnData) -> None:
    adata.uns["histodecon"]["embeddings"]["X_first"]["fingerprint"] = "another"


def lost_record(adata: ad.AnnData) -> None:
    del adata.uns["histodecon"]["embeddings"]


def no_model(adata: ad.AnnData) -> None:
    del adata.uns["histodecon"]["regressor"]


def no_embedding(adata: ad.AnnData) -> None:
    del adata.obsm["X_second"]


def not_finite(adata: ad.AnnData) -> None:
    adata.obsm["X_second"][4, 0] = np.nan


def nothing(adata: ad.AnnData) -> None:
    """Leaves it as it is."""


@pytest.mark.parametrize(
    ("change", "kwargs", "error", "words"),
    [
        (other_recipe, {}, hd.ModelMismatchError, "BI-45"),
        (lost_record, {}, hd.MissingKeyError, "uns_merge"),
        (no_model, {}, hd.MissingKeyError, "train_regressor"),
        (no_embedding, {}, hd.MissingKeyError, "X_second"),
        (not_finite, {}, hd.InputError, "BI-42"),
        (nothing, {"use_rep": BOTH[::-1]}, hd.ModelMismatchError, "BI-46"),
        (nothing, {"use_rep": "X_first"}, hd.ModelMismatchError, "BI-44"),
        (nothing, {"model": 3}, hd.InputError, "int"),
        (nothing, {"model": "absent.safetensors"}, hd.StoreError, "absent"),
        (nothing, {"key_added": "a b"}, hd.NamingError, "BI-67"),
    ],
)
def test_bad_input_answers_and_changes_nothing(
    trained, change, kwargs: dict, error: type[Exception], words: str
) -> None:
    adata, _ = trained
    change(adata)
    before = state_of(adata)
    with pytest.raises(error, match=words):
        hd.tl.predict_abundance(adata, **kwargs)
    assert state_of(adata) == before


def test_a_damaged_model_in_uns_is_refused(trained) -> None:
    adata, _ = trained
    adata.uns["histodecon"]["regressor"]["model"][-5] ^= 1
    with pytest.raises(hd.IntegrityError):
        hd.tl.predict_abundance(adata)


def test_joined_slides_keep_their_records_when_asked(trained) -> None:
    adata, model = trained
    plain = ad.concat([adata, adata], index_unique="-")
    with pytest.raises(hd.MissingKeyError, match="uns_merge"):
        hd.tl.predict_abundance(plain, model)
    hd.tl.predict_abundance(ad.concat([adata, adata], index_unique="-", uns_merge="same"), model)


def test_spots_without_tissue_get_no_prediction(trained) -> None:  # BI-41
    adata, model = trained
    hd.tl.predict_abundance(adata, model)
    everywhere = adata.obsm["predicted_abundance"].to_numpy()
    assert table_record(adata, "predicted_abundance")["n_background"] == 0
    adata.obs["in_tissue_tile"] = np.arange(adata.n_obs) % 5 != 0
    glass = ~adata.obs["in_tissue_tile"].to_numpy()
    with pytest.warns(hd.DroppedSpotsWarning, match=rf"BI-41.*{glass.sum()} of {adata.n_obs} spots.*background="):
        hd.tl.predict_abundance(adata, model)
    values = adata.obsm["predicted_abundance"].to_numpy()
    assert np.isnan(values[glass]).all()
    np.testing.assert_array_equal(values[~glass], everywhere[~glass])
    hd.tl.predict_abundance(adata, model, background="zero", key_added="zero")
    assert not adata.obsm["zero"].to_numpy()[glass].any()
    hd.tl.predict_abundance(adata, model, background="keep", key_added="kept")
    np.testing.assert_array_equal(adata.obsm["kept"].to_numpy(), everywhere)
    record = table_record(adata, "kept")
    assert (record["background"], record["n_background"]) == ("keep", glass.sum())
    before = state_of(adata)
    with pytest.raises(hd.InputError, match=r"BI-41.*nan, zero, keep"):
        hd.tl.predict_abundance(adata, model, background="white")
    assert state_of(adata) == before
