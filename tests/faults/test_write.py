"""Kills, full disks and flipped bits while tables are written and kept: nothing is lost, nothing is wrong in silence."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import histodecon as hd

FORK = multiprocessing.get_context("fork")
KILLS = int(os.environ.get("HISTODECON_KILLS", "6"))
FLIPS = int(os.environ.get("HISTODECON_FLIPS", "40"))
SUFFIXES = ("h5ad", "zarr")


def table(level: float, n: int = 400) -> ad.AnnData:
    obs = pd.DataFrame({"library_id": pd.Categorical(["A"] * n)}, index=[f"s{i}" for i in range(n)])
    adata = ad.AnnData(np.full((n, 50), level, dtype=np.float32), obs=obs)
    adata.obsm["spatial"] = np.full((n, 2), level)
    values = np.random.default_rng(0).uniform(1, 5, (n, 3))
    hd.tl.set_targets(adata, pd.DataFrame(values, adata.obs_names, ["T", "B", "M"]))
    return adata


def read(path: Path) -> ad.AnnData:
    return ad.read_h5ad(path) if path.suffix == ".h5ad" else ad.read_zarr(path)


def level_of(path: Path) -> float | None:
    """Which table a place holds, None where it holds none that is whole."""
    try:
        adata = read(path)
        level = float(adata.X[0, 0])
        whole = (level == adata.X).all() and (adata.obsm["spatial"] == level).all() and adata.n_obs == 400
        hd.verify(path)
    except Exception:  # noqa: BLE001 whatever a torn file raises
        return None
    return level if whole else None


def killed(work: Callable[[], None], after: float) -> bool:
    """Run in a child that is killed after some seconds; True when it was still running."""
    child = FORK.Process(target=work)
    child.start()
    child.join(after)
    running = child.is_alive()
    if running:
        os.kill(child.pid, signal.SIGKILL)
    child.join()
    return running


def how_long(work: Callable[[], None]) -> float:
    start = time.monotonic()
    killed(work, 60)
    return time.monotonic() - start


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_killed_at_random(tmp_path: Path, suffix: str, record_property: Callable[[str, object], None]) -> None:
    """FI-03, FI-04."""
    path = tmp_path / f"a.{suffix}"
    hd.write(table(0.0), path)
    span, rng, seen, kills = how_long(lambda: hd.write(table(0.0), path)), np.random.default_rng(0), 0.0, 0
    for turn in range(1, KILLS + 1):
        kills += killed(lambda turn=turn: hd.write(table(float(turn)), path), rng.uniform(0, span))
        level = level_of(path)
        assert level in (seen, float(turn))  # the old or the new, whole
        seen = level
    record_property("fault", f"SIGKILL at random while histodecon.write writes {suffix}")
    record_property("n", kills)
    record_property("lost", 0)
    hd.write(table(-1.0), path)
    assert level_of(path) == -1.0
    assert [one.name for one in tmp_path.iterdir()] == [path.name]  # what the dead left is gone


PLAIN: dict[str, Callable[[ad.AnnData, Path], Any]] = {
    "h5ad": lambda adata, path: adata.write_h5ad(path),
    "zarr": lambda adata, path: adata.write_zarr(path),
}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_plain_writers_lose_both_under_the_same_kills(
    tmp_path: Path, suffix: str, record_property: Callable[[str, object], None]
) -> None:
    """What it is for: should this fail, the writers beneath have become safe and `histodecon.write` is not needed any more."""
    path, lost, kills = tmp_path / f"a.{suffix}", 0, 0
    plain = PLAIN[suffix]
    plain(table(0.0), path)
    # killed inside of the writer, not while the child starts
    span, rng = how_long(lambda: plain(table(0.0), path)), np.random.default_rng(0)
    for _ in range(max(KILLS, 12)):
        if path.exists() and level_of(path) is None:
            hd._core.remove(path)
            plain(table(0.0), path)
        kills += killed(lambda: plain(table(1.0), path), rng.uniform(0.1, 1) * span)
        lost += level_of(path) is None
    record_property("fault", f"SIGKILL at random while anndata writes {suffix} itself")
    record_property("n", kills)
    record_property("lost", lost)
    assert lost > 0


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("size", [0, 500, 3_000, 40_000, 90_000])
def test_a_full_disk(tmp_path: Path, suffix: str, size: int, record_property: Callable[[str, object], None]) -> None:
    """FI-06, FI-07."""
    path, new = tmp_path / f"a.{suffix}", table(1.0)
    new.obsm["noise"] = np.random.default_rng(0).normal(size=(400, 40))  # larger than any limit here
    hd.write(table(0.0), path)

    def work() -> None:
        with files_no_larger_than(size):
            try:
                hd.write(new, path)
            except hd.StoreError as error:
                os._exit(7 if "FI-06" in str(error) and "intact" in str(error) else 8)

    child = FORK.Process(target=work)
    child.start()
    child.join()
    assert child.exitcode == 7
    assert level_of(path) == 0.0
    assert [one.name for one in tmp_path.iterdir()] == [path.name]
    record_property("fault", f"RLIMIT_FSIZE while histodecon.write writes {suffix}")
    record_property("n", 1)
    record_property("lost", 0)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_flipped_bits(tmp_path: Path, suffix: str, record_property: Callable[[str, object], None]) -> None:
    """FI-09."""
    path, rng = tmp_path / f"a.{suffix}", np.random.default_rng(0)
    hd.write(table(0.5), path)
    files = [
        one for one in ([path] if path.is_file() else sorted(path.rglob("*"))) if one.is_file() and one.stat().st_size
    ]
    sizes = np.array([one.stat().st_size for one in files])
    silent = 0
    for _ in range(FLIPS):
        file = files[rng.choice(len(files), p=sizes / sizes.sum())]
        content = file.read_bytes()
        at, bit = int(rng.integers(len(content))), int(rng.integers(8))
        file.write_bytes(content[:at] + bytes([content[at] ^ (1 << bit)]) + content[at + 1 :])
        silent += reads_without_a_word(path)
        with pytest.raises((hd.IntegrityError, hd.IncompleteStoreError), match=r"\[HD-(FI-0[59]|BI-77)\]"):
            hd.verify(path)
        file.write_bytes(content)
    hd.verify(path)
    record_property("fault", f"a bit flipped in {suffix}")
    record_property("n", FLIPS)
    record_property("lost", 0)
    record_property("silent_elsewhere", silent)


def reads_without_a_word(path: Path) -> bool:
    """Whether the reader of the format itself notices nothing."""
    try:
        read(path)
    except Exception:  # noqa: BLE001 any error will do
        return False
    return True


def test_two_processes_write_one_store(tmp_path: Path) -> None:
    """FI-12, for stores."""
    path = tmp_path / "a.zarr"
    hd.write(table(3.0), path)

    def work(level: float) -> None:
        for _ in range(4):
            hd.write(table(level), path)

    writers = [FORK.Process(target=work, args=(level,)) for level in (3.0, 7.0)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert level_of(path) in (3.0, 7.0)
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


def test_ctrl_c_while_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FI-15."""
    path = tmp_path / "a.h5ad"
    hd.write(table(0.0), path)

    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("histodecon._core._replace.flush_tree", interrupted)
    with pytest.raises(KeyboardInterrupt):
        hd.write(table(1.0), path)
    assert level_of(path) == 0.0
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


def test_a_clock_that_jumps_decides_nothing(tmp_path: Path) -> None:
    """FI-30."""
    path = tmp_path / "a.zarr"
    hd.write(table(0.0), path)
    future = time.time() + 1e8
    for one in [path, *path.rglob("*")]:
        os.utime(one, (future, future))
    assert level_of(path) == 0.0
    hd.write(table(1.0), path)
    assert level_of(path) == 1.0
