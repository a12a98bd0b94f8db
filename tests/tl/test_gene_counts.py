"""Learners of genes on tables: counts and signatures are found, missing ones told, predictions need none."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from planted_world import GENES, TYPES, World

import histodecon as hd
from histodecon.models import get_learner
from histodecon.tl._gene_counts import read_gene_counts

WORLD = World()
PARAMS = {"n_networks": 1, "max_epochs": 15, "hidden": 32}
SIGNATURES = pd.DataFrame(WORLD.signatures, index=list(GENES), columns=TYPES)


@pytest.fixture
def adata() -> ad.AnnData:
    X, W, counts, patients = WORLD.cohort(60, range(3))
    names = [f"spot_{i}" for i in range(len(X))]
    table = ad.AnnData(counts, obs=pd.DataFrame(index=names), var=pd.DataFrame(index=list(GENES)))
    table.obs["patient"] = pd.Categorical([f"P{p}" for p in patients])
    table.obs["library_id"] = table.obs["patient"]
    table.obsm["spatial"] = np.stack([np.arange(len(X)) % 60 % 8, np.arange(len(X)) % 60 // 8], axis=1) * 100.0
    table.obsm["X_own"] = X
    table.obsm["truth"] = pd.DataFrame(W, index=names, columns=TYPES)
    hd.tl.set_targets(table, "truth")
    return table


def without_genes(adata: ad.AnnData) -> ad.AnnData:
    bare = adata[:, :0].copy()
    for key in ("cell_abundance", "truth"):
        del bare.obsm[key]
    return bare


@pytest.mark.parametrize("learner", ["cuca", "cpnn", "cpnn_abundance"])
def test_a_slide_without_genes_is_predicted(adata: ad.AnnData, learner: str) -> None:
    told = {"signatures": SIGNATURES} if learner != "cuca" else {}
    model = hd.tl.train_regressor(
        adata, use_rep="X_own", learner=learner, params=PARAMS, show_progress_bar=False, device="cpu", **told
    )
    bare = without_genes(adata)
    hd.tl.predict_abundance(bare, model)
    found = bare.obsm["predicted_abundance"]
    assert list(found.columns) == TYPES
    assert np.isfinite(found.to_numpy()).all()
    kept = hd.models.AbundanceRegressor.from_bytes(adata.uns["histodecon"]["regressor"]["model"].tobytes())
    np.testing.assert_array_equal(kept.predict(adata.obsm["X_own"]), model.predict(adata.obsm["X_own"]))


def test_no_targets_are_needed_where_genes_teach(adata: ad.AnnData) -> None:
    del adata.obsm["cell_abundance"]
    adata.X[3] = 0
    how = {
        "use_rep": "X_own",
        "learner": "cpnn_abundance",
        "params": PARAMS,
        "show_progress_bar": False,
        "device": "cpu",
    }
    model = hd.tl.train_regressor(adata, signatures=SIGNATURES, **how)
    assert model.training_["n_rows"] == adata.n_obs - 1
    assert model.cell_types_ == tuple(TYPES)
    with pytest.raises(hd.MissingKeyError):
        hd.tl.train_regressor(adata, **{**how, "learner": "cpnn"}, signatures=SIGNATURES)
    with pytest.raises(hd.InputError, match="BI-123"):
        hd.tl.train_regressor(adata, **how)


def test_embedding_and_expression_are_written_beside(adata: ad.AnnData) -> None:
    how = {"use_rep": "X_own", "params": PARAMS, "show_progress_bar": False, "device": "cpu"}
    cuca = hd.tl.train_regressor(adata, learner="cuca", **how)
    cpnn = hd.tl.train_regressor(adata, learner="cpnn", signatures=SIGNATURES, **how)
    bare = without_genes(adata)
    hd.tl.predict_abundance(bare, cuca, representation_added="X_cuca")
    hd.tl.predict_abundance(bare, cpnn, key_added="shares", expression_added="expression")
    assert bare.obsm["X_cuca"].shape == (bare.n_obs, 32)
    assert bare.obsm["X_cuca"].dtype == np.float32
    assert list(bare.obsm["expression"].columns) == list(cpnn.training_["genes"])
    np.testing.assert_allclose(bare.obsm["shares"].sum(axis=1), 1.0, atol=1e-5)
    before = set(bare.obsm)
    with pytest.raises(hd.ModelError, match="cannot express"):
        hd.tl.predict_abundance(bare, cuca, key_added="other", expression_added="nothing")
    assert set(bare.obsm) == before


def test_signatures_of_a_deconvolution_are_found(adata: ad.AnnData) -> None:
    hd.tl.deconvolve(adata, signatures=SIGNATURES, method="nnls")
    genes = read_gene_counts(adata, get_learner("cpnn").build())
    assert genes.cell_types == tuple(TYPES)
    np.testing.assert_allclose(genes.signatures, SIGNATURES.loc[list(genes.names)].to_numpy())
    assert read_gene_counts(adata, get_learner("ridge").build()) is None


def test_signatures_are_matched_by_name(adata: ad.AnnData) -> None:
    shuffled = SIGNATURES.sample(frac=0.5, random_state=0)
    genes = read_gene_counts(adata, get_learner("cpnn").build(), signatures=shuffled)
    assert set(genes.names) == set(shuffled.index)
    np.testing.assert_array_equal(genes.signatures, shuffled.loc[list(genes.names)].to_numpy())
    np.testing.assert_array_equal(genes.dense(np.array([0])), adata[:, genes.names[0]].X)


@pytest.mark.parametrize(
    ("signatures", "code"),
    [
        (SIGNATURES.set_axis([f"ENSG{i}" for i in range(len(SIGNATURES))]), "BI-56"),
        (pd.concat([SIGNATURES, SIGNATURES.iloc[:1]]), "BI-57"),
        (SIGNATURES.to_numpy(), "BI-64"),
        (-SIGNATURES, "BI-55"),
    ],
)
def test_bad_signatures_are_told(adata: ad.AnnData, signatures: pd.DataFrame, code: str) -> None:
    with pytest.raises(hd.HistodeconError) as error:
        hd.tl.train_regressor(adata, use_rep="X_own", learner="cpnn", signatures=signatures, show_progress_bar=False)
    assert error.value.code == code
    assert "regressor" not in adata.uns["histodecon"]


def test_counts_that_are_none_are_told(adata: ad.AnnData) -> None:
    adata.layers["log"] = np.log1p(adata.X)
    for layer, code in (("log", "BI-54"), ("absent", "BI-87")):
        with pytest.raises(hd.HistodeconError) as error:
            hd.tl.train_regressor(adata, use_rep="X_own", learner="cuca", layer=layer, show_progress_bar=False)
        assert error.value.code == code


def test_all_learners_are_compared_in_one_line(adata: ad.AnnData) -> None:
    names = ("ridge", "cuca", "cpnn", "cpnn_abundance", "fusion", "graph_attention")
    learners = {name: {"learner": name, **({} if name == "ridge" else PARAMS)} for name in names}
    table = hd.tl.compare_learners(
        adata, use_rep="X_own", learners=learners, signatures=SIGNATURES, device="cpu", show_progress_bar=False
    )
    assert table["learner"].tolist() == list(names)
    assert np.isfinite(table["cc"]).all()


def test_an_honest_cross_validation_of_genes(adata: ad.AnnData) -> None:
    """Counts of the patient left out do not reach the model."""
    how = {"use_rep": "X_own", "learner": "cpnn_abundance", "params": PARAMS, "device": "cpu", "baselines": ()}
    found = []
    for spoiled in (False, True):
        if spoiled:
            adata.X[(adata.obs["patient"] == "P0").to_numpy()] = 7
        hd.tl.cross_validate(adata, signatures=SIGNATURES, show_progress_bar=False, **how)
        found.append(adata.obsm["crossval_abundance"][adata.obs["patient"] == "P0"])
    pd.testing.assert_frame_equal(found[0], found[1], rtol=1e-5)


def test_a_gene_learner_is_calibrated(adata: ad.AnnData) -> None:
    how = {"use_rep": "X_own", "params": PARAMS, "show_progress_bar": False, "device": "cpu"}
    model = hd.tl.train_regressor(adata, learner="cuca", calibrate=True, **how)
    assert model.calibration_ is not None
    hd.tl.predict_abundance(adata, model)
    assert (adata.obsm["predicted_abundance_lower"] <= adata.obsm["predicted_abundance_upper"]).to_numpy().all()


def test_block_scaling_reaches_the_folds(adata: ad.AnnData) -> None:
    adata.obsm["X_wide"] = np.random.default_rng(0).normal(size=(adata.n_obs, 400)).astype(np.float32)
    how = {"use_rep": ["X_own", "X_wide"], "learner": "ridge", "baselines": (), "show_progress_bar": False}
    cc = {}
    for scaling in ("none", "width"):
        table = hd.tl.cross_validate(adata, block_scaling=scaling, **how)
        cc[scaling] = table.loc[table["fold"] == "mean", "cc"].item()
    assert cc["width"] > cc["none"] + 0.05
