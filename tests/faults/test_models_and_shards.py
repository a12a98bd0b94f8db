"""Kills and flipped bits where models and shards are kept, and the same kills where torch writes beside."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import histodecon as hd
from histodecon._core import ShardStore

FORK = multiprocessing.get_context("fork")
KILLS = int(os.environ.get("HISTODECON_KILLS", "6"))
FLIPS = int(os.environ.get("HISTODECON_FLIPS", "40"))
WIDTH = 200_000


def model(level: float, width: int = WIDTH) -> hd.models.AbundanceRegressor:
    X = np.random.default_rng(0).normal(size=(3, width))
    return hd.models.AbundanceRegressor("mean").fit(X, np.full((3, 2), level), cell_types=["T", "B"])


def level_of_model(path: Path) -> float | None:
    try:
        return float(hd.models.AbundanceRegressor.load(path).target_mean_[0])
    except hd.HistodeconError:
        return None


def level_of_tensors(path: Path) -> float | None:
    try:
        tensors = torch.load(path, weights_only=True)
    except Exception:  # noqa: BLE001 whatever a torn file raises
        return None
    level = float(tensors["a"][0])
    return level if all(bool((one == level).all()) for one in tensors.values()) else None


def killed_while_saving(save: Callable[[], Any], seconds: float) -> None:
    """A child saves again and again, and is killed in one of the saves."""

    def work() -> None:
        while True:
            save()

    child = FORK.Process(target=work)
    child.start()
    time.sleep(seconds)
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    assert child.exitcode == -signal.SIGKILL


def test_killed_while_a_model_is_saved(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    """FI-04, for models."""
    path, rng, seen = tmp_path / "model.safetensors", np.random.default_rng(0), 0.0
    model(seen).save(path)
    for turn in range(1, KILLS + 1):
        one = model(float(turn))
        killed_while_saving(lambda one=one: one.save(path), rng.uniform(0, 0.1))
        level = level_of_model(path)
        assert level in (seen, float(turn))  # the old or the new, whole
        seen = level
    model(-1.0 + 2).save(path)
    assert [one.name for one in tmp_path.iterdir()] == [path.name]  # what the dead left is gone
    record_property("fault", "SIGKILL at random while a model is saved")
    record_property("n", KILLS)
    record_property("lost", 0)


def test_torch_loses_both_under_the_same_kills(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    """What models are not written with; should this fail, `torch.save` has become safe."""
    path, rng, lost, kills = tmp_path / "model.pt", np.random.default_rng(0), 0, max(KILLS, 12)
    for turn in range(kills):
        tensors = {name: torch.full((WIDTH,), float(turn), dtype=torch.float64) for name in "ab"}
        if level_of_tensors(path) is None:
            torch.save(tensors, path)
        killed_while_saving(lambda tensors=tensors: torch.save(tensors, path), rng.uniform(0, 0.1))
        lost += level_of_tensors(path) is None
    record_property("fault", "SIGKILL at random while `torch.save` writes")
    record_property("n", kills)
    record_property("lost", lost)
    assert lost > 0


def test_flipped_bits_of_a_model(record_property: Callable[[str, object], None]) -> None:
    """FI-09, for models."""
    content, rng, harmless = model(3.0, 300).to_bytes(), np.random.default_rng(0), 0
    for _ in range(FLIPS):
        damaged = bytearray(content)
        damaged[int(rng.integers(len(content)))] ^= 1 << int(rng.integers(8))
        try:
            again = hd.models.AbundanceRegressor.from_bytes(bytes(damaged))
        except hd.ModelError:
            continue
        harmless += 1
        assert again.to_bytes() == content  # one kind of white space for another
    record_property("fault", "a bit flipped in a model file")
    record_property("n", FLIPS)
    record_property("lost", 0)
    record_property("harmless", harmless)


def test_flipped_bits_of_shards(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    """FI-09, FI-10: what was damaged is as if it had never been, and is computed again."""
    store, rng, harmless = ShardStore(tmp_path / "store", 6), np.random.default_rng(0), 0
    store.create()
    parts = [rng.normal(size=(64, 6)).astype(np.float32) for _ in range(4)]
    for number, part in enumerate(parts):
        store.save(number, part)
    files = sorted(store.folder.iterdir())
    for _ in range(FLIPS):
        file = files[int(rng.integers(len(files)))]
        content = file.read_bytes()
        damaged = bytearray(content)
        damaged[int(rng.integers(len(content)))] ^= 1 << int(rng.integers(8))
        file.write_bytes(bytes(damaged))
        found = {number: store.load(number, line) for number, line in store.finished().items()}
        whole = {number for number, values in found.items() if values is not None}
        assert all(np.array_equal(found[number], parts[number]) for number in whole)
        if whole == {0, 1, 2, 3}:
            harmless += 1
            assert file.suffix == ".jsonl"
            told = [json.loads(line) for line in content.split(b"\n") if line]
            assert [store.finished()[one["shard"]] for one in told] == told
        file.write_bytes(content)
    record_property("fault", "a bit flipped in a shard or its journal")
    record_property("n", FLIPS)
    record_property("lost", 0)
    record_property("harmless", harmless)


@pytest.mark.parametrize("size", [0, 100, 5_000, 1_000_000])
def test_a_full_disk_while_a_model_is_saved(
    tmp_path: Path, size: int, record_property: Callable[[str, object], None]
) -> None:
    """FI-06, for models."""
    import resource

    path, new = tmp_path / "model.safetensors", model(1.0)
    model(0.0).save(path)

    def work() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        try:
            new.save(path)
        except hd.StoreError as error:
            os._exit(7 if "FI-06" in str(error) else 8)

    child = FORK.Process(target=work)
    child.start()
    child.join()
    assert child.exitcode == 7
    assert level_of_model(path) == 0.0
    assert [one.name for one in tmp_path.iterdir()] == [path.name]
    record_property("fault", "RLIMIT_FSIZE while a model is saved")
    record_property("n", 1)
    record_property("lost", 0)
