"""Seals of every format are read for good, one from the future is refused in words, and a damaged one is never believed."""

from __future__ import annotations

import json
import os
import random
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import anndata as ad
import numpy as np
import pytest

import histodecon as hd
from histodecon.io._seals import FORMAT, MANIFEST

GOLDEN = Path(__file__).parent / "golden"
TRIES = int(os.environ.get("HISTODECON_FUZZ", "200"))
TYPES = ["T cell", "CAFs MSC/iCAF-like", "αβ CD4+"]
VALUES = [[1.0, 2.0, 0.5], [3.0, 0.0, 0.25], [0.5, 0.5, 4.0]]


def opened(folder: Path, version: int, suffix: str) -> Path:
    """A copy of a file that was written once, by the first version with its format; never to be written again."""
    path = folder / f"a.{suffix}"
    if suffix == "zarr":
        with zipfile.ZipFile(GOLDEN / f"sealed_{version}.zarr.zip") as parts:
            for name in parts.namelist():
                (path / name).parent.mkdir(parents=True, exist_ok=True)
                (path / name).write_bytes(parts.read(name))
        return path
    return Path(shutil.copy(GOLDEN / f"sealed_{version}.h5ad", path))


@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
@pytest.mark.parametrize("version", range(1, FORMAT + 1))
def test_stores_of_every_format_are_read_for_good(tmp_path: Path, version: int, suffix: str) -> None:
    path = opened(tmp_path, version, suffix)
    assert hd.verify(path).index.tolist() == ["file"]
    adata = ad.read_h5ad(path) if suffix == "h5ad" else ad.read_zarr(path)
    assert hd.verify(adata).index.tolist() == ["X_a", "cell_abundance"]
    found = hd.get.abundance(adata)
    assert found.var_names.tolist() == TYPES
    np.testing.assert_array_equal(found.to_df(), VALUES)


def test_a_seal_from_the_future_is_refused_in_words(tmp_path: Path) -> None:
    path = opened(tmp_path, 1, "zarr")
    told = json.loads((path / MANIFEST).read_text())
    (path / MANIFEST).write_text(json.dumps(told | {"format": FORMAT + 1}))
    with pytest.raises(hd.IntegrityError, match=rf"BI-77.*format {FORMAT + 1}.*reads {FORMAT}.*pip install -U"):
        hd.verify(path)


def test_a_damaged_seal_is_never_believed(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    """A fuzzer; what it says is whole is as it was written, everything else is an error of ours."""
    path, rng = opened(tmp_path, 1, "zarr"), random.Random(0)
    content = (path / MANIFEST).read_bytes()
    written = json.loads(content)["files"]
    odd = [None, 1e999, -1, "x", [], {}, 10**30, [1], "[" * 4000]
    for turn in range(TRIES):
        if turn % 2:
            told = json.loads(content)
            name = rng.choice([*told["files"]])
            where = rng.choice([told, told["files"], told["files"][name]])
            key = rng.choice([*where]) if isinstance(where, dict) else rng.randrange(2)
            where[key] = rng.choice(odd)
            found = json.dumps(told).encode()
        else:
            at, size = rng.randrange(len(content)), rng.randrange(9)
            found = (
                content[:at] + rng.choice([b"", rng.randbytes(size), b"[" * 5000, b"9" * 5000]) + content[at + size :]
            )
        (path / MANIFEST).write_bytes(found)
        try:
            hd.verify(path)
        except (hd.IntegrityError, hd.IncompleteStoreError):
            continue
        assert json.loads(found)["files"].items() <= written.items()
    record_property("fuzz", "seals of zarr stores")
    record_property("n", TRIES)
