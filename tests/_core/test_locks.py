"""One process at a time, and nobody waits for the dead."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
import warnings
from pathlib import Path

import pytest

import histodecon as hd
from histodecon._core import alone, locked, present


def _hold(path: str, taken: multiprocessing.synchronize.Event) -> None:
    with locked(path):
        taken.set()
        time.sleep(60)


@pytest.fixture
def holder(tmp_path: Path):
    context = multiprocessing.get_context("fork")
    taken = context.Event()
    process = context.Process(target=_hold, args=(str(tmp_path / "a.lock"), taken))
    process.start()
    assert taken.wait(20)
    yield process
    if process.is_alive():
        process.kill()
    process.join()


def test_the_lock_of_a_process_that_was_killed_is_free(tmp_path: Path, holder: multiprocessing.Process) -> None:
    os.kill(holder.pid, signal.SIGKILL)
    holder.join()
    start = time.monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with locked(tmp_path / "a.lock"):
            assert time.monotonic() - start < 5


def test_who_waits_is_told_for_whom(tmp_path: Path, holder: multiprocessing.Process, monkeypatch) -> None:
    def give_up(_: float) -> None:
        os.kill(holder.pid, signal.SIGKILL)
        holder.join()

    monkeypatch.setattr(time, "sleep", give_up)
    with (
        pytest.warns(hd.HistodeconWarning, match=rf"FI-11.*Process {holder.pid} on .* waiting"),
        locked(tmp_path / "a.lock"),
    ):
        assert (tmp_path / "a.lock").exists()
    with locked(tmp_path / "a.lock"):  # and it was given back
        pass


def test_a_file_system_without_locks_is_told(tmp_path: Path, monkeypatch) -> None:
    import filelock

    def refuse(*_: object, **__: object) -> None:
        msg = "no locks available"
        raise OSError(37, msg)

    monkeypatch.setattr(filelock.FileLock, "acquire", refuse)
    with pytest.warns(hd.FallbackWarning, match=r"FI-13.*no locks available"), locked(tmp_path / "a.lock"):
        pass


def test_an_error_inside_gives_the_lock_back(tmp_path: Path) -> None:
    with pytest.raises(KeyError), locked(tmp_path / "a.lock"):
        raise KeyError
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with locked(tmp_path / "a.lock"):
            pass


def test_who_else_is_present_is_known_while_it_lives(tmp_path: Path) -> None:
    def stay(ready: multiprocessing.synchronize.Event) -> None:
        with present(tmp_path / "store"):
            ready.set()
            time.sleep(60)

    context = multiprocessing.get_context("fork")
    ready = context.Event()
    process = context.Process(target=stay, args=(ready,))
    process.start()
    assert ready.wait(20)
    with present(tmp_path / "store"):
        assert not alone(tmp_path / "store")
        process.kill()
        process.join()
        assert alone(tmp_path / "store")
    assert list(tmp_path.iterdir()) == []


def test_where_nothing_can_be_written_nobody_is_known(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with present(tmp_path / "file" / "store"):
        assert alone(tmp_path / "file" / "store")
