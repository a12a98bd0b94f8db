"""One process at a time."""

from __future__ import annotations

import json
import os
import socket
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from histodecon._core._errors import FallbackWarning, HistodeconWarning

if TYPE_CHECKING:
    import filelock

LOOK_AGAIN_S = 0.2


@contextmanager
def locked(path: str | os.PathLike[str]) -> Iterator[None]:
    """Hold a lock inside a ``with`` block; wait while another process holds it.

    Parameters
    ----------
    path
        The lock file. It stays behind, empty of meaning: the lock is the operating system's, and ends with its holder however
        that ends.

    Yields
    ------
    Nothing.

    Warns
    -----
    HistodeconWarning
        Another process holds the lock; its number and host are named.
    FallbackWarning
        The file system knows no locks; the block runs without.
    """
    import filelock

    lock = filelock.FileLock(str(path))
    try:
        _acquire(lock, Path(path))
    except (OSError, NotImplementedError) as error:
        warnings.warn(
            f"[HD-FI-13] {Path(path).parent} cannot be locked ({error}): make sure that no other process works there.",
            FallbackWarning,
            stacklevel=3,
        )
        yield
        return
    try:
        yield
    finally:
        lock.release()


def _acquire(lock: filelock.BaseFileLock, path: Path) -> None:
    import filelock

    told = False
    while True:
        try:
            lock.acquire(timeout=0)
            break
        except filelock.Timeout:
            if not told:
                told = True
                warnings.warn(
                    f"[HD-FI-11] {_holder(path)} is embedding the same slide: waiting for its result.",
                    HistodeconWarning,
                    stacklevel=4,
                )
            time.sleep(LOOK_AGAIN_S)
    who = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.time()}
    try:
        path.with_suffix(".holder").write_text(json.dumps(who))
    except OSError:
        return  # it only serves the message of those who wait


def _holder(path: Path) -> str:
    try:
        who = json.loads(path.with_suffix(".holder").read_text())
        return f"Process {int(who['pid'])} on {str(who['host'])[:64]}"
    except (OSError, ValueError, KeyError, TypeError):
        return "Another process"
