"""Old runs go, whatever is young, in use or no run stays."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest

from histodecon._core import ShardStore, present
from histodecon.pp._prune_shards import prune_shards


def run(folder: Path, letter: str, days: float) -> Path:
    store = ShardStore(folder / (letter * 64), 3)
    store.create()
    store.save(0, np.ones((4, 3), dtype=np.float32))
    aged(store.folder, days)
    return store.folder


def aged(folder: Path, days: float) -> None:
    then = time.time() - days * 86_400
    for one in (*folder.iterdir(), folder):
        os.utime(one, (then, then))


def test_old_runs_go(tmp_path: Path) -> None:
    old, young = run(tmp_path, "a", 31), run(tmp_path, "b", 29)
    future = run(tmp_path, "c", -400)  # FI-30: a clock that jumped
    mine = tmp_path / "thesis"
    mine.mkdir()
    (mine / "text").write_text("dear")
    aged(mine, 400)
    prune_shards(tmp_path)
    assert not old.exists()
    assert young.exists()
    assert future.exists()
    assert (mine / "text").exists()


def test_a_run_that_somebody_works_on_stays(tmp_path: Path) -> None:
    old = run(tmp_path, "a", 100)
    with present(old):
        aged(old, 100)
        prune_shards(tmp_path)
        assert old.exists()
    prune_shards(tmp_path)
    assert not old.exists()
    assert list(tmp_path.iterdir()) == []


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    old = run(tmp_path, "a", 100)
    (cache / ("b" * 64)).symlink_to(old)
    prune_shards(cache)
    assert old.exists()


def test_without_a_cache_nothing_happens(tmp_path: Path) -> None:
    prune_shards(tmp_path / "absent")
    assert not (tmp_path / "absent").exists()


def test_embedding_prunes_the_users_cache_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from histodecon.pp import _shard_cache

    monkeypatch.setattr(_shard_cache, "_users_cache", lambda: tmp_path)
    old = run(tmp_path, "a", 100)
    with _shard_cache.shard_cache([], [], cache_dir=False):
        assert old.exists()
    with _shard_cache.shard_cache([], [], cache_dir=tmp_path):
        assert old.exists()
    with _shard_cache.shard_cache([], [], cache_dir=None):
        assert not old.exists()
