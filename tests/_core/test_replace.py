"""The old or the new, never half, and nothing left beside."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

import histodecon as hd
from histodecon._core import _replace
from histodecon._core._replace import (
    beside,
    clear_folder,
    clear_left,
    flush_tree,
    remove,
    replacing,
    restore,
    take_place,
)

FORK = multiprocessing.get_context("fork")


def folder(path: Path, text: str) -> Path:
    path.mkdir()
    (path / "content").write_text(text)
    return path


def names(path: Path) -> list[str]:
    return sorted(one.name for one in path.iterdir())


@pytest.mark.parametrize("kind", ["file", "folder"])
@pytest.mark.parametrize("exists", [True, False])
def test_the_new_takes_the_place(tmp_path: Path, kind: str, exists: bool) -> None:
    place = tmp_path / "place.zarr"
    for text in ("old", "new")[0 if exists else 1 :]:
        with replacing(place) as new:
            if kind == "file":
                new.write_text(text)
            else:
                folder(new, text)
    assert (place if kind == "file" else place / "content").read_text() == "new"
    assert names(tmp_path) == ["place.zarr"]


@pytest.mark.parametrize("error", [KeyError("x"), KeyboardInterrupt()])
def test_an_error_leaves_the_old(tmp_path: Path, error: BaseException) -> None:
    place = folder(tmp_path / "place", "old")

    def work() -> None:
        with replacing(place) as new:
            folder(new, "half")
            raise error

    with pytest.raises(type(error)):
        work()
    assert (place / "content").read_text() == "old"
    assert names(tmp_path) == ["place"]


def test_errors_of_the_system_are_told(tmp_path: Path) -> None:
    def full() -> None:
        with replacing(tmp_path / "place"):
            raise OSError(28, "No space left on device")

    with pytest.raises(hd.StoreError, match=r"FI-06.*place could not be written.*No space.*bytes are free.*intact"):
        full()
    with pytest.raises(hd.StoreError, match=r"absent.*No such folder"), replacing(tmp_path / "absent" / "place"):
        pass
    assert names(tmp_path) == []


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_folder_that_is_read_only(tmp_path: Path) -> None:  # FI-07
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(hd.StoreError, match="Permission denied"), replacing(tmp_path / "place"):
            pass
    finally:
        tmp_path.chmod(0o700)


def test_a_folder_that_vanishes_on_the_way(tmp_path: Path) -> None:  # FI-08
    (tmp_path / "in").mkdir()

    def work() -> None:
        with replacing(tmp_path / "in" / "place") as new:
            new.parent.rmdir()

    with pytest.raises(hd.StoreError, match="FI-06"):
        work()


def test_links_keep_pointing(tmp_path: Path) -> None:  # FI-33
    (tmp_path / "real").mkdir()
    real = folder(tmp_path / "real" / "a", "old")
    link = tmp_path / "link"
    link.symlink_to(real)
    with replacing(link) as new:
        folder(new, "new")
    assert link.is_symlink()
    assert (real / "content").read_text() == "new"
    file, other = tmp_path / "file", tmp_path / "other"
    file.write_text("old")
    other.hardlink_to(file)
    with replacing(file) as new:
        new.write_text("new")
    assert (file.read_text(), other.read_text()) == ("new", "old")


def test_without_an_exchange_the_old_is_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_replace, "_exchange", lambda one, other: False)
    place = folder(tmp_path / "place", "old")
    with replacing(place) as new:
        folder(new, "new")
    assert (place / "content").read_text() == "new"
    assert names(tmp_path) == ["place"]


@pytest.mark.parametrize("step", ["yield", "flush_tree", "take_place", "between", "remove"])
@pytest.mark.parametrize("exchange", [True, False])
def test_killed_at_every_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, exchange: bool) -> None:
    """FI-04."""
    place = folder(tmp_path / "place", "old")

    def die(*_: Any, **__: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def work() -> None:
        if not exchange:
            _replace._exchange = lambda one, other: False
        with replacing(place) as new:
            folder(new, "new")
            if step == "yield":
                die()
            if step == "between":  # after the old was set aside, before the new is there
                rename = Path.rename

                def second(self: Path, target: Path) -> Any:
                    return die() if self.name.endswith(".new") else rename(self, target)

                Path.rename = second
            else:
                setattr(_replace, step, die)

    child = FORK.Process(target=work)
    child.start()
    child.join()
    killed = step != "between" or not exchange
    assert child.exitcode == (-signal.SIGKILL if killed else 0)
    restore(place)
    done = step == "remove" or not killed
    assert (place / "content").read_text() == ("new" if done else "old")
    with replacing(place) as new:
        folder(new, "newer")
    assert names(tmp_path) == ["place"]  # what the dead left is gone


def test_a_name_with_signs_of_patterns_is_a_name(tmp_path: Path) -> None:
    """What was set aside for `a[1].zarr` is found again, and that of `a1.zarr` is not taken for it."""
    place = tmp_path / "a[1].zarr"
    child = FORK.Process(
        target=lambda: folder(beside(place, "old"), "old") and folder(beside(tmp_path / "a1.zarr"), "x")
    )
    child.start()
    child.join()
    restore(place)
    assert (place / "content").read_text() == "old"
    assert len(names(tmp_path)) == 2
    clear_folder(tmp_path)
    assert names(tmp_path) == ["a[1].zarr"]


def test_what_the_living_build_is_left_alone(tmp_path: Path) -> None:
    with replacing(tmp_path / "place") as new:
        new.write_text("mine")
        clear_left(tmp_path / "place")
        assert new.exists()
    strange = tmp_path / f".place.{'0' * 8}.1.abcdefgh.new"  # of another machine
    strange.write_text("")
    clear_left(tmp_path / "place")
    assert strange.exists()


def test_a_folder_is_never_replaced_by_a_file(tmp_path: Path) -> None:
    place = folder(tmp_path / "place", "old")
    (tmp_path / "new").write_text("file")
    with pytest.raises(OSError, match="directory"):
        take_place(tmp_path / "new", place)
    assert (place / "content").read_text() == "old"


def test_a_file_that_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FI-32, as on Windows."""
    monkeypatch.setattr(_replace, "READERS_LOCK", True)
    monkeypatch.setattr(_replace, "PATIENCE_S", 0.3)
    refused, replace = [], Path.replace

    def locked(self: Path, target: Path) -> Any:
        refused.append(target)
        if len(refused) < 3:
            raise PermissionError
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", locked)
    with replacing(tmp_path / "place") as new:
        new.write_text("new")
    assert (tmp_path / "place").read_text() == "new"
    monkeypatch.setattr(Path, "replace", lambda self, target: locked(refused.clear() or self, target))
    with pytest.raises(hd.LockedError, match=r"FI-32.*open in another program"), replacing(tmp_path / "place") as new:
        new.write_text("newer")
    assert names(tmp_path) == ["place"]
    with pytest.raises(hd.LockedError):
        hd._core.write_atomic(tmp_path / "place", b"newest")
    assert (tmp_path / "place").read_text() == "new"


def test_all_files_are_flushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "file").write_text("")
    seen: set[str] = set()
    monkeypatch.setattr(_replace, "_flush", lambda path: seen.add(str(path.resolve())))
    flush_tree(tmp_path)
    assert seen == {str(one) for one in (tmp_path, *tmp_path.rglob("*"))}


def test_a_folder_that_is_still_written_to_goes_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that failed has threads that go on for a moment; what they leave is removed too."""
    folder, real, calls = tmp_path / "store", shutil.rmtree, []

    def removing(path: Path, **options: Any) -> None:
        calls.append(path)
        real(path, **options)
        if len(calls) < 3:  # one more file of a thread that has not ended
            path.mkdir()
            (path / f"chunk_{len(calls)}").write_bytes(b"late")

    folder.mkdir()
    monkeypatch.setattr(shutil, "rmtree", removing)
    remove(folder)
    assert not folder.exists()
    assert len(calls) == 3


def test_what_cannot_be_removed_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: None)
    monkeypatch.setattr(_replace, "PAUSES_S", (0.0, 0.0))
    (tmp_path / "store").mkdir()
    remove(tmp_path / "store")
    assert (tmp_path / "store").is_dir()
