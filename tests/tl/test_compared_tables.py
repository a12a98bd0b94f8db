"""Names and kinds of tables that are compared, and a model that is carried from one dataset to another."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from tests_support import state_of
from toy_embeddings import TYPES, cohort, truth_table

import histodecon as hd
from histodecon import stats
from histodecon._core import write_table
from histodecon.tl._compared_tables import compare_tables

BREAST = ["Epithelial", "T-cells", "CAFs MSC/iCAF-like"]
OTHER = ["T-cells", "Adipocytes", "Epithelial"]


def two_tables(first: list[str], second: list[str]) -> ad.AnnData:
    """Each column of both tables holds a number made of its name."""
    adata = ad.AnnData(obs=pd.DataFrame(index=[f"s{i}" for i in range(12)]))
    for key, names in (("cell_abundance", first), ("predicted_abundance", second)):
        columns = {name: np.random.default_rng(len(name)).gamma(1, size=12) for name in names}
        write_table(adata, key, pd.DataFrame(columns, index=adata.obs_names), kind="abundance")
    return adata


def test_columns_meet_by_name_in_the_order_of_the_truth() -> None:
    tables = compare_tables(two_tables(BREAST, BREAST[::-1]), "cell_abundance", "predicted_abundance")
    assert tables.names == tuple(BREAST)
    np.testing.assert_array_equal(tables.truth, tables.predicted)


def test_other_names_are_told_from_each_other_and_what_is_shared_can_be_scored() -> None:
    adata = two_tables(BREAST, OTHER)
    before = state_of(adata)
    with pytest.raises(hd.AlignmentError) as error:
        hd.tl.evaluate(adata)
    text = str(error.value)
    assert error.value.code == "BI-64"
    assert "only in cell_abundance: 'CAFs MSC/iCAF-like'; only in predicted_abundance: 'Adipocytes'; in both: 2" in text
    assert "`cell_types=['Epithelial', 'T-cells']`" in text
    assert state_of(adata) == before
    scores = hd.tl.evaluate(adata, cell_types=["T-cells", "Epithelial"])
    assert list(scores.index) == ["T-cells", "Epithelial", "mean"]
    np.testing.assert_allclose(scores["cc"], 1.0)
    np.testing.assert_allclose(scores["l1_shares"], 0.0, atol=1e-12)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["T-cells", "NK"], "not in cell_abundance: 'NK'; not in predicted_abundance: 'NK'"),
        (["Adipocytes"], "not in cell_abundance: 'Adipocytes'"),
        (["T-cells", "T-cells"], "twice: 'T-cells'"),
        ([], "none were named"),
    ],
)
def test_chosen_names_must_be_in_all_tables(names: list[str], words: str) -> None:
    adata = two_tables(BREAST, OTHER)
    with pytest.raises(hd.AlignmentError, match=words) as error:
        hd.tl.evaluate(adata, cell_types=names)
    assert error.value.code == "BI-64"


def another_lab(names: list[str]) -> ad.AnnData:
    """Other spots of the same kind of tissue, whose table names cell types in another order or differently."""
    adata = cohort()
    table = truth_table(adata)
    rows = np.random.default_rng(7).permutation(len(table))[:50]
    other = adata[rows].copy()
    other.obs_names = [f"lab2_{name}" for name in other.obs_names]
    table = table.iloc[rows].set_axis(other.obs_names)
    hd.tl.set_targets(other, table[TYPES[::-1]].set_axis(names, axis=1))
    return other


def test_a_model_of_one_dataset_reads_another_whose_types_stand_in_another_order() -> None:
    first = cohort(seed=0)
    hd.tl.set_targets(first, truth_table(first))
    model = hd.tl.train_regressor(first, use_rep="X_first", learner="ridge", device="cpu")
    second = another_lab(TYPES[::-1])
    hd.tl.predict_abundance(second, model)
    scores = hd.tl.evaluate(second, groupby="patient")
    predicted = model.predict(second.obsm["X_first"])
    truth = second.obsm["cell_abundance"].to_numpy()[:, ::-1]
    for patient in "ABC":
        rows = (second.obs["patient"] == patient).to_numpy()
        expected = stats.pearson_per_type(truth[rows], predicted[rows])
        np.testing.assert_allclose(scores.loc[patient].loc[TYPES, "cc"], expected)
    assert scores.loc[("mean", "mean"), "cc"] > 0.9


def test_a_dataset_with_other_types_is_told_so_and_scored_on_what_is_shared() -> None:
    first = cohort(seed=0)
    hd.tl.set_targets(first, truth_table(first))
    model = hd.tl.train_regressor(first, use_rep="X_first", learner="ridge", device="cpu")
    second = another_lab(["T cell", "Fibroblasts", "B cell"])
    hd.tl.predict_abundance(second, model)
    with pytest.raises(
        hd.AlignmentError, match=r"only in cell_abundance: 'Fibroblasts'; only in predicted.*'CAFs MSC/iCAF"
    ):
        hd.tl.evaluate(second)
    scores = hd.tl.evaluate(second, cell_types=["B cell", "T cell"])
    assert (scores["cc"] > 0.9).all()
