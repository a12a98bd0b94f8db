"""Parts on disk: whole, or as if they had never been."""

from __future__ import annotations

import errno
import os
import resource
import signal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import histodecon as hd
from histodecon._core import ShardStore
from histodecon._core._shards import JOURNAL


def filled(folder: Path, n: int = 4) -> tuple[ShardStore, list[np.ndarray]]:
    store = ShardStore(folder / "store", 3)
    store.create()
    parts = [np.random.default_rng(i).normal(size=(5, 3)).astype(np.float32) for i in range(n)]
    for number, part in enumerate(parts):
        store.save(number, part)
    return store, parts


def whole(store: ShardStore) -> set[int]:
    return {number for number, line in store.finished().items() if store.load(number, line) is not None}


def test_what_is_saved_is_read(tmp_path: Path) -> None:
    store, parts = filled(tmp_path)
    again = ShardStore(store.folder, 3)
    for number, line in again.finished().items():
        np.testing.assert_array_equal(again.load(number, line), parts[number])
    assert whole(again) == {0, 1, 2, 3}
    again.remove()
    assert not store.folder.exists()
    assert again.finished() == {}


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "gone", "other"])
def test_a_part_that_was_damaged_is_absent(tmp_path: Path, damage: str) -> None:
    store, parts = filled(tmp_path)
    path = store.folder / "shard_000002.npy"
    content = path.read_bytes()
    if damage == "flip":
        path.write_bytes(content[:-3] + bytes([content[-3] ^ 1]) + content[-2:])
    elif damage == "cut":
        path.write_bytes(content[:-7])
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "gone":
        path.unlink()
    else:
        path.write_bytes((store.folder / "shard_000001.npy").read_bytes())
    assert whole(store) == {0, 1, 3}
    store.save(2, parts[2])
    assert whole(store) == {0, 1, 2, 3}


@settings(max_examples=20, deadline=None)
@given(cut=st.integers(0, 400), rubbish=st.binary(max_size=40))
def test_a_journal_that_was_cut_off_loses_its_last_line_only(
    tmp_path_factory: pytest.TempPathFactory, cut: int, rubbish: bytes
) -> None:
    store, parts = filled(tmp_path_factory.mktemp("store"))
    journal = store.folder / JOURNAL
    content = journal.read_bytes()
    lines = [line for line in content[: max(len(content) - cut, 0)].split(b"\n") if line]
    journal.write_bytes(content[: max(len(content) - cut, 0)] + rubbish.replace(b"\n", b""))
    before = whole(store)
    assert len(before) >= len(lines) - 1 - bool(rubbish)
    assert before <= {0, 1, 2, 3}
    store.save(3, parts[3])
    assert whole(store) == before | {3}


def test_parts_of_another_shape_or_kind_are_absent(tmp_path: Path) -> None:
    store, _ = filled(tmp_path)
    assert whole(ShardStore(store.folder, 4)) == set()
    (store.folder / JOURNAL).write_text(
        '{"shard": "x"}\n[]\n{"shard": 1}\n\xff\n{"shard": 0, "rows": 9, "sha256": "0"}\n'
    )
    assert whole(store) == set()


def test_a_full_disk_is_said_and_loses_nothing(tmp_path: Path) -> None:
    store, parts = filled(tmp_path)
    big = np.zeros((100_000, 3), dtype=np.float32)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    try:
        with pytest.raises(hd.StoreError, match=r"FI-06.*shard_000004.*1200128 bytes are needed"):
            store.save(4, big)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)
    assert whole(store) == {0, 1, 2, 3}
    assert sorted(path.name for path in store.folder.iterdir()) == [JOURNAL, *(f"shard_{i:06d}.npy" for i in range(4))]
    np.testing.assert_array_equal(store.load(1, store.finished()[1]), parts[1])


def test_a_folder_that_cannot_be_or_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(hd.StoreError, match=r"FI-07.*cache_dir=False"):
        ShardStore(tmp_path / "file" / "store", 3).create()
    store, parts = filled(tmp_path)
    store.remove()
    with pytest.raises(hd.StoreError, match="FI-06"):
        store.save(0, parts[0])
    store.create()

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(hd.StoreError, match=r"FI-06.*No space left"):
        store._append(b"{}")
