"""Files from a pinned commit of a public repository, checked before they are kept."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

from histodecon._core import HubError, IntegrityError, OfflineError, write_atomic

TIMEOUT_S = 10


def blob_sha1(content: bytes) -> str:
    """Hash a file as git does.

    Parameters
    ----------
    content
        Its bytes.

    Returns
    -------
    40 hexadecimal digits: sha1 of ``blob``, the size, a zero byte, and the content.
    """
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def download(url: str, target: Path, *, show_progress_bar: bool) -> None:
    """Download one file.

    Parameters
    ----------
    url
        Where it is.
    target
        Where to write it.
    show_progress_bar
        Show a progress bar.
    """
    import pooch

    pooch.HTTPDownloader(progressbar=show_progress_bar, timeout=TIMEOUT_S)(url, str(target), None)


def fetch(url: str, target: Path, sha1: str, *, layout: str, show_progress_bar: bool = False) -> Path:
    """Return a file from the cache, or download it and keep it when it is the one expected.

    Parameters
    ----------
    url
        Where it is.
    target
        Its place in the cache.
    sha1
        Hash that git gives it.
    layout
        What to do without a network, for the message.
    show_progress_bar
        Show a progress bar.

    Returns
    -------
    ``target``.

    Raises
    ------
    OfflineError
        It cannot be reached.
    HubError
        The server refuses it.
    IntegrityError
        What came is another file.
    """
    if target.is_file() and blob_sha1(target.read_bytes()) == sha1:
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        part = Path(folder) / "part"
        try:
            download(url, part, show_progress_bar=show_progress_bar)
        except OSError as error:  # every error of requests is one
            status = getattr(getattr(error, "response", None), "status_code", None)
            cls, code = (OfflineError, "FI-24") if status is None else (HubError, "FI-28")
            msg = f"{target.name} could not be fetched"
            raise cls(msg, where=f"{url}: {type(error).__name__}: {error}", fix=layout, code=code) from error
        content = part.read_bytes()
    found = blob_sha1(content)
    if found != sha1:
        msg = f"{target.name} is not the file that was expected"
        where = f"{url}: {len(content)} bytes beginning {content[:24]!r}, git hash {found}, expected {sha1}"
        why = "a login page or an interrupted download looks like this; it was not kept"
        raise IntegrityError(msg, where=where, why=why, fix=layout, code="FI-22")
    return write_atomic(target, content)
