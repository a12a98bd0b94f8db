"""get.signatures; that they are right is tested with tl.deconvolve."""

from __future__ import annotations

import pytest

import histodecon as hd


def test_an_absent_run_is_named() -> None:
    adata = hd.datasets.toy_slide(n_rows=5, n_cols=5)["table"]
    hd.tl.deconvolve(adata, hd.datasets.toy_reference(), labels_key="cell_type", method="nnls", key_added="mine")
    assert hd.get.signatures(adata, "mine").shape == (60, 6)
    with pytest.raises(hd.MissingKeyError, match=r"BI-87.*'cell_abundance'.*'mine'"):
        hd.get.signatures(adata)


def test_what_is_returned_is_a_copy() -> None:
    adata = hd.datasets.toy_slide(n_rows=5, n_cols=5)["table"]
    hd.tl.deconvolve(adata, hd.datasets.toy_reference(), labels_key="cell_type", method="nnls")
    hd.get.signatures(adata).iloc[:] = -1
    assert (hd.get.signatures(adata) >= 0).all(axis=None)
