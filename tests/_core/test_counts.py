"""Every entry of the counts is looked at, also those behind the first block."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

import histodecon as hd
from histodecon._core import _counts
from histodecon._core._counts import read_counts


def table(X: object) -> AnnData:
    n, g = X.shape
    obs, var = ([f"{kind}{i}" for i in range(size)] for kind, size in (("spot", n), ("gene", g)))
    return AnnData(X, obs=pd.DataFrame(index=obs), var=pd.DataFrame(index=var))


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 10**6),
    st.sampled_from([0.5, -1.0, np.nan, np.inf, -0.25]),
    st.sampled_from([sparse.csr_matrix, sparse.csc_matrix, np.asarray]),
)
def test_a_single_wrong_entry_is_found_wherever_it_is(seed: int, wrong: float, kind: type) -> None:
    rng = np.random.default_rng(seed)
    counts = rng.poisson(0.7, (12, 9)).astype(np.float32)
    row, column = int(rng.integers(12)), int(rng.integers(9))
    counts[row, column] = wrong
    before, _counts.BLOCK = _counts.BLOCK, 7  # many blocks
    try:
        with pytest.raises(hd.TargetError, match=rf"BI-5[45].*'gene{column}' in 'spot{row}'"):
            read_counts(table(kind(counts)), None, "adata", "layer")
    finally:
        _counts.BLOCK = before


@pytest.mark.parametrize("dtype", [np.int32, np.uint16, np.float64, np.float32, np.bool_])
def test_whole_numbers_of_any_type_are_counts(dtype: type) -> None:
    counts = np.random.default_rng(0).poisson(0.4, (6, 5)).clip(0, 1).astype(dtype)
    read = read_counts(table(sparse.csr_matrix(counts)), None, "adata", "layer")
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read.toarray(), counts.astype(float))


def test_faults_are_counted() -> None:
    counts = np.full((3, 4), 2.0)
    counts[0, :3], counts[2, 1:] = 0.5, [-1, np.nan, -2]
    with pytest.raises(hd.TargetError) as told:
        read_counts(table(counts), None, "adata", "layer")
    assert "3 of 12 entries of the adata, X, first 0.5 of 'gene0' in 'spot0'" in str(told.value)
    assert "2 negative, 1 not finite of 12 entries" in str(told.value)


def test_a_dask_array_is_read() -> None:
    import dask.array as da

    counts = np.random.default_rng(0).poisson(1.0, (6, 5))
    np.testing.assert_array_equal(
        read_counts(table(da.from_array(counts, chunks=(2, 5))), None, "adata", "layer").toarray(), counts
    )
