"""Promises about time and memory, counted in decoded chunks, encoded tiles, operations and bytes; no clock is asked."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from collections.abc import Callable
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch
from tiny_networks import PX, tiny_card
from torch.utils.flop_counter import FlopCounterMode

import histodecon as hd
from histodecon.models._networks import build_mlp, layer_widths
from histodecon.models._training import TrainingPlan, train_network

SIDE = 2000


def spots(n: int, side: int = SIDE) -> ad.AnnData:
    obs = pd.DataFrame({"library_id": ["A"] * n}, index=[f"s{i}" for i in range(n)])
    adata = ad.AnnData(np.zeros((n, 1), dtype=np.float32), obs=obs)
    adata.obsm["spatial"] = np.random.default_rng(0).uniform(20, side - 20, (n, 2))
    return adata


def operations(work: Callable[[], Any]) -> int:
    with FlopCounterMode(display=False) as counter:
        work()
    return int(counter.get_total_flops())


def test_a_slide_is_decoded_once_and_each_tile_encoded_once() -> None:
    import dask.array as da

    made: Counter[tuple[int, int]] = Counter()
    rng = np.random.default_rng(0)
    pixels = np.clip(np.array([170, 90, 160]) + rng.integers(-40, 40, (SIDE, SIDE, 3)), 0, 255).astype(np.uint8)

    def block(block_info: Any = None) -> np.ndarray:
        (y0, y1), (x0, x1), _ = block_info[None]["array-location"]
        made[y0, x0] += 1
        return pixels[y0:y1, x0:x1]

    chunks = ((500,) * 4, (500,) * 4, (3,))
    picture = da.map_blocks(block, chunks=chunks, dtype=np.uint8, meta=np.empty((0, 0, 0), np.uint8))
    adata, tiles = spots(900), 0
    hd.pp.tile_spots(adata, size_px=16, mpp=0.5, image={"A": picture})

    def encoder(batch: np.ndarray) -> np.ndarray:
        nonlocal tiles
        tiles += len(batch)
        return batch.mean(axis=(1, 2))

    encoder.input_px = 16
    made.clear()
    hd.pp.embed_tiles(adata, encoder, image={"A": picture}, key_added="X_e", cache_dir=False, show_progress_bar=False)
    assert 900 <= tiles <= 900 + 8  # a function is asked a few tiles, to know it again
    assert set(made) == {(y, x) for y in range(0, SIDE, 500) for x in range(0, SIDE, 500)}
    assert max(made.values()) <= 2  # its fingerprint looks at some pixels before


def test_an_embedding_is_held_once() -> None:
    """Lists of batches that are joined at the end would take it twice."""
    n, dim = 3000, 4096
    adata = spots(n, 400)
    pixels = np.random.default_rng(0).integers(60, 200, (400, 400, 3), dtype=np.uint8)
    hd.pp.tile_spots(adata, size_px=8, mpp=0.5, image={"A": pixels})

    def encoder(batch: np.ndarray) -> np.ndarray:
        return np.repeat(batch.mean(axis=(1, 2)), dim // 3 + 1, axis=1)[:, :dim].astype(np.float32)

    encoder.input_px = 8
    tracemalloc.start()
    hd.pp.embed_tiles(adata, encoder, image={"A": pixels}, key_added="X_e", cache_dir=False, show_progress_bar=False)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert adata.obsm["X_e"].nbytes == n * dim * 4
    assert peak < 1.7 * n * dim * 4


def test_an_encoder_takes_the_operations_of_its_bare_network(tmp_path: Any) -> None:
    encoder = hd.encoders.load_encoder(tiny_card("timm", tmp_path))
    tiles = np.random.default_rng(0).integers(0, 256, (24, PX, PX, 3), dtype=np.uint8)
    once = operations(lambda: encoder.encode(tiles))
    assert once == operations(lambda: encoder.network.module(torch.zeros(24, 3, PX, PX))) > 0


@pytest.mark.parametrize("epochs", [1, 4])
def test_training_takes_three_passes_a_row_and_one_for_a_row_that_is_watched(epochs: int) -> None:
    """Forward, gradients of weights, gradients of activations; those of the inputs are not asked for."""
    n, d, k, hidden = 300, 40, 5, 16
    generator = torch.Generator().manual_seed(0)
    X, Y = torch.randn(n, d, generator=generator), torch.randn(n, k, generator=generator)
    held_in = np.arange(n) % 3 == 0
    plan = TrainingPlan(1e-3, 0.0, 1.0, 1.0, batch_size=50, max_epochs=epochs, patience=epochs + 1, hidden=hidden)
    network = build_mlp(d, k, hidden=hidden, dropout=0.1)
    found = operations(lambda: train_network(network, X, Y, held_in, plan, rng=np.random.default_rng(0)))
    row = 2 * sum(a * b for a, b in layer_widths(d, k, hidden))
    first = 2 * d * hidden
    trained, watched = int((~held_in).sum()), int(held_in.sum())
    assert found == epochs * trained * (3 * row - first) + (epochs + 1) * watched * row


def test_maps_of_a_lattice_take_memory_for_values_not_for_pairs() -> None:
    """60,000 spots have 3.6e9 pairs; the values of six types are 3 MB."""
    row, column = (one.ravel() for one in np.indices((240, 250)))
    coords = np.column_stack([100.0 * column, 100.0 * row])
    x = np.random.default_rng(0).uniform(size=(len(coords), 6))
    tracemalloc.start()
    found = hd.stats.morans_r(x, coords, 150.0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.method in {"lattice", "fft"}
    assert peak < 20 * x.nbytes


def test_bootstrap_holds_a_block_of_draws() -> None:
    rng = np.random.default_rng(0)
    truth, predicted = rng.uniform(size=(2, 4000, 4))

    def peak(n_boot: int) -> int:
        tracemalloc.start()
        hd.stats.bootstrap_scores(truth, predicted, scores=["cc"], n_boot=n_boot)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(10)
    assert peak(4000) < 1.5 * peak(1000) + 1_000_000
