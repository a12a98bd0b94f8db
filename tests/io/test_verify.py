"""Whatever is lost or changed is found, and what is whole is said to be whole."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import histodecon as hd
from histodecon.io._seals import MANIFEST, broken_parts, seal


def table(n: int = 300) -> ad.AnnData:
    adata = ad.AnnData(np.ones((n, 4), dtype=np.float32), obs=pd.DataFrame(index=[f"s{i}" for i in range(n)]))
    values = np.random.default_rng(0).uniform(1, 5, (n, 3))
    hd.tl.set_targets(adata, pd.DataFrame(values, adata.obs_names, ["T", "B", "M"]))
    return adata


@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
def test_whole_files(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    hd.write(table(), path)
    assert hd.verify(path).index.tolist() == ["file"]
    copy = tmp_path / f"copy.{suffix}"
    (shutil.copytree if path.is_dir() else shutil.copy)(path, copy)
    assert hd.verify(str(copy)).index.tolist() == ["file"]


def test_a_chunk_that_is_lost(tmp_path: Path) -> None:  # FI-05
    path = tmp_path / "a.zarr"
    hd.write(table(), path)
    chunk = next(one for one in (path / "obsm" / "cell_abundance" / "T").rglob("*") if one.name[0].isdigit())
    chunk.unlink()
    with pytest.raises(hd.IncompleteStoreError, match=r"FI-05.*1 files are absent.*cell_abundance/T"):
        hd.verify(path)
    back = ad.read_zarr(path)  # zarr says nothing
    assert (back.obsm["cell_abundance"]["T"] == 0).all()
    with pytest.raises(hd.IncompleteStoreError, match=r"FI-05.*300 of 300"):
        hd.verify(back)
    with pytest.raises(hd.IncompleteStoreError, match="FI-05"):
        hd.get.abundance(back)


def test_files_of_other_writers_are_checked_by_their_rows(tmp_path: Path) -> None:
    adata = table()
    adata.write_h5ad(tmp_path / "a.h5ad")
    assert hd.verify(tmp_path / "a.h5ad").index.tolist() == ["cell_abundance"]
    adata.write_zarr(tmp_path / "a.zarr")
    assert hd.verify(tmp_path / "a.zarr").index.tolist() == ["cell_abundance"]
    ad.AnnData(np.ones((3, 2))).write_h5ad(tmp_path / "b.h5ad")
    assert hd.verify(tmp_path / "b.h5ad").empty


def test_a_file_that_another_program_changed(tmp_path: Path) -> None:
    import h5py

    hd.write(table(), tmp_path / "a.h5ad")
    with h5py.File(tmp_path / "a.h5ad", "r+") as file:
        file["X"][0, 0] = 7
    assert hd.verify(tmp_path / "a.h5ad").index.tolist() == [
        "cell_abundance"
    ]  # HDF5 removes what stands behind its end
    content = bytearray((tmp_path / "a.h5ad").read_bytes())
    hd.write(table(), tmp_path / "a.h5ad")
    (tmp_path / "a.h5ad").write_bytes(bytes(content) + (tmp_path / "a.h5ad").read_bytes()[-110:])
    with pytest.raises(hd.IntegrityError, match=r"FI-09.*not what was written"):
        hd.verify(tmp_path / "a.h5ad")


def test_a_store_that_another_program_changed(tmp_path: Path) -> None:
    import zarr

    path = tmp_path / "a.zarr"
    hd.write(table(), path)
    zarr.open_group(path, mode="r+")["X"][0, 0] = 7
    with pytest.raises(hd.IntegrityError, match=r"FI-09.*1 files differ: 'X/"):
        hd.verify(path)


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"files": 3}', '{"files": {"a": 1}}', "\0"])
def test_a_manifest_that_is_broken(tmp_path: Path, content: str) -> None:
    path = tmp_path / "a.zarr"
    hd.write(table(), path)
    (path / MANIFEST).write_text(content)
    with pytest.raises((hd.IntegrityError, hd.IncompleteStoreError), match=r"FI-0[59]"):
        hd.verify(path)


def test_a_manifest_never_leads_outside(tmp_path: Path) -> None:  # FI-35
    path = tmp_path / "a.zarr"
    hd.write(table(), path)
    manifest = json.loads((path / MANIFEST).read_text())
    manifest["files"]["../../etc/passwd"] = [1, "0" * 64]
    (path / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(hd.IncompleteStoreError, match="absent"):
        hd.verify(path)


def test_nothing_there_and_nothing_readable(tmp_path: Path) -> None:
    with pytest.raises(hd.StoreError, match=r"FI-06.*no file or store"):
        hd.verify(tmp_path / "a.h5ad")
    (tmp_path / "a.h5ad").write_bytes(b"not HDF5")
    with pytest.raises(hd.StoreError, match="cannot be read"):
        hd.verify(tmp_path / "a.h5ad")
    (tmp_path / "a.zarr").mkdir()
    with pytest.raises(hd.StoreError, match="cannot be read"):
        hd.verify(tmp_path / "a.zarr")


def test_an_embedding_that_was_narrowed() -> None:  # BI-89
    sdata = hd.datasets.toy_slide(n_patients=1)
    hd.pp.tile_spots(sdata)
    hd.pp.embed_tiles(sdata, "color_stats", show_progress_bar=False)
    adata = sdata.tables["table"]
    assert hd.verify(sdata).loc["X_color_stats", "checked"] == "rows, by barcode"
    adata.obsm["X_color_stats"] = adata.obsm["X_color_stats"][:, :4]
    with pytest.raises(hd.IntegrityError, match="BI-89"):
        hd.verify(sdata)


def test_every_end_of_a_file_that_is_cut_off(tmp_path: Path) -> None:  # FI-10
    whole = tmp_path / "whole"
    whole.write_bytes(bytes(range(256)) * 4)
    seal(whole)
    content: Any = whole.read_bytes()
    assert broken_parts(whole) == ([], [])
    for end in range(1, 110):
        cut = tmp_path / "cut"
        cut.write_bytes(content[:-end])
        parts = broken_parts(cut)
        assert parts is None or parts[1] == ["cut"]
        assert parts is not None or end > 90  # then the format itself misses its end
    cut.write_bytes(content[:500] + content[510:])
    assert broken_parts(cut) == (["cut"], [])
