"""Files that are either the old or the new, never half."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from histodecon._core._errors import StoreError
from histodecon._core._replace import take_place


def write_atomic(path: str | os.PathLike[str], content: bytes, *, flush: bool = True) -> Path:
    """Write a file beside its place, flush it to disk, and rename it.

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
    temporary: str | None = None
    try:
        descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(content)
            if flush:
                handle.flush()
                os.fsync(handle.fileno())
        Path(temporary).chmod(0o666 & ~_umask())
        take_place(Path(temporary), target)
        temporary = None
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
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
    return Path(path)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
