"""Rows are known by barcode: subsets and orders pass, edits and losses do not."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import histodecon as hd
from histodecon._core import changed_rows, read_embedding, read_table, row_digests, write_embedding, write_table

N, RNG = 40, np.random.default_rng(0)


def table() -> ad.AnnData:
    adata = ad.AnnData(np.zeros((N, 1), dtype=np.float32), obs=pd.DataFrame(index=[f"s{i}" for i in range(N)]))
    values = RNG.normal(size=(N, 6)).astype(np.float32)
    values[::4, 2] = 0
    write_embedding(adata, "X_e", values, {"encoder": "e", "fingerprint": "f"})
    counts = RNG.poisson(1.0, (N, 3)).astype(float) + np.array([1, 0, 0.5])
    write_table(adata, "cells", pd.DataFrame(counts, adata.obs_names, ["T", "B cell", "M/φ"]), kind="abundance")
    return adata


def quietly(adata: ad.AnnData) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_embedding(adata, "X_e")
        read_table(adata, "cells")


@given(st.permutations(range(N)), st.integers(1, N))
def test_subsets_and_orders_pass(order: list[int], n: int) -> None:
    quietly(table()[order[:n]].copy())


@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
def test_files_pass(tmp_path: Path, suffix: str) -> None:
    getattr(table(), f"write_{suffix}")(tmp_path / "a")
    quietly(getattr(ad, f"read_{suffix}")(tmp_path / "a"))


@pytest.mark.parametrize("kind", [np.float64, np.asfortranarray, pd.DataFrame, "sparse"])
def test_containers_pass(kind: Any) -> None:
    import scipy.sparse as sp

    adata = table()
    values = adata.obsm["X_e"]
    if kind == "sparse":
        adata.obsm["X_e"] = sp.csr_matrix(values)
    elif kind is pd.DataFrame:
        adata.obsm["X_e"] = pd.DataFrame(values, index=adata.obs_names)
    else:
        adata.obsm["X_e"] = kind(values)
    quietly(adata)


@given(st.integers(0, N - 1), st.integers(0, 5), st.integers(0, 31))
def test_every_bit_counts(row: int, column: int, bit: int) -> None:  # BI-90
    adata = table()
    values = adata.obsm["X_e"]
    values.view(np.uint32)[row, column] ^= np.uint32(1 << bit)
    if not np.isfinite(values).all() or values[row, column] == 0:
        return
    with pytest.warns(hd.HistodeconWarning, match=rf"BI-90.*'X_e'.*edited.*1 of {N} spots: 's{row}'"):
        read_embedding(adata, "X_e")


def test_edits_warn_and_rows_in_another_order_too() -> None:
    adata = table()
    adata.obsm["cells"] = adata.obsm["cells"] * 2
    with pytest.warns(hd.HistodeconWarning, match=rf"BI-90.*{N} of {N}"):
        assert (read_table(adata, "cells")["T"] >= 2).all()
    adata = table()
    adata.obsm["X_e"] = adata.obsm["X_e"][::-1].copy()
    with pytest.warns(hd.HistodeconWarning, match="BI-90"):
        read_embedding(adata, "X_e")


def test_zeros_are_a_loss() -> None:  # FI-05
    adata = table()
    adata.obsm["cells"].iloc[10:20, 0] = 0.0
    with pytest.raises(hd.IncompleteStoreError, match=r"FI-05.*'cells'.*10 of 40 spots: 's10'.*set_targets"):
        read_table(adata, "cells")
    with pytest.raises(hd.IncompleteStoreError, match="FI-05"):
        read_table(adata[12:14].copy(), "cells")
    quietly(adata[:10].copy())
    adata = table()
    adata.obsm["X_e"][5, 3] = 0
    with pytest.raises(hd.IncompleteStoreError, match=r"'X_e'.*embed_tiles"):
        read_embedding(adata, "X_e")


def test_renamed_barcodes_are_no_edit() -> None:
    adata = table()
    adata.obs_names = [f"{name}-1" for name in adata.obs_names]
    quietly(adata)
    adata.obsm["X_e"][3, 0] += 1
    with pytest.warns(hd.HistodeconWarning, match="BI-90.*'s3-1'"):
        read_embedding(adata, "X_e")


def test_rows_that_were_not_there_are_not_judged() -> None:
    first, second = table(), table()
    second.obs_names = [f"t{i}" for i in range(N)]
    joined = ad.concat([first, second])
    joined.uns["histodecon"] = first.uns["histodecon"]
    quietly(joined)


def test_records_without_digests_are_accepted() -> None:
    adata = table()
    for branch in ("embeddings", "tables"):
        for record in adata.uns["histodecon"][branch].values():
            del record["rows"]
    adata.obsm["X_e"] += 1
    quietly(adata)


def test_digests_do_not_depend_on_layout() -> None:
    values = RNG.normal(size=(5, 4))
    expected = row_digests(list("abcde"), values)
    assert expected.shape == (5, 3)
    np.testing.assert_array_equal(row_digests(list("abcde"), np.asfortranarray(values)), expected)
    np.testing.assert_array_equal(row_digests(list("edcba"), values[::-1]), expected[::-1])
    assert row_digests([], np.zeros((0, 4))).shape == (0, 3)
    changed, emptied = changed_rows(table(), None, values)
    assert len(changed) == len(emptied) == 0
