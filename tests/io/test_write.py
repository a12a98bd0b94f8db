"""What is written is what is read, whole, and `data` stays as it was."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests_support import state_of

import histodecon as hd
from histodecon.io import _write


def table(n: int = 30) -> ad.AnnData:
    rng = np.random.default_rng(0)
    obs = pd.DataFrame({"text": [f"a{i % 3}" for i in range(n)], "n": range(n)}, index=[f"αβ {i}" for i in range(n)])
    adata = ad.AnnData(sp.random(n, 8, 0.3, "csr", dtype=np.float32, random_state=0), obs=obs)
    adata.layers["dense"] = rng.normal(size=(n, 8))
    adata.obsm["spatial"] = rng.uniform(0, 99, (n, 2))
    adata.obsm["cells"] = pd.DataFrame(
        rng.poisson(2, (n, 2)).astype(float) + 1, adata.obs_names, ["T", "CAFs MSC/iCAF"]
    )
    hd.tl.set_targets(adata, adata.obsm["cells"])
    del adata.obsm["cells"]
    adata.uns["nested"] = {"a": {"b": np.arange(3), "c": "text"}}
    return adata


def read(path: Path) -> Any:
    return ad.read_h5ad(path) if path.suffix == ".h5ad" else ad.read_zarr(path)


@pytest.fixture(scope="module")
def slide() -> Any:
    return hd.datasets.toy_slide(n_patients=1)


@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
@pytest.mark.parametrize("kind", [lambda a: a, lambda a: a[::2]], ids=["whole", "view"])
def test_round_trip(tmp_path: Path, suffix: str, kind: Any) -> None:
    adata, path = kind(table()), tmp_path / f"a.{suffix}"
    before = state_of(adata)
    for _ in range(2):
        hd.write(adata, path)
        assert state_of(read(path), loose=True) == state_of(adata, loose=True)
    assert state_of(adata) == before
    assert adata.is_view == (kind(table()).is_view)
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=8), unique=True, max_size=9
    ),
    st.sampled_from([np.float32, np.float64, np.int64, np.uint8, bool]),
    st.sampled_from([np.asarray, np.asfortranarray, sp.csr_matrix, sp.csc_matrix]),
)
def test_any_names_and_dtypes(tmp_path: Path, names: list[str], dtype: Any, container: Any) -> None:  # BI-38
    X = container(np.arange(len(names) * 3).reshape(-1, 3).astype(dtype))
    adata = ad.AnnData(X, obs=pd.DataFrame(index=pd.Index(names, dtype=object)))
    hd.write(adata, tmp_path / "a.h5ad")
    back = ad.read_h5ad(tmp_path / "a.h5ad")
    assert list(back.obs_names) == names
    assert type(back.X) is type(adata.X) or container is np.asfortranarray
    assert back.X.dtype == adata.X.dtype
    assert state_of(back, loose=True) == state_of(adata, loose=True)


def test_text_stays_text(tmp_path: Path) -> None:
    adata = table()
    hd.write(adata, tmp_path / "a.h5ad")
    assert not isinstance(ad.read_h5ad(tmp_path / "a.h5ad").obs["text"].dtype, pd.CategoricalDtype)


def test_compression(tmp_path: Path) -> None:
    adata = ad.AnnData(np.zeros((500, 500), dtype=np.float32))
    hd.write(adata, tmp_path / "a.h5ad")
    hd.write(adata, tmp_path / "b.h5ad", compression="gzip")
    assert (tmp_path / "b.h5ad").stat().st_size < (tmp_path / "a.h5ad").stat().st_size / 5
    with pytest.raises(hd.InputError, match=r"BI-120.*gzip"):
        hd.write(adata, tmp_path / "a.zarr", compression="gzip")


def test_a_backed_table_is_written(tmp_path: Path) -> None:  # BI-33
    hd.write(table(), tmp_path / "a.h5ad")
    backed = ad.read_h5ad(tmp_path / "a.h5ad", backed="r")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", hd.HistodeconWarning)
        hd.tl.set_targets(backed, backed.obsm["cell_abundance"], key_added="again")
    hd.write(backed, tmp_path / "a.h5ad")  # over the file it reads from
    assert Path(backed.filename).name == "a.h5ad"
    back = ad.read_h5ad(tmp_path / "a.h5ad")
    assert "again" in back.obsm
    np.testing.assert_array_equal(back.X.toarray(), table().X.toarray())
    assert len(hd.verify(tmp_path / "a.h5ad"))


def test_spatialdata_over_itself(tmp_path: Path, slide: Any) -> None:
    import spatialdata as sd

    path = tmp_path / "s.zarr"
    hd.write(slide, path)
    opened = sd.read_zarr(path)
    pixels = np.asarray(opened.images["toy_1_image"].data)
    opened.tables["table"].obs["new"] = 1
    hd.write(opened, path)
    assert Path(opened.path) == path
    np.testing.assert_array_equal(np.asarray(opened.images["toy_1_image"].data), pixels)
    assert "new" in sd.read_zarr(path).tables["table"].obs
    assert state_of(sd.read_zarr(path).tables["table"], loose=True) == state_of(opened.tables["table"], loose=True)
    part = sd.read_zarr(path)
    part.tables["table"] = part.tables["table"][:10].copy()
    hd.write(part, path)
    assert sd.read_zarr(path).tables["table"].n_obs == 10
    np.testing.assert_array_equal(np.asarray(part.images["toy_1_image"].data), pixels)
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


def refused(data: Any, path: Path, error: type[Exception], words: str, **kwargs: Any) -> None:
    before = state_of(data) if hasattr(data, "obsm") else None
    there = sorted(str(one) for one in path.parent.rglob("*")) if path.parent.exists() else []
    with pytest.raises(error, match=words):
        hd.write(data, path, **kwargs)
    assert before is None or state_of(data) == before
    assert there == (sorted(str(one) for one in path.parent.rglob("*")) if path.parent.exists() else [])


def test_what_is_refused(tmp_path: Path, slide: Any) -> None:
    refused(table(), tmp_path / "a.csv", hd.InputError, "BI-120.*h5ad or .zarr")
    refused(slide, tmp_path / "a.h5ad", hd.InputError, "BI-120.*does not end in .zarr")
    refused(np.zeros(3), tmp_path / "a.h5ad", hd.InputError, "BI-35")
    refused(table(), tmp_path / "absent" / "a.h5ad", hd.StoreError, "FI-06.*No such folder")
    (tmp_path / "b.h5ad").mkdir()
    refused(table(), tmp_path / "b.h5ad", hd.InputError, "A folder stands")
    (tmp_path / "b.zarr").mkdir()
    (tmp_path / "b.zarr" / "thesis.txt").write_text("dear")
    refused(table(), tmp_path / "b.zarr", hd.InputError, "BI-120.*no zarr store.*would be replaced")
    (tmp_path / "c.zarr").write_text("file")
    refused(table(), tmp_path / "c.zarr", hd.InputError, "A file stands")


@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
def test_what_no_format_holds(tmp_path: Path, suffix: str) -> None:  # BI-67
    path = tmp_path / f"a.{suffix}"
    hd.write(table(), path)
    old = read(path)
    bad = table()
    bad.uns["thing"] = object()
    refused(bad, path, hd.NamingError, "BI-67.*cannot be stored.*intact")
    assert state_of(read(path)) == state_of(old)


def test_parts_that_are_not_in_memory(tmp_path: Path) -> None:
    import dask.array as da

    lazy = table()
    lazy.obsm["X_e"] = da.ones((30, 4), chunks=(10, 4))
    hd.write(lazy, tmp_path / "a.zarr")  # nothing is there yet
    refused(lazy, tmp_path / "a.zarr", hd.InputError, "BI-33.*to_memory")
    hd.write(lazy, tmp_path / "b.h5ad")


def test_a_disk_that_is_too_small_is_seen_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # FI-06
    class Usage:
        free = 1000

    monkeypatch.setattr(_write.shutil, "disk_usage", lambda path: Usage)
    refused(
        table(), tmp_path / "a.h5ad", hd.StoreError, r"FI-06.*bytes are needed, 1,000 are free.*nothing was written"
    )


def test_an_h5ad_file_is_what_anndata_writes(tmp_path: Path) -> None:
    import h5py

    adata = table()
    adata.raw = adata
    adata.obs["text"] = adata.obs["text"].astype("category")
    adata.write_h5ad(tmp_path / "theirs.h5ad")
    hd.write(adata, tmp_path / "ours.h5ad")
    found = []
    for name in ("theirs", "ours"):
        nodes: dict[str, Any] = {}
        with h5py.File(tmp_path / f"{name}.h5ad") as file:
            file.visititems(
                lambda key, node, nodes=nodes: nodes.update(
                    {
                        key: (
                            type(node),
                            getattr(node, "dtype", None),
                            getattr(node, "shape", None),
                            sorted(map(str, node.attrs.items())),
                        )
                    }
                )
            )
            nodes["/"] = sorted(file.attrs.items())
        found.append(nodes)
    assert found[0] == found[1]


def test_tables_without_counts(tmp_path: Path) -> None:
    adata = ad.AnnData(obs=pd.DataFrame(index=["a", "b"]))
    for suffix in ("h5ad", "zarr"):
        hd.write(adata, tmp_path / f"a.{suffix}")
        assert read(tmp_path / f"a.{suffix}").X is None


@given(st.lists(st.tuples(st.integers(0, 60), st.binary(min_size=1, max_size=30)), max_size=8), st.integers(0, 80))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_spared_file_reads_what_was_written_whether_the_disk_is_full_or_not(
    tmp_path: Path, writes: list[tuple[int, bytes]], full_after: int
) -> None:
    import os
    import uuid

    from histodecon.io import _spared_file

    expected, room = bytearray(), [full_after]

    def write(descriptor: int, view: memoryview) -> int:
        n = min(len(view), room[0])
        if not n:
            raise OSError(28, "No space left on device")
        room[0] -= n
        return os.pwrite(descriptor, view[:n], os.lseek(descriptor, 0, os.SEEK_CUR))

    with pytest.MonkeyPatch.context() as patch:
        spared = _spared_file.SparedFile(tmp_path / uuid.uuid4().hex)
        patch.setattr(_spared_file.os, "write", write)
        for at, content in writes:
            expected.extend(bytes(max(at + len(content) - len(expected), 0)))
            expected[at : at + len(content)] = content
            spared.seek(at)
            assert spared.write(content) == len(content)
        spared.seek(0)
        assert spared.read() == bytes(expected)
        if sum(len(content) for _, content in writes) > full_after:
            with pytest.raises(OSError, match="No space"):
                spared.check()
        else:
            spared.check()
        spared.close()
