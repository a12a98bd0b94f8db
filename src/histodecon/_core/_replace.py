"""What takes the place of a file or folder does so whole and in one step."""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import socket
import sys
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path

from histodecon._core._errors import LockedError, StoreError

READERS_LOCK = os.name == "nt"
"""Whether a file that somebody reads cannot be replaced."""
PATIENCE_S = 2.0
PAUSES_S = (0.01, 0.03, 0.1, 0.3, 0.5)
FLUSH_AT_ONCE = 16
_AT_FDCWD, _RENAME_EXCHANGE, _RENAME_SWAP = -100, 2, 2


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Build a file or folder beside its place inside a ``with`` block; it takes the place when the block is left.

    Whatever happens on the way, be it an error, a kill or a power cut, the old stays as it was. What runs that were killed
    left behind is removed first.

    Parameters
    ----------
    path
        The place; a symbolic link keeps pointing and its target is replaced.

    Yields
    ------
    Where to build. Nothing lies there yet.

    Raises
    ------
    StoreError
        The folder is absent or not writable, or the disk is full.
    LockedError
        Somebody reads the old file, and the system does not let it be replaced meanwhile.
    """
    target = Path(path).resolve()
    restore(target)
    clear_left(target)
    new = beside(target)
    try:
        _require_folder(target)
        yield new
        flush_tree(new)
        take_place(new, target)
        _flush(target.parent)
    except OSError as error:
        if isinstance(error, StoreError):
            raise
        raise _not_written(target, error) from error
    finally:
        remove(new)


def beside(target: Path, end: str = "new") -> Path:
    """Name a place beside a place, by which it is known whose it is.

    Parameters
    ----------
    target
        The place.
    end
        ``"new"`` for what shall take it, ``"old"`` for what stood there.

    Returns
    -------
    A path where nothing lies.
    """
    return target.with_name(f".{target.name}.{_here()}.{uuid.uuid4().hex[:8]}.{end}")


def _require_folder(target: Path) -> None:
    if not target.parent.is_dir():
        msg = "No such folder"
        raise FileNotFoundError(2, msg)
    if not os.access(target.parent, os.W_OK):
        msg = "Permission denied"
        raise PermissionError(13, msg)


def _not_written(target: Path, error: OSError) -> StoreError:
    msg = f"{target.name} could not be written"
    free = f", {shutil.disk_usage(target.parent).free:,} bytes are free" if target.parent.is_dir() else ""
    return StoreError(
        msg,
        where=f"{target.parent}: {error.strerror or error}{free}",
        why="what was there before is intact",
        fix="choose another folder or free some space",
        code="FI-06",
    )


def take_place(new: Path, target: Path) -> None:
    """Rename a file or folder to a place where another one may stand.

    Parameters
    ----------
    new
        What is whole.
    target
        The place. What stands there is gone afterwards. Two folders are exchanged in one step where the system can; elsewhere
        the old one is set aside first, and :func:`restore` puts it back after a kill between the two steps.

    Raises
    ------
    LockedError
        Somebody reads the old file, and the system does not let it be replaced meanwhile.
    """
    if not (target.is_dir() and new.is_dir()):
        _rename_file(new, target)
    elif _exchange(new, target):
        remove(new)
    else:
        aside = beside(target, "old")
        target.rename(aside)
        new.rename(target)
        remove(aside)


def restore(path: str | os.PathLike[str]) -> None:
    """Put back a folder that was set aside by a run that was killed before it could put the new one in its place.

    Parameters
    ----------
    path
        The place; nothing happens where something stands there.
    """
    target = Path(path)
    if target.exists() or not target.parent.is_dir():
        return
    aside = [one for one in target.parent.glob(f".{escape(target.name)}.*.old") if _is_left(one)]
    if aside:
        max(aside, key=lambda one: one.stat().st_mtime).rename(target)


def remove(path: Path) -> None:
    """Remove a file or folder, or nothing; what cannot be removed stays.

    Parameters
    ----------
    path
        Where it is. Threads of a writer that failed may still put files into a folder: it is tried again for a moment.
    """
    if path.is_dir() and not path.is_symlink():
        for pause in PAUSES_S:
            shutil.rmtree(path, ignore_errors=True)
            if not path.exists():
                return
            time.sleep(pause)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _rename_file(new: Path, target: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            new.replace(target)
        except PermissionError as error:
            if not READERS_LOCK:
                raise
            if time.monotonic() > deadline:
                msg = f"{target.name} is open in another program"
                fix = "close it there, or choose another name"
                raise LockedError(msg, where=str(target.parent), fix=fix, code="FI-32") from error
            time.sleep(0.05)
        else:
            return


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two folders in one step; False where the system or file system cannot."""
    try:
        if sys.platform == "linux":
            call = ctypes.CDLL(None, use_errno=True).renameat2
            done = call(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE)
        elif sys.platform == "darwin":
            done = ctypes.CDLL(None, use_errno=True).renamex_np(os.fsencode(one), os.fsencode(other), _RENAME_SWAP)
        else:
            return False
    except (AttributeError, OSError):  # an old C library
        return False
    return bool(done == 0)


def flush_tree(path: Path) -> None:
    """Wait until a file, or all files of a folder, are on the disk, so that a power cut cannot lose them.

    Parameters
    ----------
    path
        File or folder.
    """
    parts = [Path(folder, name) for folder, _, names in os.walk(path) for name in (*names, ".")] or [path]
    with ThreadPoolExecutor(FLUSH_AT_ONCE) as pool:  # a journal is written once for all that wait for it
        list(pool.map(_flush, parts))


def _flush(path: Path) -> None:
    if path.is_dir() and os.name == "nt":  # folders cannot be opened there
        return
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _here() -> str:
    return f"{hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]}.{os.getpid()}"


def clear_left(target: Path) -> None:
    """Remove what dead processes of this machine left beside a place.

    Parameters
    ----------
    target
        The place.
    """
    if not target.parent.is_dir():
        return
    for end in ("new", "old") if target.exists() else ("new",):
        for one in target.parent.glob(f".{escape(target.name)}.*.{end}"):
            if _is_left(one):
                remove(one)


def clear_folder(folder: Path) -> None:
    """Remove what dead processes of this machine left unfinished in a folder, whatever its place.

    Parameters
    ----------
    folder
        The folder.
    """
    for one in folder.glob(".*.new"):
        if _is_left(one):
            remove(one)


def _is_left(path: Path) -> bool:
    host, _, number = ".".join(path.name.split(".")[-4:-2]).partition(".")
    return host == _here().partition(".")[0] and number.isdigit() and not _lives(int(number))


def _lives(number: int) -> bool:
    if os.name == "nt":  # there is no harmless question there
        return True
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
