"""Views and backed tables: the result is there, the parent or file is not changed, and that is said."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from tests_support import state_of

import histodecon as hd
from histodecon._core import read_table, set_uns_branch, write_embedding, write_table


def small() -> ad.AnnData:
    adata = ad.AnnData(np.zeros((4, 1), dtype=np.float32), obs=pd.DataFrame(index=list("abcd")))
    adata.obsm["spatial"] = np.arange(8.0).reshape(4, 2)
    return adata


def write(adata: Any) -> None:
    table = pd.DataFrame({"T": np.ones(adata.n_obs), "B": np.arange(adata.n_obs)}, index=adata.obs_names)
    write_table(adata, "cell_abundance", table, kind="abundance")


WRITES = {
    "table": write,
    "embedding": lambda a: write_embedding(a, "X_a", np.ones((a.n_obs, 2), np.float32), {"encoder": "a"}),
    "record": lambda a: set_uns_branch(a, "tiles", {"s": {"mpp": 0.5}}),
}


@pytest.mark.parametrize("name", WRITES)
@pytest.mark.filterwarnings("ignore::anndata.ImplicitModificationWarning")
def test_a_view_becomes_a_table_and_its_parent_stays(name: str) -> None:
    parent = small()
    before = state_of(parent)
    view = parent[["b", "d"]]
    with pytest.warns(hd.HistodeconWarning, match="BI-34"):
        WRITES[name](view)
    assert not view.is_view
    assert state_of(parent) == before


@pytest.mark.parametrize("mode", ["r", "r+"])
def test_a_backed_table_keeps_its_file(mode: str, tmp_path: Path) -> None:
    path = tmp_path / "a.h5ad"
    small().write_h5ad(path)
    content = path.read_bytes()
    backed = ad.read_h5ad(path, backed=mode)
    with pytest.warns(hd.HistodeconWarning, match="BI-33"):
        write(backed)
    assert read_table(backed, "cell_abundance")["B"].tolist() == [0, 1, 2, 3]
    backed.file.close()
    if mode == "r":
        assert path.read_bytes() == content
    assert "cell_abundance" not in ad.read_h5ad(path).obsm


def test_an_ordinary_table_is_written_in_silence() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write(small())


@pytest.mark.parametrize("names", [[1, 2, 3, 4], ["Größe", "点", "a b", "x/y"]], ids=["integers", "other letters"])
@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
@pytest.mark.filterwarnings("ignore")
def test_barcodes_of_any_spelling_survive(names: list[Any], suffix: str, tmp_path: Path) -> None:  # BI-38
    adata = small()
    adata.obs_names = pd.Index(names).astype(str)
    write(adata)
    getattr(adata, f"write_{suffix}")(tmp_path / f"a.{suffix}")
    back = getattr(ad, f"read_{suffix}")(tmp_path / f"a.{suffix}")
    assert read_table(back, "cell_abundance").index.tolist() == [str(name) for name in names]
