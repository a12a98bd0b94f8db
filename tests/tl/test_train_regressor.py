"""Training reads by name, keeps the model in uns, and survives every format."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from tests_support import state_of
from toy_embeddings import TYPES, cohort, truth_table

import histodecon as hd

BOTH = ["X_first", "X_second"]


@pytest.fixture
def adata() -> ad.AnnData:
    adata = cohort()
    hd.tl.set_targets(adata, truth_table(adata))
    return adata


def train(adata: ad.AnnData, **kwargs) -> hd.models.AbundanceRegressor:
    return hd.tl.train_regressor(
        adata, **{"use_rep": "X_first", "learner": "ridge", "show_progress_bar": False, **kwargs}
    )


def test_the_model_knows_its_encoders_types_and_groups(adata) -> None:
    model = train(adata, use_rep=BOTH)
    assert [(r.key, r.name, r.width, r.fingerprint) for r in model.encoders_] == [
        ("X_first", "first", 8, "first-recipe"),
        ("X_second", "second", 5, "second-recipe"),
    ]
    assert model.cell_types_ == tuple(TYPES)
    assert model.training_["groups"] == ["A", "B", "C"]
    kept = adata.uns["histodecon"]["regressor"]
    assert list(kept["use_rep"]) == BOTH
    assert kept["commercial"] is True
    assert kept["model"].tobytes() == model.to_bytes()


@pytest.mark.parametrize("form", ["h5ad", "zarr"])
def test_the_model_in_uns_survives(adata, form: str, tmp_path) -> None:
    train(adata, use_rep=BOTH)
    hd.tl.predict_abundance(adata)
    path = tmp_path / f"a.{form}"
    getattr(adata, f"write_{form}")(path)
    again = getattr(ad, f"read_{form}")(path)
    hd.tl.predict_abundance(again, key_added="again")
    np.testing.assert_array_equal(again.obsm["again"].to_numpy(), adata.obsm["predicted_abundance"].to_numpy())


def test_spots_without_targets_are_left_out(adata) -> None:
    with pytest.warns(hd.DroppedSpotsWarning):
        hd.tl.set_targets(adata, truth_table(adata).iloc[30:])
    model = train(adata)
    only = adata[30:].copy()
    assert model.training_["n_rows"] == 60
    np.testing.assert_array_equal(train(only).predict(adata.obsm["X_first"]), model.predict(adata.obsm["X_first"]))


def test_the_order_of_rows_and_columns_does_not_matter_to_ridge(adata) -> None:
    expected = pd.DataFrame(train(adata).predict(adata.obsm["X_first"]), adata.obs_names, TYPES)
    turned = adata[::-1].copy()
    hd.tl.set_targets(turned, truth_table(adata)[TYPES[::-1]])
    model = train(turned)
    found = pd.DataFrame(model.predict(turned.obsm["X_first"]), turned.obs_names, list(model.cell_types_))
    pd.testing.assert_frame_equal(found.loc[expected.index, TYPES], expected, rtol=1e-6)


def test_without_a_patient_column_it_says_what_it_does_instead(adata) -> None:
    del adata.obs["patient"]
    with pytest.warns(hd.FallbackWarning, match="held-in spots"):
        model = train(adata)
    assert model.training_["groups"] == []
    assert train(adata, groupby=None).training_["groups"] == []


def test_an_embedding_of_ones_own_is_accepted_and_called_unrecorded(adata) -> None:
    adata.obsm["X_own"] = np.asarray(adata.obsm["X_first"])
    model = train(adata, use_rep="X_own")
    assert model.encoders_[0].fingerprint == "unrecorded"
    assert model.encoders_[0].commercial is False
    hd.tl.predict_abundance(adata, model)


def drop(slot: str, key: str):
    def change(adata: ad.AnnData) -> None:
        del getattr(adata, slot)[key]

    return change


def hole(adata: ad.AnnData) -> None:
    adata.obsm["cell_abundance"].iloc[3, 1] = np.nan


def broken(adata: ad.AnnData) -> None:
    adata.obsm["X_first"][2, 2] = np.inf


def narrowed(adata: ad.AnnData) -> None:
    adata.obsm["X_first"] = adata.obsm["X_first"][:, :4]


def dead(adata: ad.AnnData) -> None:
    adata.obsm["X_first"][:] = 1.0


def no_group(adata: ad.AnnData) -> None:
    adata.obs["patient"] = adata.obs["patient"].cat.remove_categories("A")


def nothing(adata: ad.AnnData) -> None:
    """Leaves it as it is."""


@pytest.mark.parametrize(
    ("change", "kwargs", "error", "words"),
    [
        (drop("obsm", "X_first"), {}, hd.MissingKeyError, "embed_tiles"),
        (drop("obsm", "cell_abundance"), {}, hd.MissingKeyError, "set_targets"),
        (hole, {}, hd.TargetError, "BI-60"),
        (broken, {}, hd.InputError, "BI-42"),
        (narrowed, {}, hd.IntegrityError, "BI-89"),
        (dead, {}, hd.InputError, "BI-43"),
        (no_group, {}, hd.InputError, "30 of 90"),
        (nothing, {"groupby": "site"}, hd.MissingKeyError, "site"),
        (nothing, {"learner": "forest"}, hd.InputError, "BI-51"),
        (nothing, {"params": {"strenght": 1.0}}, hd.InputError, "did you mean `strength`"),
        (nothing, {"transform": "log"}, hd.InputError, "BI-72"),
        (nothing, {"block_scaling": "depth"}, hd.InputError, "BI-72"),
        (nothing, {"use_rep": ["X_first", "X_first"]}, hd.InputError, "BI-46"),
        (nothing, {"targets": "obs"}, hd.MissingKeyError, "'obs'"),
    ],
)
def test_bad_input_answers_and_changes_nothing(adata, change, kwargs: dict, error: type[Exception], words: str) -> None:
    change(adata)
    before = state_of(adata)
    with pytest.raises(error, match=words):
        train(adata, **kwargs)
    assert state_of(adata) == before


def test_faults_of_embedding_and_targets_are_told_together(adata) -> None:
    broken(adata)
    hole(adata)
    with pytest.raises(hd.InputError, match=r"(?s)BI-42.*BI-60"):
        train(adata)


# targets that count by their certainty


def noisy(seed: int = 0, *, per_value: bool) -> tuple[ad.AnnData, pd.DataFrame]:
    """Half of the spots, or of the values, have errors four times the spread of their type; the errors' size is known."""
    rng = np.random.default_rng(seed)
    adata = cohort(150, seed=seed, noise=1.0)
    truth = truth_table(adata)
    loud = rng.random((150, 3 if per_value else 1)) < 0.5
    sd = np.where(loud, 4.0, 0.2) * truth.to_numpy().std(axis=0)
    values = np.clip(truth + sd * rng.normal(size=truth.shape), 0, None)
    hd.tl.set_targets(adata, values, sd=pd.DataFrame(sd, truth.index, TYPES), kind="abundance")
    return adata, truth


