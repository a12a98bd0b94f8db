"""A file for HDF5 that hears of a full disk before HDF5 does."""

from __future__ import annotations

import os
from pathlib import Path


class SparedFile:
    """A file object whose writing never fails; whoever writes asks :meth:`check` now and then.

    The HDF5 library may crash the whole process, with all that is in its memory, when a write fails and its file is
    closed. Here it never learns of that: from the first failure on, what it writes is kept in memory.

    Parameters
    ----------
    path
        Where to write; the file is made.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
        self._error: OSError | None = None
        self._kept: list[tuple[int, bytes]] = []
        self._at = self._size = 0

    def check(self) -> None:
        """Raise the first failure, if there was one."""
        if self._error is not None:
            raise self._error

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place."""
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        return self._at

    def tell(self) -> int:
        """Tell the place."""
        return self._at

    def write(self, content: memoryview | bytes) -> int:
        """Write at the place, or keep what cannot be written."""
        view = memoryview(content).cast("B")
        start, done = self._at, 0
        try:
            while done < len(view) and self._error is None:
                os.lseek(self._descriptor, start + done, os.SEEK_SET)
                done += os.write(self._descriptor, view[done:])
        except OSError as error:
            self._error = error
        if done < len(view):
            self._kept.append((start + done, bytes(view[done:])))
        self._at = start + len(view)
        self._size = max(self._size, self._at)
        return len(view)

    def read(self, size: int = -1) -> bytes:
        """Read from the place on."""
        content = bytearray(self._size - self._at if size < 0 else size)
        return bytes(content[: self.readinto(content)])

    def readinto(self, content: bytearray | memoryview) -> int:
        """Read from the place on into a buffer."""
        view, start = memoryview(content).cast("B"), self._at
        n = max(min(len(view), self._size - start), 0)
        os.lseek(self._descriptor, start, os.SEEK_SET)
        there = os.read(self._descriptor, n)
        view[:n] = there + bytes(n - len(there))
        for at, kept in self._kept:
            first, last = max(at, start), min(at + len(kept), start + n)
            if first < last:
                view[first - start : last - start] = kept[first - at : last - at]
        self._at = start + n
        return n

    def truncate(self, size: int) -> int:
        """Make the file longer or shorter."""
        try:
            if self._error is None:
                os.ftruncate(self._descriptor, size)
        except OSError as error:
            self._error = error
        self._size = size
        return size

    def flush(self) -> None:
        """Do nothing: nothing is held back."""

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)
