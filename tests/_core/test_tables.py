from __future__ import annotations

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import histodecon as hd
from histodecon._core import (
    detect_kind,
    digest,
    is_safe_key,
    read_table,
    safe_columns,
    safe_key,
    table_kind,
    table_record,
    write_table,
)

NAMES = ["CAFs MSC/iCAF-like", "αβ T", "CD4+", "B cell"]


def small() -> tuple[ad.AnnData, pd.DataFrame]:
    adata = ad.AnnData(np.zeros((3, 1), dtype=np.float32), obs=pd.DataFrame(index=["s1", "s2", "s3"]))
    return adata, pd.DataFrame(np.arange(12.0).reshape(3, 4), index=adata.obs_names, columns=NAMES)


@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
def test_real_names_survive_a_round_trip(suffix: str, tmp_path: Path) -> None:
    adata, table = small()
    write_table(adata, "cell_abundance", table, kind="abundance", record={"source": "test"})
    getattr(adata, f"write_{suffix}")(tmp_path / f"a.{suffix}")
    back = getattr(ad, f"read_{suffix}")(tmp_path / f"a.{suffix}")
    pd.testing.assert_frame_equal(read_table(back, "cell_abundance"), table, check_names=False)
    assert table_kind(back, "cell_abundance") == "abundance"
    assert table_record(back, "cell_abundance")["unit"] == "cells per spot"


def test_subset_and_reorder_keep_names_and_rows() -> None:
    adata, table = small()
    write_table(adata, "t", table, kind="abundance")
    pd.testing.assert_frame_equal(read_table(adata[["s3", "s1"]].copy(), "t"), table.loc[["s3", "s1"]])


def test_a_users_own_table_is_read_under_its_columns() -> None:
    adata, table = small()
    adata.obsm["mine"] = table
    assert list(read_table(adata, "mine").columns) == NAMES
    assert table_record(adata, "mine") is None


@given(st.text())
def test_any_text_becomes_a_safe_key(text: str) -> None:
    assert is_safe_key(safe_key(text))


@given(st.lists(st.text(min_size=1), min_size=1, max_size=6, unique=True))
def test_columns_are_safe_distinct_and_in_order_or_refused(names: list[str]) -> None:
    try:
        columns = safe_columns(names)
    except hd.NamingError:
        return
    assert all(is_safe_key(column) for column in columns)
    assert len({column.lower() for column in columns}) == len(names)


@pytest.mark.parametrize("names", [["a/b", "a b"], ["T cell", "t cell"], [""], ["."], ["__x"], ["a", "a"]])
def test_names_that_would_be_lost_are_refused(names: list[str]) -> None:
    with pytest.raises(hd.NamingError):
        safe_columns(names)


def test_absent_key_names_those_present() -> None:
    adata, table = small()
    write_table(adata, "cell_abundance", table, kind="abundance")
    with pytest.raises(hd.MissingKeyError, match="'cell_abundance'"):
        read_table(adata, "predicted_abundance")


def test_a_nameless_array_is_refused() -> None:
    adata, table = small()
    adata.obsm["t"] = table.to_numpy()
    with pytest.raises(hd.InputError, match="no cell-type names"):
        read_table(adata, "t")


def test_kind_is_read_off_the_row_sums() -> None:
    rows = np.array([[0.25, 0.75], [np.nan, np.nan], [0.5, 0.5]])
    assert detect_kind(rows) == "proportion"
    assert detect_kind(rows * 2) == "abundance"
    assert detect_kind(np.full((2, 2), np.nan)) == "abundance"


def test_a_recorded_kind_counts_more_than_row_sums() -> None:
    adata, table = small()
    shares = table.div(table.sum(axis=1), axis=0)
    write_table(adata, "a", shares, kind="abundance")
    write_table(adata, "p", table, kind="proportion")
    adata.obsm["mine"] = shares
    assert [table_kind(adata, key) for key in ("a", "p", "mine")] == ["abundance", "proportion", "proportion"]
    assert table_record(adata, "p")["unit"] == "proportion"


def test_row_sums_may_be_off_by_a_thousandth() -> None:
    rows = np.array([[0.4, 0.6009], [0.5, 0.5]])
    assert detect_kind(rows) == "proportion"
    assert detect_kind(np.array([[0.4, 0.6011], [0.5, 0.5]])) == "abundance"
    assert detect_kind(rows[:, :1]) == "abundance"


def test_digest_tells_dtype_shape_order_and_content_apart() -> None:
    a = np.arange(6.0)
    seen = {
        digest(a),
        digest(a.reshape(2, 3)),
        digest(a.astype(np.float32)),
        digest(a[::-1]),
        digest("a", "b"),
        digest("ab"),
        digest(["a", "b"]),
    }
    assert len(seen) == 7
    assert digest(np.asfortranarray(a.reshape(2, 3))) == digest(a.reshape(2, 3))


def test_digest_reads_what_is_nested() -> None:
    assert digest(["a", "b"]) != digest(["a", "c"])
    assert digest({"a": 1}.items()) != digest({"a": 2}.items())


def test_an_unknown_kind_is_refused_and_nothing_is_written() -> None:
    adata, table = small()
    with pytest.raises(hd.InputError, match="Unknown kind 'counts'"):
        write_table(adata, "cells", table, kind="counts")
    assert "cells" not in adata.obsm
