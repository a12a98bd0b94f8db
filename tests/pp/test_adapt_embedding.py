"""Adapting an embedding in a table: who is trained on, what is written, what is refused."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from planted_stain import planted
from tests_support import state_of

import histodecon as hd
from histodecon._core import write_embedding

QUICK = {"max_epochs": 4, "n_held_in": 2, "bottleneck": 8, "hidden": 16, "learning_rate": 0.02, "min_gain": 0.0}
HOW = {"params": QUICK, "device": "cpu", "show_progress_bar": False}


def table(stain: float = 1.0, n_patients: int = 4) -> ad.AnnData:
    X, cells, counts, patients = planted(stain, n_patients=n_patients, n_spots=25)
    adata = ad.AnnData(counts.astype(np.float32))
    adata.obs_names = [f"spot_{i}" for i in range(len(X))]
    adata.obs["patient"] = pd.Categorical(patients)
    adata.obs["library_id"] = pd.Categorical([f"slide_{name}" for name in patients])
    row, column = np.divmod(np.arange(len(X)) % 25, 5)
    adata.obsm["spatial"] = 100.0 * np.stack([column, row], axis=1)
    record = {"encoder": "uni", "fingerprint": "uni-recipe", "license": "CC", "commercial": False}
    write_embedding(adata, "X_uni", X, record)
    adata.obsm["cell_abundance"] = pd.DataFrame(cells, index=adata.obs_names, columns=list("abcd"))
    return adata


@pytest.fixture(autouse=True)
def _identity_is_fine() -> object:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*HD-BI-130")
        yield


def test_what_is_written() -> None:
    adata = table()
    adapter = hd.pp.adapt_embedding(adata, use_rep="X_uni", **HOW)
    record = adata.uns["histodecon"]["embeddings"]["X_uni_seal"]
    np.testing.assert_array_equal(adata.obsm["X_uni_seal"], adapter.transform(adata.obsm["X_uni"]))
    assert record["encoder"] == "uni_seal"
    assert record["license"] == "CC"
    assert record["adapted_from"] == "X_uni"
    assert record["adapter_sha256"] == adapter.sha256_
    assert json.loads(record["recipe"])["adapted_from"] == "uni-recipe"
    assert record["trained_epochs"] == adapter.history_["trained_epochs"]
    hd.pp.adapt_embedding(adata, use_rep="X_uni", **HOW)  # its own entry is replaced


def test_groups_left_out_and_spots_without_counts_are_not_looked_at() -> None:
    one, other = table(), table()
    out = (other.obs["patient"] == "P4").to_numpy()
    other.X[out] = np.random.default_rng(0).poisson(50, size=other.X[out].shape)
    first = hd.pp.adapt_embedding(one, use_rep="X_uni", leave_out="P4", **HOW)
    second = hd.pp.adapt_embedding(other, use_rep="X_uni", leave_out=["P4"], **HOW)
    assert first.groups_ == ["P1", "P2", "P3"]
    assert first.sha256_ == second.sha256_
    empty = table()
    empty.X[out] = 0
    assert hd.pp.adapt_embedding(empty, use_rep="X_uni", **HOW).sha256_ == first.sha256_
    np.testing.assert_array_equal(empty.obsm["X_uni_seal"], one.obsm["X_uni_seal"])  # transformed all the same


def test_a_kept_adapter_is_applied_to_another_table(tmp_path: Path) -> None:
    adata, new = table(), table(0.5)
    adapter = hd.pp.adapt_embedding(adata, use_rep="X_uni", **HOW)
    path = adapter.save(tmp_path / "seal.safetensors")
    new.X = None
    hd.pp.adapt_embedding(new, use_rep="X_uni", adapter=path)
    np.testing.assert_array_equal(new.obsm["X_uni_seal"], adapter.transform(new.obsm["X_uni"]))
    records = [one.uns["histodecon"]["embeddings"]["X_uni_seal"] for one in (adata, new)]
    assert records[0]["fingerprint"] == records[1]["fingerprint"]
    write_embedding(new, "X_uni", new.obsm["X_uni"], {"encoder": "uni", "fingerprint": "other"})
    with pytest.raises(hd.ModelMismatchError, match="BI-45"):
        hd.pp.adapt_embedding(new, use_rep="X_uni", adapter=adapter)


def test_a_model_refuses_the_output_of_another_adapter() -> None:
    adata = table()
    hd.tl.set_targets(adata, "cell_abundance", kind="abundance")
    hd.pp.adapt_embedding(adata, use_rep="X_uni", random_state=0, **HOW)
    model = hd.tl.train_regressor(adata, use_rep="X_uni_seal", learner="ridge", show_progress_bar=False)
    hd.tl.predict_abundance(adata, model)
    hd.pp.adapt_embedding(adata, use_rep="X_uni", leave_out="P1", **HOW)
    with pytest.raises(hd.ModelMismatchError, match="BI-45"):
        hd.tl.predict_abundance(adata, model)


def test_it_survives_h5ad(tmp_path: Path) -> None:
    adata = table()
    hd.pp.adapt_embedding(adata, use_rep="X_uni", **HOW)
    adata.write_h5ad(tmp_path / "a.h5ad")
    read = ad.read_h5ad(tmp_path / "a.h5ad")
    np.testing.assert_array_equal(read.obsm["X_uni_seal"], adata.obsm["X_uni_seal"])
    assert read.uns["histodecon"]["embeddings"]["X_uni_seal"]["adapter"] == "seal"


def test_without_patients_that_is_said() -> None:
    adata = table()
    del adata.obs["patient"]
    with pytest.warns(hd.FallbackWarning, match="held-in spots"):
        hd.pp.adapt_embedding(adata, use_rep="X_uni", **HOW)
    with pytest.raises(hd.InputError, match="BI-68"):
        hd.pp.adapt_embedding(adata, use_rep="X_uni", groupby=None, leave_out="P1", **HOW)


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"use_rep": "X_absent"}, "BI-87"),
        ({"use_rep": ["X_uni"]}, "BI-46"),
        ({"method": "seel"}, "BI-51"),
        ({"params": {"bottle": 3}}, "BI-72"),
        ({"leave_out": "P9"}, "BI-68"),
        ({"leave_out": ["P1", "P2", "P3", "P4"]}, "BI-31"),
        ({"layer": "counts"}, "BI-87"),
        ({"key_added": "a/b"}, "BI-67"),
        ({"key_added": "X_uni"}, "BI-53"),
        ({"key_added": "spatial"}, "BI-53"),
        ({"groupby": "person"}, "BI-37"),
        ({"adapter": hd.encoders.EmbeddingAdapter()}, "BI-87"),
    ],
)
def test_bad_input_changes_nothing(given: dict, code: str) -> None:
    adata = table()
    before = state_of(adata)
    with pytest.raises(hd.HistodeconError, match=code):
        hd.pp.adapt_embedding(adata, **{"use_rep": "X_uni", **HOW, **given})
    assert state_of(adata) == before


def test_fractions_are_no_counts() -> None:
    adata = table()
    adata.X = adata.X + 0.5
    before = state_of(adata)
    with pytest.raises(hd.TargetError, match="BI-54"):
        hd.pp.adapt_embedding(adata, use_rep="X_uni", **HOW)
    assert state_of(adata) == before


def nuclei(n: int = 60) -> ad.AnnData:
    """A table of nuclei as `pp.embed_nuclei` leaves it: no genes."""
    rng = np.random.default_rng(0)
    obs = pd.DataFrame({"patient": rng.choice(["P1", "P2"], n), "nucleus_id": np.arange(n)})
    obs["spot"] = [f"spot_{i % 20}" for i in range(n)]
    out = ad.AnnData(obs=obs.set_index(obs["nucleus_id"].map("n{}".format)))
    write_embedding(
        out, "X_uni", rng.normal(size=(n, 12)).astype(np.float32), {"encoder": "uni", "fingerprint": "24um"}
    )
    return out


def test_nuclei_have_no_counts_to_train_an_adapter_on() -> None:
    adata = nuclei()
    before = state_of(adata)
    with pytest.raises(hd.InputError, match=r"BI-31.*60 rows x 0 genes in X; rows are nuclei.*as it is; adapt.*tiles"):
        hd.pp.adapt_embedding(adata, use_rep="X_uni", **HOW)
    for learner in ("ridge", "nuclei"):  # nor does the one that is fitted anew for every fold
        cells = pd.DataFrame({"a": 1.0, "b": np.arange(20.0)}, index=[f"spot_{i}" for i in range(20)])
        told = adata.copy()
        told.obs["patient"] = np.where(np.arange(60) % 20 < 10, "P1", "P2")
        hd.tl.set_targets(told, cells, by="spot", kind="abundance")
        step = hd.pp.adapter("X_uni", device="cpu")
        with pytest.raises(hd.InputError, match="nuclei"):
            hd.tl.cross_validate(told, use_rep=step, learner=learner, baselines=(), show_progress_bar=False)
    assert state_of(adata) == before


def test_an_adapter_of_tiles_is_not_one_of_nuclei() -> None:
    adata, own = table(), nuclei()
    adapter = hd.pp.adapt_embedding(adata, use_rep="X_uni", **HOW)
    before = state_of(own)
    with pytest.raises(hd.ModelMismatchError, match="BI-45"):
        hd.pp.adapt_embedding(own, use_rep="X_uni", adapter=adapter)
    assert state_of(own) == before


def test_nuclei_with_counts_of_their_own_are_rows_like_others() -> None:
    adata = table()
    adata.obs["nucleus_id"] = np.arange(adata.n_obs)
    other = hd.pp.adapt_embedding(table(), use_rep="X_uni", **HOW)
    assert hd.pp.adapt_embedding(adata, use_rep="X_uni", **HOW).sha256_ == other.sha256_


def test_spots_without_counts_are_told_where_to_look() -> None:
    adata = table()
    adata.layers["counts"] = adata.X.copy()
    adata.X[:] = 0
    with pytest.raises(hd.InputError, match=r"BI-31.*100 rows x 60 genes in X.*`layer=.counts.`"):
        hd.pp.adapt_embedding(adata, use_rep="X_uni", **HOW)
    hd.pp.adapt_embedding(adata, use_rep="X_uni", layer="counts", **HOW)
