"""Embedding is killed again and again, and nothing that was finished is lost or done twice."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from tests_support import state_of

import histodecon as hd
from histodecon.pp._passes import SHARD

FORK = multiprocessing.get_context("fork")
SIDE = 8


def slides(n: int, libraries: tuple[str, ...] = ("A",)) -> tuple[ad.AnnData, dict[str, np.ndarray]]:
    """Stained noise, and spots anywhere on it."""
    rng = np.random.default_rng(0)
    pictures = {
        library: np.clip(np.array([170, 90, 160]) + rng.integers(-40, 40, (600, 800, 3)), 0, 255).astype(np.uint8)
        for library in libraries
    }
    names = [f"{library}_{i}" for library in libraries for i in range(n)]
    obs = pd.DataFrame({"library_id": np.repeat(libraries, n)}, index=names)
    adata = ad.AnnData(np.zeros((len(names), 1), dtype=np.float32), obs=obs)
    adata.obsm["spatial"] = rng.uniform([10, 10], [790, 590], (len(names), 2))
    hd.pp.tile_spots(adata, size_px=SIDE, mpp=0.5, image=pictures)
    return adata, pictures


class Slow:
    """An encoder that takes its time and counts the tiles it has seen, over all processes."""

    input_px = SIDE

    def __init__(self, seconds_a_shard: float = 0.0) -> None:
        self.seen = FORK.Value("q", 0)
        self.pause = seconds_a_shard / SHARD

    def __call__(self, tiles: np.ndarray) -> np.ndarray:
        with self.seen.get_lock():
            self.seen.value += len(tiles)
        time.sleep(self.pause * len(tiles))
        flat = tiles.reshape(len(tiles), -1).astype(np.float32)
        return flat @ np.cos(np.arange(flat.shape[1] * 5, dtype=np.float32)).reshape(-1, 5)


def embed(adata: ad.AnnData, pictures: Any, encoder: Any, folder: Path | None, **kwargs: Any) -> None:
    cache_dir = False if folder is None else folder
    hd.pp.embed_tiles(
        adata, encoder, image=pictures, key_added="X_e", cache_dir=cache_dir, show_progress_bar=False, **kwargs
    )


def finished(folder: Path) -> int:
    return len(list(folder.glob("*/shard_*.npy")))


def in_a_child(work: Callable[[], None]) -> Any:
    def run() -> None:
        os.setsid()
        work()

    process = FORK.Process(target=run)
    process.start()
    return process


@pytest.mark.slow
def test_twenty_kills_lose_nothing(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    """FI-01."""
    wanted = max(20, int(os.environ.get("HISTODECON_KILLS", "20")))
    adata, pictures = slides(3 * SHARD * wanted)
    whole = adata.copy()
    embed(whole, pictures, Slow(), None)
    encoder, rng, kills, stuck = Slow(0.1), np.random.default_rng(1), 0, 0
    probes = encoder.seen.value
    while kills < wanted:
        before = finished(tmp_path)
        child = in_a_child(lambda: embed(adata, pictures, encoder, tmp_path))
        deadline = time.monotonic() + 20
        while finished(tmp_path) == before and child.is_alive() and time.monotonic() < deadline:
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.12))
        if not child.is_alive():
            break
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        assert child.exitcode == -signal.SIGKILL
        if finished(tmp_path) > before:
            kills += 1
        else:  # a child forked beside threads of the runner can hang before it begins
            stuck += 1
            assert stuck < 4
    assert kills == wanted
    assert finished(tmp_path) < 3 * wanted  # there is something left to do
    embed(adata, pictures, encoder, tmp_path)
    assert not list(tmp_path.glob("*/.*"))  # what the dead left is gone
    np.testing.assert_array_equal(adata.obsm["X_e"], whole.obsm["X_e"])
    assert state_of(adata) == state_of(whole)
    redone = encoder.seen.value - probes - adata.n_obs
    assert 0 <= redone <= (kills + stuck) * (SHARD + 8)  # 8: every run asks a function a few tiles, to know it again
    record_property("fault", "SIGKILL at random while tiles are embedded")
    record_property("n", kills)
    record_property("lost", 0)
    record_property("redone", redone / SHARD)
    seen = encoder.seen.value
    embed(adata, pictures, encoder, tmp_path)  # all is there now
    assert encoder.seen.value - seen <= 8


def test_two_processes_share_one_slide_without_a_tear(tmp_path: Path) -> None:
    """FI-11."""
    adata, pictures = slides(1500)
    whole = adata.copy()
    embed(whole, pictures, Slow(), None)
    encoder = Slow(0.1)
    other = in_a_child(lambda: embed(adata, pictures, encoder, tmp_path))
    while not finished(tmp_path):
        time.sleep(0.005)
    with pytest.warns(hd.HistodeconWarning, match=rf"FI-11.*Process {other.pid}"):
        embed(adata, pictures, encoder, tmp_path)
    other.join()
    assert other.exitcode == 0
    np.testing.assert_array_equal(adata.obsm["X_e"], whole.obsm["X_e"])
    assert encoder.seen.value <= adata.n_obs + 3 * 8  # nothing was done twice


def test_two_processes_share_the_users_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from histodecon.pp import _shard_cache

    cache = tmp_path / "cache"
    monkeypatch.setattr(_shard_cache, "_users_cache", lambda: cache)
    (adata, pictures), encoder = slides(1500), hd.encoders.load_encoder(network_card(tmp_path))
    encoded, start = FORK.Value("q", 0), encoder.network.start

    def slow(tiles: np.ndarray) -> Any:
        with encoded.get_lock():
            encoded.value += len(tiles)
        time.sleep(len(tiles) * 4e-4)
        return start(tiles)

    monkeypatch.setattr(encoder.network, "start", slow)

    def work() -> None:
        hd.pp.embed_tiles(adata, encoder, image=pictures, show_progress_bar=False)

    other = in_a_child(work)
    while not finished(cache):
        time.sleep(0.005)
    with pytest.warns(hd.HistodeconWarning, match=rf"FI-11.*Process {other.pid}"):
        work()
    other.join()
    assert other.exitcode == 0
    assert encoded.value == adata.n_obs  # the one that waited took over what the other had done
    assert list(cache.iterdir()) == []  # and the last one removed it


def test_a_signal_is_heard_while_a_batch_computes(tmp_path: Path) -> None:
    import threading

    adata, pictures = slides(600)
    before, started = state_of(adata), threading.Event()

    def long(tiles: np.ndarray) -> np.ndarray:
        if finished(tmp_path):
            started.set()
            threading.Event().wait(6)  # deaf, as a large network in one batch
        return tiles.mean(axis=(1, 2))

    long.input_px, sent = SIDE, []

    def stop() -> None:
        started.wait(20)
        sent.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=stop).start()
    with pytest.raises(KeyboardInterrupt, match="SIGTERM") as caught:
        embed(adata, pictures, long, tmp_path)
    assert time.monotonic() - sent[0] < 3
    assert state_of(adata) == before
    assert "1 of 3 shards" in caught.value.__notes__[0]


def test_a_function_that_was_changed_a_little_is_another(tmp_path: Path) -> None:
    adata, pictures = slides(300)

    def brightness(factor: float) -> Callable[[np.ndarray], np.ndarray]:
        def encoder(tiles: np.ndarray) -> np.ndarray:
            return factor * tiles.mean(axis=(1, 2))

        encoder.input_px = SIDE
        return encoder

    embed(adata, pictures, brightness(1), tmp_path)
    first = adata.obsm["X_e"].copy()
    embed(adata, pictures, brightness(1.0001), tmp_path)  # to three digits its answers are the same
    np.testing.assert_allclose(adata.obsm["X_e"], first * 1.0001, rtol=1e-6)
    assert not np.array_equal(adata.obsm["X_e"], first)


@pytest.mark.usefixtures("signals_are_heard")
@pytest.mark.parametrize(("sign", "code"), [(signal.SIGINT, 1), (signal.SIGTERM, 1)])
@pytest.mark.parametrize("times", [1, 2])
def test_signals_end_the_run_at_once_and_keep_the_shards(tmp_path: Path, sign: int, code: int, times: int) -> None:
    """FI-14, FI-15, FI-16."""
    adata, pictures = slides(3000)
    child = in_a_child(lambda: embed(adata, pictures, Slow(1.0), tmp_path))
    while finished(tmp_path) < 2:
        time.sleep(0.005)
    start = time.monotonic()
    for _ in range(times):
        os.kill(child.pid, sign)
        time.sleep(0.001)
    child.join(10)
    assert time.monotonic() - start < 5  # the run would take twice as long
    assert child.exitcode == code or times > 1
    assert not list(tmp_path.glob("*/.shard*"))  # nothing half
    encoder = Slow()
    embed(adata, pictures, encoder, tmp_path)
    assert encoder.seen.value <= adata.n_obs - 2 * SHARD + 8


def test_an_interrupt_leaves_the_table_alone_and_says_how_to_go_on(tmp_path: Path) -> None:
    adata, pictures = slides(700)
    before = state_of(adata)

    def interrupted(tiles: np.ndarray) -> np.ndarray:
        if finished(tmp_path) == 2:
            raise KeyboardInterrupt
        return tiles.mean(axis=(1, 2))

    interrupted.input_px = SIDE
    with pytest.raises(KeyboardInterrupt) as caught:
        embed(adata, pictures, interrupted, tmp_path)
    assert state_of(adata) == before
    assert caught.value.__notes__ == [
        "2 of 3 shards of 256 spots are finished and kept; the same call goes on from there."
    ]


@pytest.mark.parametrize("damage", ["bit", "cut", "journal"])
def test_what_was_damaged_is_computed_again(tmp_path: Path, damage: str) -> None:
    """FI-09, FI-10."""
    adata, pictures = slides(1000)
    whole = adata.copy()
    embed(whole, pictures, Slow(), None)
    embed(adata, pictures, Slow(), tmp_path)
    path = next(tmp_path.glob("*/journal.jsonl" if damage == "journal" else "*/shard_000001.npy"))
    content = path.read_bytes()
    path.write_bytes(
        content[: len(content) - 20] if damage != "bit" else content[:-2] + bytes([content[-2] ^ 4]) + content[-1:]
    )
    encoder = Slow()
    again = whole.copy()
    del again.obsm["X_e"]
    again.uns["histodecon"].pop("embeddings")
    embed(again, pictures, encoder, tmp_path)
    np.testing.assert_array_equal(again.obsm["X_e"], whole.obsm["X_e"])
    assert encoder.seen.value <= SHARD + 8


def test_other_pixels_other_places_and_another_size_are_other_shards(tmp_path: Path) -> None:
    adata, pictures = slides(300)
    encoder = Slow()
    embed(adata, pictures, encoder, tmp_path)

    def tiles_seen(table: ad.AnnData, images: Any) -> int:
        before = encoder.seen.value
        embed(table, images, encoder, tmp_path)
        return encoder.seen.value - before

    shuffled = adata[np.random.default_rng(0).permutation(adata.n_obs)].copy()
    assert tiles_seen(shuffled, pictures) <= 8  # rows are matched by barcode
    np.testing.assert_array_equal(shuffled[adata.obs_names].obsm["X_e"], adata.obsm["X_e"])
    moved = adata.copy()
    moved.obsm["spatial"] = moved.obsm["spatial"][:, ::1] * 0.99
    hd.pp.tile_spots(moved, size_px=SIDE, mpp=0.5, image=pictures)
    assert tiles_seen(moved, pictures) >= 300
    larger = adata.copy()
    hd.pp.tile_spots(larger, size_px=SIDE + 2, mpp=0.5, image=pictures)
    assert tiles_seen(larger, pictures) >= 300
    other = {"A": pictures["A"][::-1].copy()}
    hd.pp.tile_spots(adata, size_px=SIDE, mpp=0.5, image=other)
    assert tiles_seen(adata, other) >= 300


def test_names_of_slides_never_become_paths(tmp_path: Path) -> None:  # FI-35
    adata, pictures = slides(20, ("../../etc/x",))
    embed(adata, pictures, Slow(), tmp_path / "cache")
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]
    assert all(len(path.stem) == 64 for path in (tmp_path / "cache").iterdir())


def test_a_named_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    adata, pictures = slides(20)
    before = state_of(adata)
    (tmp_path / "file").write_text("")
    with pytest.raises(hd.StoreError, match=r"FI-07.*cache_dir=False"):
        embed(adata, pictures, Slow(), tmp_path / "file" / "cache")
    assert state_of(adata) == before


def test_a_folder_that_vanishes_on_the_way(tmp_path: Path) -> None:  # FI-08
    import shutil

    adata, pictures = slides(600)
    before = state_of(adata)

    def removing(tiles: np.ndarray) -> np.ndarray:
        if finished(tmp_path):
            shutil.rmtree(next(tmp_path.glob("*/")))
        return tiles.mean(axis=(1, 2))

    removing.input_px = SIDE
    with pytest.raises(hd.StoreError, match="FI-06"):
        embed(adata, pictures, removing, tmp_path)
    assert state_of(adata) == before


def network_card(tmp_path: Path) -> hd.encoders.EncoderCard:
    import torch
    from safetensors.torch import save_file

    from histodecon._core import import_timm

    kwargs = {"img_size": 16, "patch_size": 8, "embed_dim": 16, "depth": 1, "num_heads": 2}
    torch.manual_seed(0)
    network = import_timm().create_model("vit_tiny_patch16_224", num_classes=0, **kwargs)
    save_file(network.state_dict(), tmp_path / "tiny.safetensors")
    return hd.encoders.timm_card(
        "vit_tiny_patch16_224", name="tiny", weights=tmp_path / "tiny.safetensors", model_kwargs=kwargs, input_px=16
    )


def test_the_users_cache_is_used_for_networks_and_emptied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from histodecon.pp import _shard_cache

    cache = tmp_path / "cache"
    monkeypatch.setattr(_shard_cache, "_users_cache", lambda: cache)
    card, (adata, pictures) = network_card(tmp_path), slides(400)
    kept: list[int] = []
    save = _shard_cache.ShardCache.save

    def dying(self: Any, *arguments: Any) -> None:
        save(self, *arguments)
        kept.append(finished(cache))
        if len(kept) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(_shard_cache.ShardCache, "save", dying)
    with pytest.raises(KeyboardInterrupt):
        hd.pp.embed_tiles(adata, card, image=pictures, show_progress_bar=False)
    assert finished(cache) == 1
    hd.pp.embed_tiles(adata, card, image=pictures, show_progress_bar=False)
    assert kept == [1, 2]
    assert finished(cache) == 0
    plain = adata.copy()
    hd.pp.embed_tiles(plain, card, image=pictures, show_progress_bar=False, cache_dir=False)
    np.testing.assert_array_equal(plain.obsm["X_tiny"], adata.obsm["X_tiny"])


def test_without_a_users_cache_the_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # FI-13
    from histodecon.pp import _shard_cache

    (tmp_path / "file").write_text("")
    monkeypatch.setattr(_shard_cache, "_users_cache", lambda: tmp_path / "file" / "cache")
    card, (adata, pictures) = network_card(tmp_path), slides(30)
    with pytest.warns(hd.FallbackWarning, match=r"FI-13.*not kept.*FI-07"):
        hd.pp.embed_tiles(adata, card, image=pictures, show_progress_bar=False)
    assert np.isfinite(adata.obsm["X_tiny"]).all()


def test_each_encoder_can_see_its_own_field(tmp_path: Path) -> None:
    from dataclasses import replace

    adata, pictures = slides(40)
    card = replace(network_card(tmp_path), tile_um=12.0)
    hd.pp.embed_tiles(adata, card, image=pictures, show_progress_bar=False, field_of_view="encoder")
    own = adata.copy()
    hd.pp.tile_spots(own, size_um=12.0, mpp=0.5, image=pictures)
    hd.pp.embed_tiles(own, card, image=pictures, show_progress_bar=False)
    np.testing.assert_array_equal(own.obsm["X_tiny"], adata.obsm["X_tiny"])
    records = [one.uns["histodecon"]["embeddings"]["X_tiny"] for one in (adata, own)]
    assert records[0]["fingerprint"] == records[1]["fingerprint"]
    assert "mpp" not in records[0]  # in µm, though the tiles of the table are in pixels
    with pytest.raises(hd.InputError, match="field_of_view"):
        hd.pp.embed_tiles(adata, card, image=pictures, field_of_view="wide")


def test_a_zarr_store_that_lost_a_chunk_is_noticed(tmp_path: Path) -> None:  # FI-05
    adata, pictures = slides(600)
    embed(adata, pictures, Slow(), None)
    adata.obsm["cell_abundance"] = pd.DataFrame({"T": 1.0 + np.arange(600) % 7}, index=adata.obs_names)
    hd.tl.set_targets(adata, "cell_abundance", key_added="measured")
    adata.write_zarr(tmp_path / "a.zarr", chunks=(200, 5))
    chunks = [path for path in (tmp_path / "a.zarr/obsm/X_e").rglob("*") if path.is_file() and path.name[0].isdigit()]
    sorted(chunks)[-1].unlink()
    back = ad.read_zarr(tmp_path / "a.zarr")
    before = state_of(back)
    with pytest.raises(hd.IncompleteStoreError, match=r"FI-05.*zeros where none were written.*embed_tiles"):
        hd.tl.train_regressor(back, use_rep="X_e", targets="measured", learner="ridge", groupby=None)
    assert state_of(back) == before
