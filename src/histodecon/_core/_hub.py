"""One file of the Hugging Face Hub: from its local cache where it is there already, else by download."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from histodecon._core._errors import HubError
from histodecon._core._hub_errors import not_a_hub, offline, refusal

TIMEOUT_S = 8  # for the answer of the Hub, name lookup included
COMMIT = re.compile(r"[0-9a-f]{40}")
_ETAG = re.compile(r"[\w-]{1,128}")
_REVISION = re.compile(r"\w[\w.-]*(/\w[\w.-]*)*")


class HiddenToken(str):
    """A token that tracebacks with local variables do not show."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


def hidden(token: str | None) -> HiddenToken | None:
    """Hide a token from whoever shows local variables.

    Parameters
    ----------
    token
        The token.

    Returns
    -------
    The same text, which shows itself as stars.
    """
    return None if token is None else HiddenToken(token)


@dataclass(frozen=True, kw_only=True)
class HubWish:
    """What somebody wants from the Hub, and how to speak of it when it does not come.

    Parameters
    ----------
    what
        What it is, such as ``the weights of 'net'``.
    repo
        Repository.
    names
        Names that the file may have there, best first.
    revision
        Commit, branch or tag; the main branch without it.
    label
        What a progress bar calls it.
    instead
        What a user may do instead, such as ``or hand in a file that you have: `weights=path```.
    elsewhere
        What to do where the repository, revision or file does not exist.
    gated
        Whether it is known that the authors want to be asked.
    access_url
        Page where that is done, where it is not that of the repository.
    meanwhile
        What can be used until then; empty for nothing.
    cache_dir
        Cache of the Hub; by default that of ``HF_HOME``.
    token
        Token; by default that of ``hf auth login`` or ``HF_TOKEN``.
    """

    what: str
    repo: str
    names: tuple[str, ...]
    revision: str | None = None
    label: str = ""
    instead: str = ""
    elsewhere: str = "look for it on the Hub"
    gated: bool = False
    access_url: str | None = None
    meanwhile: Callable[[], str] = str
    cache_dir: str | None = None
    token: str | None = field(default=None, repr=False)

    @property
    def branch(self) -> str:
        """Revision to fetch."""
        return self.revision or "main"

    @property
    def place(self) -> str:
        """Repository and revision, such as ``lab/net, revision main``."""
        return f"{self.repo}, revision {self.branch}"

    @property
    def cache(self) -> Path:
        """Folder of the cache."""
        from huggingface_hub import constants

        return Path(self.cache_dir or constants.HF_HUB_CACHE)


@dataclass(frozen=True, kw_only=True)
class HubFile:
    """One file of the Hub.

    Parameters
    ----------
    url
        Its address at a commit.
    name
        Name in the repository.
    commit
        The commit.
    etag
        Its digest: sha256 of a large file, that of git of a small one.
    size
        Bytes, where the Hub says so.
    """

    url: str
    name: str
    commit: str
    etag: str
    size: int | None


def find_in_cache(wish: HubWish) -> tuple[Path, str] | None:
    """Look into the cache of the Hub, without any request.

    Parameters
    ----------
    wish
        What is wanted.

    Returns
    -------
    Path of the file and its commit; None where it is not there.

    Raises
    ------
    HubError
        No repository can have such a name, revision or file.
    """
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    _require_names(wish)
    for name in wish.names:
        try:
            found = try_to_load_from_cache(wish.repo, name, cache_dir=str(wish.cache), revision=wish.branch)
        except HFValidationError as error:
            raise refusal(wish, error) from None
        if isinstance(found, str):
            depth = len(PurePosixPath(name).parts)
            return Path(found), Path(found).parents[depth - 1].name
    return None


def find_on_hub(wish: HubWish) -> HubFile:
    """Ask the Hub where a file is, one short request a name; nothing is downloaded.

    Parameters
    ----------
    wish
        What is wanted.

    Returns
    -------
    Where it is.

    Raises
    ------
    GatedError
        The authors ask for consent first.
    OfflineError
        There is no network, or ``HF_HUB_OFFLINE`` forbids it.
    HubError
        The Hub refuses, or has no such file.
    """
    from huggingface_hub import constants
    from huggingface_hub.errors import EntryNotFoundError

    _require_names(wish)
    if constants.HF_HUB_OFFLINE:
        raise offline(wish, "HF_HUB_OFFLINE is set")
    end = time.monotonic() + TIMEOUT_S
    for name in wish.names:
        answer = within(partial(_ask, wish, name), end - time.monotonic())
        if isinstance(answer, EntryNotFoundError):
            continue
        if isinstance(answer, Exception):
            raise refusal(wish, answer)
        return _checked(wish, name, answer)
    msg = f"The repository that should hold {wish.what} has no such file"
    where = f"{wish.place}: looked for {', '.join(wish.names)}"
    raise HubError(msg, where=where, fix=f"{wish.elsewhere}; {wish.instead}".rstrip("; "), code="FI-28")


def within(call: Callable[[], Any], seconds: float) -> Any:
    """Call something that waits for the network, in a thread of its own since a name lookup cannot be interrupted.

    Parameters
    ----------
    call
        What to call.
    seconds
        How long to wait.

    Returns
    -------
    What it returns; or the error that it raises, without its traceback, whose frames know the token.
    """
    from concurrent.futures import Future
    from concurrent.futures import TimeoutError as NotInTime

    future: Future[Any] = Future()

    def ask() -> None:
        try:
            future.set_result(call())
        except Exception as error:  # noqa: BLE001 it is looked at by who asked
            error.__traceback__ = error.__cause__ = error.__context__ = None
            future.set_result(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        return future.result(timeout=max(seconds, 0.1))
    except NotInTime:
        return TimeoutError(f"no answer within {max(seconds, 0.1):.0f} s")


def _ask(wish: HubWish, name: str) -> Any:
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    return get_hf_file_metadata(hf_hub_url(wish.repo, name, revision=wish.branch), timeout=TIMEOUT_S, token=wish.token)


def _require_names(wish: HubWish) -> None:
    bad = [name for name in wish.names if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts]
    bad += [] if _REVISION.fullmatch(wish.branch) else [wish.branch]
    if bad:
        msg = f"No repository has such a file or revision, so {wish.what} cannot be there"
        raise HubError(msg, where=f"{wish.repo}: {bad[0]!r}", fix=wish.elsewhere, code="FI-28")


def _checked(wish: HubWish, name: str, answer: Any) -> HubFile:
    """Take the answer only when it is one of a Hub: with a commit, and a digest that can be a file name."""
    from huggingface_hub import hf_hub_url

    if not COMMIT.fullmatch(answer.commit_hash or "") or not _ETAG.fullmatch(answer.etag or ""):
        raise not_a_hub(wish, "An answer without commit and digest")
    url = hf_hub_url(wish.repo, name, revision=answer.commit_hash)
    return HubFile(url=url, name=name, commit=answer.commit_hash, etag=answer.etag, size=answer.size)
