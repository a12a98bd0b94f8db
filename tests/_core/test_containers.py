from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import histodecon as hd
from histodecon._core import (
    coordinates,
    iter_libraries,
    obs_column,
    require_spots,
    require_unique_names,
    slide_mpp,
    table_of,
)


def small(n: int = 4) -> ad.AnnData:
    adata = ad.AnnData(np.zeros((n, 1), dtype=np.float32), obs=pd.DataFrame(index=[f"s{i}" for i in range(n)]))
    adata.obsm["spatial"] = np.arange(2.0 * n).reshape(n, 2)
    return adata


class TwoTables:
    images = None

    def __init__(self, **tables) -> None:
        self.tables = tables


def test_table_is_found_by_name_or_because_it_is_the_only_one() -> None:
    adata = small()
    assert table_of(adata) is adata
    assert table_of(TwoTables(table=adata, other=small())) is adata
    assert table_of(TwoTables(spots=adata)) is adata
    with pytest.raises(hd.InputError, match="'a', 'b'"):
        table_of(TwoTables(a=adata, b=adata))
    with pytest.raises(hd.InputError, match="got ndarray"):
        table_of(np.zeros(3))


def test_libraries_come_in_order_and_cover_every_row() -> None:
    adata = small()
    adata.obs["library_id"] = pd.Categorical(["b", "a", "b", "a"], categories=["a", "b", "unused"])
    found = {name: rows.tolist() for name, rows in iter_libraries(adata)}
    assert list(found) == ["b", "a"]
    assert found == {"b": [0, 2], "a": [1, 3]}


def test_integers_tell_slides_apart_too() -> None:
    adata = small()
    adata.obs["slide"] = [1, 1, 2, 2]
    assert [name for name, _ in iter_libraries(adata, "slide")] == ["1", "2"]


def test_one_slide_without_a_column() -> None:
    adata = small()
    assert [(name, len(rows)) for name, rows in iter_libraries(adata)] == [("slide", 4)]
    adata.uns["spatial"] = {"A": {}}
    assert [name for name, _ in iter_libraries(adata)] == ["A"]


def test_several_slides_without_a_column_are_refused() -> None:
    adata = small()
    adata.uns["spatial"] = {"A": {}, "B": {}}
    with pytest.raises(hd.InputError, match="BI-36"):
        list(iter_libraries(adata))


def test_group_column_absent_or_with_gaps() -> None:  # BI-37
    adata = small()
    with pytest.raises(hd.MissingKeyError, match="patient"):
        obs_column(adata, "patient")
    adata.obs["patient"] = ["A", None, "B", None]
    with pytest.raises(hd.InputError, match="2 of 4: 's1', 's3'"):
        obs_column(adata, "patient")


def test_coordinates_are_checked() -> None:
    adata = small()
    assert coordinates(adata).shape == (4, 2)
    adata.obsm["spatial"][1, 0] = np.nan
    with pytest.raises(hd.GeometryError, match="'s1'"):
        coordinates(adata)
    adata.obsm["spatial"] = np.zeros((4, 3))
    with pytest.raises(hd.GeometryError, match="two columns"):
        coordinates(adata)
    del adata.obsm["spatial"]
    with pytest.raises(hd.MissingKeyError, match="BI-03"):
        coordinates(adata)


def test_empty_and_repeated() -> None:
    with pytest.raises(hd.InputError, match="BI-31"):
        require_spots(small(0))
    adata = small()
    adata.obs_names = ["a", "a", "b", "c"]
    with pytest.raises(hd.AlignmentError, match="BI-04"):
        require_unique_names(adata)


def test_recorded_mpp_prefers_the_tiles() -> None:
    adata = small()
    assert slide_mpp(adata, "A") is None
    adata.uns["histodecon"] = {"slides": {"A": {"mpp": 0.5}}}
    assert slide_mpp(adata, "A") == 0.5
    adata.uns["histodecon"]["tiles"] = {"A": {"mpp": 0.7}}
    assert slide_mpp(adata, "A") == 0.7
