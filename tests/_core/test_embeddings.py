from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import histodecon as hd
from histodecon._core import UNRECORDED, as_2d_float, embedding_keys, read_embedding, write_embedding

VALUES = np.arange(6, dtype=np.float32).reshape(3, 2)


def small() -> ad.AnnData:
    return ad.AnnData(np.zeros((3, 1), dtype=np.float32), obs=pd.DataFrame(index=["s1", "s2", "s3"]))


@pytest.mark.parametrize(
    "container",
    [
        VALUES,
        VALUES.astype(np.float16),
        VALUES.astype(int),
        np.asfortranarray(VALUES.astype(float)),
        sp.csr_matrix(VALUES),
        pd.DataFrame(VALUES),
        VALUES[::-1][::-1],
    ],
    ids=["float32", "float16", "int", "fortran", "sparse", "frame", "strided"],
)
def test_the_result_does_not_depend_on_the_container(container) -> None:
    """BI-47."""
    array = as_2d_float(container, "x")
    np.testing.assert_array_equal(array, VALUES)
    assert array.dtype == np.float32
    assert array.flags.c_contiguous


@pytest.mark.parametrize("bad", [np.array([["a"]]), np.zeros(3), np.zeros((2, 2), dtype=complex), np.zeros((1, 1, 1))])
def test_what_is_no_real_matrix_is_refused(bad) -> None:
    with pytest.raises(hd.InputError, match="BI-48"):
        as_2d_float(bad, "x")


def test_record_is_written_and_read_back() -> None:
    adata = small()
    write_embedding(
        adata, "X_a", VALUES, {"encoder": "a", "fingerprint": "f" * 64, "license": "MIT", "commercial": True}
    )
    values, record = read_embedding(adata, "X_a")
    np.testing.assert_array_equal(values, VALUES)
    assert record["key"] == "X_a"
    assert record["width"] == 2
    assert record["commercial"] is True


def test_what_is_not_known_of_a_license_is_not_permitted() -> None:
    adata = small()
    write_embedding(adata, "X_a", VALUES, {"encoder": "a", "fingerprint": "f" * 64})
    adata.obsm["X_mine"] = VALUES
    for key in ("X_a", "X_mine"):
        record = read_embedding(adata, key)[1]
        assert (record["license"], record["commercial"], record["key"]) == ("unknown", False, key)


def test_a_users_own_embedding_is_marked_unrecorded() -> None:
    adata = small()
    adata.obsm["X_mine"] = VALUES
    assert read_embedding(adata, "X_mine")[1]["fingerprint"] == UNRECORDED


def test_narrowed_embedding_is_refused() -> None:
    adata = small()
    write_embedding(adata, "X_a", VALUES, {"encoder": "a", "fingerprint": "f"})
    adata.obsm["X_a"] = VALUES[:, :1]
    with pytest.raises(hd.IntegrityError, match="BI-89"):
        read_embedding(adata, "X_a")


def test_values_that_are_not_finite_are_named() -> None:
    adata = small()
    adata.obsm["X_a"] = np.array([[0, 1], [np.nan, 1], [1, np.inf]])
    with pytest.raises(hd.InputError, match="2 of 3 spots: 's2', 's3'"):
        read_embedding(adata, "X_a")


def test_absent_key_lists_embeddings() -> None:
    adata = small()
    adata.obsm["X_a"] = VALUES
    with pytest.raises(hd.MissingKeyError, match="'X_a'"):
        read_embedding(adata, "X_b")


def test_keys_keep_their_order_and_stand_once() -> None:
    assert embedding_keys("X_a") == ["X_a"]
    assert embedding_keys(("X_b", "X_a")) == ["X_b", "X_a"]
    for bad in ([], ["X_a", "X_a"]):
        with pytest.raises(hd.InputError, match="BI-46"):
            embedding_keys(bad)
