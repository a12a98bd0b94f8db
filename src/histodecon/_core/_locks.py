"""One process at a time."""

from __future__ import annotations

import json
import os
import socket
import time
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from histodecon._core._errors import FallbackWarning, HistodeconWarning

if TYPE_CHECKING:
    import filelock

LOOK_AGAIN_S = 0.2
SIGN = ".present"


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


@contextmanager
def present(path: str | os.PathLike[str]) -> Iterator[None]:
    """Be known, inside a ``with`` block, as somebody who needs what lies at a place; see :func:`alone`.

    Parameters
    ----------
    path
        The place. A file beside it, locked while this process lives, is the sign.

    Yields
    ------
    Nothing; where the file system does not let files be made or locked, nobody is known.
    """
    import filelock

    place = Path(path)
    sign = place.with_name(f"{place.name}.{uuid.uuid4().hex}{SIGN}")
    lock = filelock.FileLock(str(sign))
    with suppress(OSError, NotImplementedError, filelock.Timeout):
        lock.acquire(timeout=0)
    try:
        yield
    finally:
        lock.release()
        with suppress(OSError):
            sign.unlink(missing_ok=True)


def alone(path: str | os.PathLike[str]) -> bool:
    """Tell whether nobody else needs what lies at a place. Signs of the dead are removed.

    Parameters
    ----------
    path
        The place, as in :func:`present`, inside of whose block this is asked.

    Returns
    -------
    Whether at most one is present.
    """
    import filelock

    place, others = Path(path), 0
    for sign in place.parent.glob(f"{place.name}.*{SIGN}"):
        lock = filelock.FileLock(str(sign))
        try:
            lock.acquire(timeout=0)
        except (filelock.Timeout, OSError, NotImplementedError):
            others += 1
            continue
        lock.release()
        with suppress(OSError):
            sign.unlink(missing_ok=True)
    return others <= 1


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