@pytest.mark.parametrize("learner", ["ridge", "mlp"])
@pytest.mark.parametrize("per_value", [False, True])
def test_weights_bring_predictions_closer_to_the_clean_truth(learner: str, per_value: bool) -> None:
    params = {"n_networks": 2, "max_epochs": 15, "hidden": 32} if learner == "mlp" else None
    cc: dict[str | None, list[float]] = {None: [], "posterior": []}
    for seed in range(3):
        adata, truth = noisy(seed, per_value=per_value)
        for weights, scores in cc.items():
            hd.tl.cross_validate(
                adata, use_rep="X_first", learner=learner, params=params, baselines=(), weights=weights,
                device="cpu", show_progress_bar=False,
            )  # fmt: skip
            found = adata.obsm["crossval_abundance"].to_numpy()
            scores.append(np.mean([np.corrcoef(found[:, k], truth.iloc[:, k])[0, 1] for k in range(3)]))
    gain = np.subtract(cc["posterior"], cc[None])
    assert (gain > 0).all()
    assert gain.mean() > 0.03


def test_the_model_says_that_weights_were_used(adata) -> None:
    train(adata)
    assert adata.uns["histodecon"]["regressor"]["weights"] == ""
    hd.tl.set_targets(adata, truth_table(adata), sd=truth_table(adata))
    plain, weighted = train(adata), train(adata, weights="posterior")
    assert adata.uns["histodecon"]["regressor"]["weights"] == "posterior"
    assert set(weighted.training_["weights"]) == {"smallest", "largest", "effective_rows"}
    assert plain.to_bytes() != weighted.to_bytes()


@pytest.mark.parametrize("transform", hd.models.TRANSFORMS)
def test_weights_go_with_every_scale(adata, transform: str) -> None:
    hd.tl.set_targets(adata, truth_table(adata), sd=truth_table(adata) / 2)
    assert train(adata, weights="posterior", transform=transform).training_["weights"]["effective_rows"] < 90


def test_spots_without_targets_have_no_say_in_the_weights(adata) -> None:
    table = truth_table(adata)
    with pytest.warns(hd.DroppedSpotsWarning):
        hd.tl.set_targets(adata, table.iloc[30:], sd=table.iloc[30:])
    model = train(adata, weights="posterior")
    only = adata[30:].copy()
    np.testing.assert_array_equal(
        train(only, weights="posterior").predict(adata.obsm["X_first"]), model.predict(adata.obsm["X_first"])
    )


def sd_hole(adata: ad.AnnData) -> None:
    hd.tl.set_targets(adata, truth_table(adata), sd=truth_table(adata))
    adata.obsm["cell_abundance_sd"].iloc[3, 1] = np.nan


@pytest.mark.parametrize(
    ("change", "weights", "error", "words"),
    [
        (nothing, "posterior", hd.MissingKeyError, "BI-87.*cell_abundance_sd.*sd="),
        (sd_hole, "posterior", hd.TargetError, "BI-60.*1 of 90"),
        (nothing, "prior", hd.InputError, "BI-72"),
    ],
)
def test_weights_that_are_not_there_answer_and_change_nothing(adata, change, weights, error, words) -> None:
    change(adata)
    before = state_of(adata)
    with pytest.raises(error, match=f"(?s){words}"):
        train(adata, weights=weights)
    assert state_of(adata) == before
