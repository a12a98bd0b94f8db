"""Promises about memory, processes and formats that no room can keep alone."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import histodecon as hd


def test_memory_of_a_map_grows_with_the_spots_alone() -> None:
    """BI-101, FI-18: a matrix of weights would take n² numbers."""
    rng = np.random.default_rng(0)

    def peak(n: int) -> int:
        xy, table = rng.uniform(0, 100 * n**0.5, (n, 2)), rng.uniform(size=(n, 4))
        tracemalloc.start()
        hd.stats.morans_r(table, xy, 100.0)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(500)
    small, large = peak(5_000), peak(20_000)
    assert large < 8 * small
    assert large < 20_000**2 * 8 / 10


def test_an_image_of_ten_gigapixels() -> None:
    """FI-40: 30 GB of pixels, of which a few chunks are made."""
    import dask.array as da

    made = []

    def block(block_info: Any = None) -> np.ndarray:
        (y0, y1), (x0, x1), _ = block_info[None]["array-location"]
        made.append((y0, x0))
        y, x = np.mgrid[y0:y1, x0:x1]
        return np.stack([x % 251, y % 241, (x + y) % 239], axis=-1).astype(np.uint8)

    side = 100_000
    chunks = ((1000,) * 100, (1000,) * 100, (3,))
    picture = hd.images.open_image(
        da.map_blocks(block, chunks=chunks, dtype=np.uint8, meta=np.empty((0, 0, 0), np.uint8))
    )
    assert (picture.width, picture.height) == (side, side)
    made.clear()
    rng = np.random.default_rng(0)
    xy = np.concatenate([rng.integers(200, 1800, (40, 2)), side - rng.integers(200, 1800, (40, 2))])
    tracemalloc.start()
    found = {
        int(row): tile
        for rows, tiles in hd.images.iter_tiles(picture, xy, 224, 224)
        for row, tile in zip(rows, tiles, strict=True)
    }
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(set(made)) <= 8
    assert peak < 400_000_000
    for row, (x, y) in enumerate(xy):
        assert found[row][112, 112].tolist() == [x % 251, y % 241, (x + y) % 239]


def _score(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    X, Y = rng.normal(size=(80, 6)), rng.uniform(1, 5, (80, 3))
    model = hd.models.AbundanceRegressor("ridge").fit(X, Y, cell_types=["T", "B", "M"])
    return np.concatenate([model.predict(X).ravel(), hd.stats.morans_r(Y, X[:, :2] * 100, 50.0).r.ravel()])


@pytest.mark.slow
def test_a_spawned_process_computes_the_same() -> None:
    """FI-31."""
    import h5py  # noqa: F401 open in the parent
    import torch  # noqa: F401 likewise

    command = "import sys; sys.path.insert(0, sys.argv[1]); import test_promises; print(*map(float.hex, test_promises.spawned()))"
    done = subprocess.run(
        [sys.executable, "-c", command, str(Path(__file__).parent)], capture_output=True, text=True, check=True
    )
    there = [float.fromhex(number) for number in done.stdout.split()]
    np.testing.assert_array_equal(there, _score(3))


def spawned() -> list[float]:
    """Scores of a process that was spawned; called in a process of its own, which can be imported by its child."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_score, (3,)).tolist()


@pytest.mark.parametrize("version", [2, 3])
def test_both_formats_of_zarr(tmp_path: Path, version: int) -> None:
    """FI-36."""
    obs = pd.DataFrame(index=[f"s{i}" for i in range(30)])
    adata = ad.AnnData(np.ones((30, 2)), obs=obs)
    table = pd.DataFrame(np.random.default_rng(0).uniform(1, 2, (30, 2)), obs.index, ["CAFs MSC/iCAF-like", "B"])
    hd.tl.set_targets(adata, table)
    before = ad.settings.zarr_write_format
    ad.settings.zarr_write_format = version
    try:
        hd.write(adata, tmp_path / "a.zarr")
    finally:
        ad.settings.zarr_write_format = before
    assert (tmp_path / "a.zarr" / ("zarr.json" if version == 3 else ".zgroup")).exists()
    assert hd.verify(tmp_path / "a.zarr").index.tolist() == ["file"]
    back = ad.read_zarr(tmp_path / "a.zarr")
    assert hd.verify(back).index.tolist() == ["cell_abundance"]
    assert hd.get.abundance(back).var_names.tolist() == list(table)
