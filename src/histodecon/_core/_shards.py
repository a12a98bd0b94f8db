"""Parts of a long computation on disk, so that a kill loses one of them at most."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from histodecon._core._errors import StoreError
from histodecon._core._files import write_atomic
from histodecon._core._replace import clear_folder

JOURNAL = "journal.jsonl"


class ShardStore:
    """A folder with the finished parts of one result, each an array, and a journal that says which they are.

    A part counts when a whole line of the journal names it and its file has the digest that the line states: half a line, a
    file that was cut off, or one whose bits changed, is as if it had never been. Whoever writes holds the lock of the folder
    (:func:`histodecon._core.locked`); reading needs none.

    Parameters
    ----------
    folder
        Where the parts lie; named by a digest of everything that decides them.
    dim
        Columns of every part.
    """

    def __init__(self, folder: str | os.PathLike[str], dim: int) -> None:
        self.folder = Path(folder)
        self.dim = dim

    def finished(self) -> dict[int, dict[str, Any]]:
        """Read the journal.

        Returns
        -------
        The line of each part that was finished, by its number; its file has not been looked at.
        """
        try:
            content = (self.folder / JOURNAL).read_bytes()
        except OSError:
            return {}
        lines = {}
        for line in content.split(b"\n"):
            try:
                entry = json.loads(line)
                number, rows, sha = entry["shard"], entry["rows"], entry["sha256"]
            except (ValueError, TypeError, KeyError, RecursionError):
                continue
            if type(number) is int and type(rows) is int and isinstance(sha, str):
                lines[number] = entry
        return lines

    def load(self, number: int, line: dict[str, Any]) -> np.ndarray | None:
        """Read a part.

        Parameters
        ----------
        number
            Its number.
        line
            Its line of the journal.

        Returns
        -------
        float32 (rows, dim), or None where the file is not what the line says.
        """
        try:
            content = (self.folder / _name(number)).read_bytes()
        except OSError:
            return None
        rows, header = line["rows"], _header(line["rows"], self.dim)
        if hashlib.sha256(content).hexdigest() != line["sha256"]:
            return None
        if not content.startswith(header) or len(content) != len(header) + rows * self.dim * 4:
            return None
        return np.frombuffer(content, np.dtype("<f4"), offset=len(header)).reshape(rows, self.dim).astype(np.float32)

    def save(self, number: int, values: np.ndarray) -> None:
        """Write a part, then its line. Neither waits for the disk: a kill loses nothing, and what a power cut loses is seen.

        Parameters
        ----------
        number
            Its number.
        values
            float32 (rows, dim).

        Raises
        ------
        StoreError
            The folder is gone or not writable, or the disk is full. Parts that were finished are intact.
        """
        buffer = io.BytesIO()
        np.save(buffer, np.ascontiguousarray(values, dtype=np.float32), allow_pickle=False)
        content = buffer.getvalue()
        write_atomic(self.folder / _name(number), content, flush=False)
        line = {"shard": number, "rows": len(values), "sha256": hashlib.sha256(content).hexdigest()}
        self._append(json.dumps(line).encode())

    def _append(self, line: bytes) -> None:
        journal = self.folder / JOURNAL
        try:
            descriptor = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            try:
                os.write(descriptor, b"\n" + line + b"\n")  # a line that was cut off before stays alone
            finally:
                os.close(descriptor)
        except OSError as error:
            msg = f"{JOURNAL} could not be written"
            raise StoreError(
                msg,
                where=f"{self.folder}: {error.strerror or error}",
                why="parts that were finished before are intact",
                fix="choose another folder or free some space",
                code="FI-06",
            ) from error

    def create(self) -> None:
        """Make the folder; parts that a kill left unfinished in it are removed.

        Raises
        ------
        StoreError
            That is not possible.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            clear_folder(self.folder)
        except OSError as error:
            msg = "The folder for finished parts could not be made"
            fix = "name another one, `cache_dir=`, or go without: `cache_dir=False`"
            raise StoreError(msg, where=f"{self.folder}: {error.strerror or error}", fix=fix, code="FI-07") from error

    @property
    def lock(self) -> Path:
        """Path of the lock that whoever writes holds."""
        return self.folder.with_suffix(".lock")

    def remove(self) -> None:
        """Remove the folder with all parts, and its lock; what cannot be removed stays."""
        shutil.rmtree(self.folder, ignore_errors=True)
        for path in (self.lock, self.lock.with_suffix(".holder")):
            with suppress(OSError):
                path.unlink(missing_ok=True)


def _header(rows: int, dim: int) -> bytes:
    """Beginning of the file of a part: nothing else is read, so no file decides how much memory is taken."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "<f4", "fortran_order": False, "shape": (rows, dim)})
    return buffer.getvalue()


def _name(number: int) -> str:
    return f"shard_{number:06d}.npy"
