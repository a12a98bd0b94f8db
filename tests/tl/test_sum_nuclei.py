from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from histodecon._core import (
    AlignmentError,
    DroppedSpotsWarning,
    HistodeconWarning,
    InputError,
    MissingKeyError,
    read_table,
    write_table,
)
from histodecon.tl import set_targets, sum_nuclei

TYPES = ["T cells", "CAFs MSC/iCAF-like"]


@pytest.fixture
def spots() -> ad.AnnData:
    return ad.AnnData(np.ones((3, 1)), obs=pd.DataFrame(index=["a", "b", "c"]))


@pytest.fixture
def nuclei() -> ad.AnnData:
    rng = np.random.default_rng(0)
    obs = pd.DataFrame({"spot": pd.Categorical(["a"] * 3 + ["b"] * 4 + [""] * 2)}, index=[f"n{i}" for i in range(9)])
    adata = ad.AnnData(np.ones((9, 1)), obs=obs)
    table = pd.DataFrame(rng.exponential(size=(9, 2)), index=adata.obs_names, columns=TYPES)
    write_table(adata, "predicted_abundance", table, kind="abundance")
    return adata


def test_totals_are_conserved(nuclei, spots):
    sum_nuclei(nuclei, spots)
    values, sums = read_table(nuclei, "predicted_abundance"), read_table(spots, "predicted_abundance")
    assert list(sums.columns) == TYPES
    np.testing.assert_allclose(sums.loc["a"], values.iloc[:3].sum(), rtol=1e-12)
    np.testing.assert_allclose(sums.loc["b"], values.iloc[3:7].sum(), rtol=1e-12)
    assert (sums.loc["c"] == 0).all()
    record = spots.uns["histodecon"]["tables"]["predicted_abundance"]
    assert (record["n_nuclei"], record["n_spots_without_nuclei"], record["kind"]) == (7, 1, "abundance")


def test_a_copy_leaves_the_spots_alone(nuclei, spots):
    out = sum_nuclei(nuclei, spots, key_added="sums", copy=True)
    assert "sums" in out.obsm
    assert "sums" not in spots.obsm


def test_nuclei_that_cannot_be_counted_are_told(nuclei, spots):
    nuclei.obsm["predicted_abundance"].iloc[0] = np.nan
    with pytest.warns(DroppedSpotsWarning, match="1 of 9 nuclei"), pytest.warns(HistodeconWarning, match="edited"):
        sum_nuclei(nuclei, spots)
    few = spots[["a"]].copy()
    with pytest.warns(DroppedSpotsWarning, match="5 of 9 nuclei"), pytest.warns(HistodeconWarning, match="edited"):
        sum_nuclei(nuclei, few)


def test_what_cannot_be_is_refused(nuclei, spots):
    with pytest.raises(MissingKeyError, match="'home'"):
        sum_nuclei(nuclei, spots, by="home")
    with pytest.raises(AlignmentError, match="No spot is in both"):
        sum_nuclei(nuclei, ad.AnnData(np.ones((2, 1)), obs=pd.DataFrame(index=["x", "y"])))
    table = read_table(nuclei, "predicted_abundance")
    write_table(nuclei, "shares", table.div(table.sum(axis=1), axis=0), kind="proportion")
    with pytest.raises(InputError, match="proportions"):
        sum_nuclei(nuclei, spots, predicted="shares")
    nuclei.obs["spot"] = ""
    with pytest.raises(InputError, match="names no spot"):
        sum_nuclei(nuclei, spots)
    assert "predicted_abundance" not in spots.obsm


def test_targets_of_spots_go_to_their_nuclei(nuclei, spots):
    own = pd.DataFrame([[1.0, 2.0], [3.0, 4.5]], index=["b", "a"], columns=TYPES)
    with pytest.warns(DroppedSpotsWarning, match="1 of 3 spots"):
        set_targets(spots, own)
    for given in (spots, own):
        set_targets(nuclei, given, by="spot")
        table = read_table(nuclei, "cell_abundance")
        assert list(table.columns) == TYPES
        np.testing.assert_array_equal(table.iloc[:3], [[3.0, 4.5]] * 3)
        np.testing.assert_array_equal(table.iloc[3:7], [[1.0, 2.0]] * 4)
        assert table.iloc[7:].isna().all(axis=None)
        assert nuclei.uns["histodecon"]["tables"]["cell_abundance"]["by"] == "spot"


def test_spots_of_nuclei_without_targets_are_told(nuclei):
    own = pd.DataFrame([[1.0, 2.0]], index=["b"], columns=TYPES)
    with pytest.warns(DroppedSpotsWarning, match="1 of 2 spots have no targets"):
        set_targets(nuclei, own, by="spot")
    with pytest.raises(MissingKeyError, match="'home'"):
        set_targets(nuclei, own, by="home")
