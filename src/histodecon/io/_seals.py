"""Digests that travel inside a file or zarr store: what was lost or changed in it afterwards is known."""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path

from histodecon._core import IntegrityError

MANIFEST = ".histodecon-seal.json"
FORMAT = 1
_TRAILER = re.compile(rb"\nhistodecon sha256 ([0-9a-f]{64}) of ([0-9]{16}) bytes\n\Z")
_TRAILER_BYTES = 110
_BLOCK = 1 << 20


def seal(path: Path) -> None:
    """Add digests to a file, after its end, or to a folder, in a hidden file of its own. Readers of the format see neither.

    Parameters
    ----------
    path
        HDF5 file or zarr store.
    """
    if path.is_dir():
        files = {name: [one.stat().st_size, _sha256(one)] for name, one in _files(path)}
        (path / MANIFEST).write_text(json.dumps({"format": FORMAT, "files": files}, separators=(",", ":")))
        return
    size, digest = path.stat().st_size, _sha256(path)
    with path.open("ab") as handle:
        handle.write(f"\nhistodecon sha256 {digest} of {size:016d} bytes\n".encode())


def broken_parts(path: Path) -> tuple[list[str], list[str]] | None:
    """Compare a file or zarr store with its seal.

    Parameters
    ----------
    path
        HDF5 file or zarr store.

    Returns
    -------
    Names of the parts that are lost or cut short, and of those that are changed; None where there is no seal.

    Raises
    ------
    IntegrityError
        The seal is of a newer format.
    """
    return _broken_files(path) if path.is_dir() else _broken_content(path)


def _broken_content(path: Path) -> tuple[list[str], list[str]] | None:
    size = path.stat().st_size
    with path.open("rb") as handle:
        handle.seek(max(size - _TRAILER_BYTES, 0))
        end = handle.read()
    found = _TRAILER.search(end)
    if found is None:
        return ([], [path.name]) if b"histodecon sha256" in end or b" bytes\n" in end[-8:] else None
    stated = int(found[2])
    if stated != size - _TRAILER_BYTES:
        return [path.name], []
    return [], [path.name] if _sha256(path, stated) != found[1].decode() else []


def _broken_files(path: Path) -> tuple[list[str], list[str]] | None:
    try:
        told = json.loads((path / MANIFEST).read_text())
        form, files = int(told["format"]), told["files"]
        stated = {str(name): (int(size), str(digest)) for name, (size, digest) in files.items()}
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return [], [MANIFEST]
    if form > FORMAT:
        msg = f"The seal of {path.name} is of a newer format"
        where = f"{MANIFEST}: format {form}, this version reads {FORMAT}"
        raise IntegrityError(msg, where=where, fix="`pip install -U histodecon`", code="BI-77")
    there = dict(_files(path))
    lost = [name for name, (size, _) in stated.items() if name not in there or there[name].stat().st_size < size]
    whole = sorted(set(stated) - set(lost))
    return lost, [name for name in whole if (there[name].stat().st_size, _sha256(there[name])) != stated[name]]


def _files(path: Path) -> list[tuple[str, Path]]:
    found = [Path(folder, name) for folder, _, names in os.walk(path) for name in names]
    return sorted((one.relative_to(path).as_posix(), one) for one in found if one.name != MANIFEST)


def _sha256(path: Path, size: int | None = None) -> str:
    sha = hashlib.sha256()
    left = path.stat().st_size if size is None else size
    with path.open("rb") as handle:
        while left > 0:
            block = handle.read(min(_BLOCK, left))
            if not block:
                break
            sha.update(block)
            left -= len(block)
    return sha.hexdigest()
