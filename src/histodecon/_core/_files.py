"""Files that are either the old or the new, never half."""

from __future__ import annotations

import os
from pathlib import Path

from histodecon._core._errors import StoreError
from histodecon._core._replace import beside, clear_left, remove, take_place


def write_atomic(path: str | os.PathLike[str], content: bytes, *, flush: bool = True) -> Path:
    """Write a file beside its place, flush it to disk, and rename it; what writers that were killed left there is removed.

    Parameters
    ----------
    path
        Where the file shall stand; a symbolic link keeps pointing and its target is replaced.
    content
        The bytes.
    flush
        Wait until they are on the disk, so that a power cut cannot lose them either; a kill cannot in any case.

    Returns
    -------
    The path.

    Raises
    ------
    StoreError
        The folder is absent or not writable, or the disk is full; an older file is intact.
    LockedError
        Somebody reads the old file, and the system does not let it be replaced meanwhile.
    """
    target = Path(path).resolve()
    temporary = beside(target)
    try:
        with temporary.open("xb") as handle:
            handle.write(content)
            if flush:
                handle.flush()
                os.fsync(handle.fileno())
        take_place(temporary, target)
        if flush:  # else it is one of very many, whose folder is cleared as a whole
            clear_left(target)
    except OSError as error:
        if isinstance(error, StoreError):
            raise
        msg = f"{target.name} could not be written"
        raise StoreError(
            msg,
            where=f"{target.parent}: {error.strerror or error}",
            why=f"{len(content)} bytes are needed; what was there before is intact",
            fix="choose another folder or free some space",
            code="FI-06",
        ) from error
    finally:
        remove(temporary)
    return Path(path)
