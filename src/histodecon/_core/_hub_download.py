"""One large file from the Hub into its cache: resumed where it broke off, and checked before it gets its name."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from histodecon._core._errors import HistodeconError, StoreError
from histodecon._core._hub_errors import broken_off, not_a_hub, plain, refusal, status_of

if TYPE_CHECKING:
    from histodecon._core._hub import HubFile, HubWish

PATIENCE_S = 8  # without a byte
PAUSE_S = 0.5
_BLOCK = 2**16
_OK, _PARTIAL, _NOT_THAT_RANGE = 200, 206, 416
_FINAL = range(400, 500)
_WORTH_A_RETRY = (408, 429)
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def download(wish: HubWish, remote: HubFile) -> Path:
    """Download a file into the cache of the Hub, laid out as its own client does.

    Parameters
    ----------
    wish
        What is wanted.
    remote
        The file.

    Returns
    -------
    Path in the snapshot of the commit.

    Raises
    ------
    HubError
        It did not arrive whole within the patience, or is not what was announced.
    StoreError
        The cache cannot be written, or is full.

    Notes
    -----
    What arrived before a break is kept beside as ``<digest>.incomplete``, where the next call goes on. Size and digest are
    compared before the file gets its name, so what has a name is whole.
    """
    from huggingface_hub.utils import WeakFileLock

    root = wish.cache
    own = "models--" + wish.repo.replace("/", "--")
    blob = root / own / "blobs" / remote.etag
    pointer = root / own / "snapshots" / remote.commit / remote.name
    lock = root / ".locks" / own / f"{remote.etag}.lock"
    with _writing(wish, root):
        for folder in (blob.parent, pointer.parent, lock.parent):
            folder.mkdir(parents=True, exist_ok=True)
        with WeakFileLock(lock):
            if not blob.exists():
                partial = blob.with_name(f"{blob.name}.incomplete")
                _require_space(wish, remote, partial)
                _transfer(wish, remote, partial)
                _check(wish, remote, partial)
                partial.replace(blob)
            _point(pointer, blob)
            _note_branch(root / own / "refs", wish.branch, remote.commit)
    return pointer


@contextmanager
def _writing(wish: HubWish, root: Path) -> Iterator[None]:
    """Say what to do where the cache cannot be written."""
    try:
        yield
    except HistodeconError:
        raise
    except OSError as error:
        full = error.errno in _FULL
        msg = f"There is no place for {wish.what}: the cache {'is full' if full else 'cannot be written'}"
        fix = f"set HF_HOME to a folder with space that you may write; {wish.instead}".rstrip("; ")
        raise StoreError(msg, where=f"{root}: {error.strerror or error}", fix=fix, code="FI-29") from error


def _require_space(wish: HubWish, remote: HubFile, partial: Path) -> None:
    needed = (remote.size or 0) - _size(partial)
    free = shutil.disk_usage(partial.parent).free
    if needed > free:
        msg = f"There is no space for {wish.what}"
        where = f"{partial.parent}: {needed} bytes are needed, {free} are free"
        raise StoreError(msg, where=where, fix="set HF_HOME to a folder with space", code="FI-29")


def _transfer(wish: HubWish, remote: HubFile, partial: Path) -> None:
    """Append until the file is whole; on a break go on from there, unless nothing comes any more."""
    from huggingface_hub.utils import tqdm

    quiet_since, reason = time.monotonic(), ""
    with tqdm(desc=f"{wish.label} {remote.name}", total=remote.size, unit="B", unit_scale=True) as bar:
        while (patience := quiet_since + PATIENCE_S - time.monotonic()) > 0:
            if remote.size is not None and _size(partial) > remote.size:
                partial.unlink()
            before = _size(partial)
            bar.update(before - bar.n)
            if remote.size is not None and before == remote.size:
                return
            ended, reason = _append(wish, remote, partial, patience)
            if ended and remote.size is None:
                return
            if _size(partial) > before:
                quiet_since = time.monotonic()
            else:
                time.sleep(PAUSE_S)
    have = f"{_size(partial)} of {remote.size} bytes are kept and the next call goes on from there; {reason}"
    raise broken_off(wish, "broke off", have)


def _append(wish: HubWish, remote: HubFile, partial: Path, patience: float) -> tuple[bool, str]:
    """Append what one request gives; return whether it ended by itself, and what ended it otherwise."""
    answer: Exception
    with partial.open("ab") as file:
        try:
            with _get(wish, remote.url, file.tell(), patience) as response:
                for block in _body(wish, response, file):
                    file.write(block)
            return True, "the connection was closed"
        except HistodeconError:
            raise
        except _transport_errors() as error:
            if isinstance(error, OSError) and error.errno in _FULL:
                raise
            answer = error
    status = status_of(answer)
    if status == _NOT_THAT_RANGE:
        partial.unlink(missing_ok=True)
    elif status in _FINAL and status not in _WORTH_A_RETRY:
        raise refusal(wish, answer)
    return False, plain(answer, wish.token) if status is None else f"status {status}"


@contextmanager
def _get(wish: HubWish, url: str, start: int, patience: float) -> Iterator[Any]:
    """Ask for a file from a byte on, with the session of the Hub's client, whichever library that uses."""
    from huggingface_hub.utils import build_hf_headers, get_session

    session: Any = get_session()
    wanted = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    headers = build_hf_headers(headers=wanted, token=wish.token)
    if callable(session.stream):  # that of requests has a flag of this name
        with session.stream("GET", url, headers=headers, timeout=patience) as response:
            yield response
    else:
        with session.get(url, headers=headers, timeout=patience, stream=True) as response:
            yield response


