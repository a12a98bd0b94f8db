"""The mean of several deconvolutions, and their disagreement."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pytest
from tests_support import state_of
from toy_embeddings import TYPES, cohort, truth_table

import histodecon as hd
from histodecon._core import read_table, table_record

KEYS = ["one", "two", "three"]


def methods(*, kind: str = "abundance", noise: float = 0.5) -> ad.AnnData:
    adata = cohort()
    rng = np.random.default_rng(3)
    for key, scale in zip(KEYS, (1.0, 10.0, 0.5), strict=True):
        table = (truth_table(adata) + noise * rng.random((90, 3))) * scale
        table = table.div(table.sum(axis=1), axis=0) if kind == "proportion" else table
        hd.tl.set_targets(adata, table[rng.permutation(TYPES)], kind=kind, key_added=key)
    return adata


def test_proportions_are_averaged_by_name() -> None:
    adata = methods(kind="proportion")
    hd.tl.consensus_targets(adata, KEYS)
    values = np.stack([read_table(adata, key)[TYPES].to_numpy() for key in KEYS])
    found, sd = (read_table(adata, f"consensus_abundance{part}")[TYPES] for part in ("", "_sd"))
    np.testing.assert_allclose(found, values.mean(axis=0))
    np.testing.assert_allclose(sd, values.std(axis=0, ddof=1))
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert table_record(adata, "consensus_abundance")["kind"] == "proportion"


def test_abundances_are_brought_to_a_common_total() -> None:
    adata = methods(noise=0.0)
    hd.tl.consensus_targets(adata, KEYS, key_added="all")
    totals = [read_table(adata, key).sum(axis=1).mean() for key in KEYS]
    assert read_table(adata, "all").sum(axis=1).mean() == pytest.approx(np.mean(totals))
    np.testing.assert_allclose(read_table(adata, "all_sd"), 0, atol=1e-9)  # they only differ in scale
    np.testing.assert_allclose(table_record(adata, "all")["scales"], np.mean(totals) / np.array(totals))


def test_the_order_of_the_tables_is_irrelevant() -> None:
    adata = methods()
    for key, keys in (("a", KEYS), ("b", KEYS[::-1])):
        hd.tl.consensus_targets(adata, keys, key_added=key)
    for part in ("", "_sd"):
        one, other = (read_table(adata, f"{key}{part}")[TYPES] for key in "ab")
        np.testing.assert_allclose(one, other)


def test_the_disagreement_can_weigh_the_training() -> None:
    adata = methods()
    hd.tl.consensus_targets(adata, KEYS)
    model = hd.tl.train_regressor(
        adata, use_rep="X_first", targets="consensus_abundance", learner="ridge", weights="posterior"
    )
    assert model.training_["weights"]["largest"] > model.training_["weights"]["smallest"]


def test_spots_that_one_method_lacks_are_nan_and_said() -> None:
    adata = methods()
    adata.obsm["two"].iloc[[0, 4]] = np.nan
    with pytest.warns(hd.DroppedSpotsWarning, match="2 of 90"):
        hd.tl.consensus_targets(adata, KEYS)
    for part in ("", "_sd"):
        assert list(np.flatnonzero(adata.obsm[f"consensus_abundance{part}"].isna().any(axis=1))) == [0, 4]


def as_share(adata: ad.AnnData) -> None:
    table = read_table(adata, "two")
    hd.tl.set_targets(adata, table.div(table.sum(axis=1), axis=0), key_added="two")


def renamed(adata: ad.AnnData) -> None:
    hd.tl.set_targets(adata, read_table(adata, "two").rename(columns={"T cell": "T"}), key_added="two")


def emptied(adata: ad.AnnData) -> None:
    adata.obsm["two"] *= 0.0
    record = adata.uns["histodecon"]["tables"]["two"]  # as it was before rows had digests, which would speak first
    adata.uns["histodecon"]["tables"]["two"] = {name: record[name] for name in ("kind", "unit", "names", "columns")}


def apart(adata: ad.AnnData) -> None:
    adata.obsm["two"].iloc[:45] = np.nan
    adata.obsm["one"].iloc[45:] = np.nan


def same(adata: ad.AnnData) -> None:
    """Leaves it as it is."""


@pytest.mark.parametrize(
    ("change", "keys", "error", "words"),
    [
        (as_share, KEYS, hd.InputError, "BI-61.*'two'.*normalize=True"),
        (renamed, KEYS, hd.AlignmentError, "BI-64.*'T cell'.*'T'"),
        (emptied, KEYS, hd.InputError, "BI-62.*'two'"),
        (apart, KEYS, hd.InputError, "BI-31"),
        (same, ["one"], hd.InputError, "BI-72"),
        (same, "one", hd.InputError, "BI-72"),
        (same, ["one", "one"], hd.InputError, "BI-72"),
        (same, ["one", "four"], hd.MissingKeyError, "four"),
    ],
)
def test_bad_input_answers_and_changes_nothing(change, keys, error: type[Exception], words: str) -> None:
    adata = methods()
    change(adata)
    before = state_of(adata)
    with pytest.raises(error, match=f"(?s){words}"):
        hd.tl.consensus_targets(adata, keys)
    assert state_of(adata) == before


@pytest.mark.parametrize("form", ["h5ad", "zarr"])
def test_results_survive(form: str, tmp_path) -> None:
    adata = methods()
    out = hd.tl.consensus_targets(adata, KEYS, copy=True)
    assert "consensus_abundance" not in adata.obsm
    getattr(out, f"write_{form}")(tmp_path / "a")
    assert state_of(getattr(ad, f"read_{form}")(tmp_path / "a"), loose=True) == state_of(out, loose=True)