def _body(wish: HubWish, response: Any, file: BinaryIO) -> Iterator[bytes]:
    """Yield the blocks of an answer; a server that gives the whole file again starts it anew."""
    from huggingface_hub.utils import hf_raise_for_status

    hf_raise_for_status(response)
    if "html" in response.headers.get("Content-Type", ""):
        raise not_a_hub(wish, "A web page")
    start = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    if file.tell() and (response.status_code != _PARTIAL or start is None or int(start[1]) != file.tell()):
        file.truncate(0)
        if response.status_code != _OK:
            return
    yield from response.iter_bytes() if hasattr(response, "iter_bytes") else response.iter_content(_BLOCK)


def _transport_errors() -> tuple[type[Exception], ...]:
    """Errors of the library below the Hub's client: the base of the client's own, beside OSError."""
    from huggingface_hub.errors import HfHubHTTPError

    return (OSError, *(base for base in HfHubHTTPError.__bases__ if issubclass(base, Exception)))


def _check(wish: HubWish, remote: HubFile, partial: Path) -> None:
    with partial.open("rb") as file:
        head = file.read(512)
    what = name_what_it_is(head)
    if what:
        partial.unlink()
        raise not_a_hub(wish, what[0].upper() + what[1:])
    found = _digest(partial, len(remote.etag))
    if found not in (None, remote.etag):
        partial.unlink()
        raise broken_off(wish, "arrived damaged", f"digest {found}, announced {remote.etag}; it is removed")


def _digest(path: Path, digits: int) -> str | None:
    """Digest a file as the Hub does: sha256 for large files, that of git for small ones, None for another kind."""
    kinds = {64: hashlib.sha256, 40: lambda: hashlib.sha1(b"blob %d\0" % _size(path), usedforsecurity=False)}
    if digits not in kinds:
        return None
    digest = kinds[digits]()
    with path.open("rb") as file:
        while block := file.read(2**22):
            digest.update(block)
    return digest.hexdigest()


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _point(pointer: Path, blob: Path) -> None:
    """Give a blob its name: a link, or a copy where the file system has no links."""
    if pointer.exists():
        return
    pointer.unlink(missing_ok=True)
    try:
        pointer.symlink_to(os.path.relpath(blob, pointer.parent))
    except OSError:
        with suppress(FileExistsError):
            shutil.copyfile(blob, pointer)


def _note_branch(refs: Path, revision: str, commit: str) -> None:
    """Note which commit a branch was at, as the cache does."""
    if revision != commit:
        note = refs / revision
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(commit)


def name_what_it_is(head: bytes) -> str:
    """Recognize what often arrives in place of a file.

    Parameters
    ----------
    head
        Beginning of the file.

    Returns
    -------
    What it is, empty where it may be the file.
    """
    text = head.lstrip().lower()
    if not head:
        return "an empty file"
    if text.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer"
    return "a web page" if text.startswith((b"<!doctype", b"<html", b"<?xml")) else ""
