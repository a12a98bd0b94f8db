"""Weights from the Hugging Face Hub, from its local cache where they are there already."""

from __future__ import annotations

import os
import re
import threading
import time
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotInTime
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from histodecon._core import HubError, ModelMismatchError
from histodecon.encoders._card import EncoderCard
from histodecon.encoders._download import download
from histodecon.encoders._hub_errors import not_a_hub, offline, place, refusal, revision_of
from histodecon.encoders._local_weights import FILES, local_weights

TIMEOUT_S = 8  # for the answer of the Hub, name lookup included
COMMIT = re.compile(r"[0-9a-f]{40}")
SHA256 = re.compile(r"[0-9a-f]{64}")
_ETAG = re.compile(r"[\w-]{1,128}")
_REVISION = re.compile(r"\w[\w.-]*(/\w[\w.-]*)*")


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


def fetch_weights(card: EncoderCard, *, weights: str | os.PathLike[str] | None = None) -> tuple[Path, str | None]:
    """Find the weights of an encoder: on this machine, in the cache of the Hub, or by download.

    Parameters
    ----------
    card
        Its card, with ``repo``; ``revision`` is fetched, the main branch without it.
    weights
        A local file, or a folder that holds one: what ``hf download`` made, or a cache of the Hub. Nothing is fetched then.

    Returns
    -------
    Path of the file, and the commit it belongs to, None where a local file does not tell.

    Raises
    ------
    MissingKeyError
        The local folder holds no weights.
    GatedError
        The authors ask for consent first.
    OfflineError
        The weights are not in the cache and there is no network, or ``HF_HUB_OFFLINE`` forbids it.
    HubError
        The card names no repository, the Hub refuses, or the download did not arrive whole.
    ModelMismatchError
        The file at that revision has another digest than the card states.
    StoreError
        The cache cannot be written.

    Notes
    -----
    What is in the cache is used without a request, also when access was taken back since. The token of ``hf auth login``
    or ``HF_TOKEN`` is read by the client of the Hub alone; nothing here prints or keeps it.
    """
    if weights is not None:
        return local_weights(card, weights)
    if card.repo is None:
        msg = f"It is not known where the weights of {card.name!r} are"
        raise HubError(msg, fix="hand them in: `weights='model.safetensors'`", code="FI-24")
    found = cached_weights(card)
    if found is not None:
        return found
    remote = find_on_hub(card)
    declared = card.weights_sha256
    if declared is not None and SHA256.fullmatch(remote.etag) and remote.etag != declared:
        msg = f"The file at {place(card)} is not the one that the card of {card.name!r} declares"
        where = f"{remote.name}: sha256 {remote.etag}, declared {declared}"
        fix = "`dataclasses.replace(card, weights_sha256=None)` where you mean the other weights"
        raise ModelMismatchError(msg, where=where, why="other weights give other numbers", fix=fix, code="BI-85")
    return download(card, remote), remote.commit


def cached_weights(card: EncoderCard) -> tuple[Path, str] | None:
    """Find the weights of an encoder in the cache of the Hub, without any request.

    Parameters
    ----------
    card
        Its card.

    Returns
    -------
    Path of the file and its commit; None where it is not there.
    """
    from huggingface_hub import constants, try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    if card.repo is None:
        return None
    for name in names_of(card):
        try:
            found = try_to_load_from_cache(
                card.repo, name, cache_dir=constants.HF_HUB_CACHE, revision=revision_of(card)
            )
        except HFValidationError as error:
            raise refusal(card, error) from None
        if isinstance(found, str):
            depth = len(PurePosixPath(name).parts)
            return Path(found), Path(found).parents[depth - 1].name
    return None


def find_on_hub(card: EncoderCard) -> HubFile:
    """Ask the Hub for the weight file of an encoder, one short request a name; nothing is downloaded.

    Parameters
    ----------
    card
        Its card, with ``repo``.

    Returns
    -------
    Where it is.

    Raises
    ------
    HubError
        As :func:`fetch_weights`.
    """
    from huggingface_hub import constants
    from huggingface_hub.errors import EntryNotFoundError

    if constants.HF_HUB_OFFLINE:
        raise offline(card, "HF_HUB_OFFLINE is set")
    end = time.monotonic() + TIMEOUT_S
    for name in names_of(card):
        answer = _ask(card, name, end - time.monotonic())
        if isinstance(answer, EntryNotFoundError):
            continue
        if isinstance(answer, Exception):
            raise refusal(card, answer)
        return _checked(card, name, answer)
    msg = f"The repository of {card.name!r} holds no such weight file"
    where = f"{place(card)}: looked for {', '.join(names_of(card))}"
    raise HubError(msg, where=where, fix="hand it in: `weights=path`", code="FI-28")


def names_of(card: EncoderCard) -> tuple[str, ...]:
    """Names that the weight file may have in the repository.

    Parameters
    ----------
    card
        Card of the encoder.

    Returns
    -------
    The name of the card, else the usual ones, safetensors first.

    Raises
    ------
    HubError
        The name or the revision of the card is no name in a repository.
    """
    names = FILES if card.weights_file is None else (card.weights_file,)
    bad = [name for name in names if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts]
    bad += [] if _REVISION.fullmatch(revision_of(card)) else [revision_of(card)]
    if bad:
        msg = f"The card of {card.name!r} names a file or revision that no repository has"
        raise HubError(msg, where=f"{card.repo}: {bad[0]!r}", fix="mend the card", code="FI-28")
    return names


def _ask(card: EncoderCard, name: str, seconds: float) -> Any:
    """Ask for the metadata of a file, in a thread of its own since a name lookup cannot be interrupted.

    Errors are returned without their tracebacks, whose frames know the token.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    future: Future[Any] = Future()

    def ask() -> None:
        try:
            url = hf_hub_url(str(card.repo), name, revision=revision_of(card))
            future.set_result(get_hf_file_metadata(url, timeout=TIMEOUT_S))
        except Exception as error:  # noqa: BLE001 it is looked at by who asked
            error.__traceback__ = error.__cause__ = error.__context__ = None
            future.set_result(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        return future.result(timeout=max(seconds, 0.1))
    except NotInTime:
        return TimeoutError(f"no answer within {TIMEOUT_S} s")


def _checked(card: EncoderCard, name: str, answer: Any) -> HubFile:
    """Take the answer only when it is one of a Hub: with a commit, and a digest that can be a file name."""
    from huggingface_hub import hf_hub_url

    if not COMMIT.fullmatch(answer.commit_hash or "") or not _ETAG.fullmatch(answer.etag or ""):
        raise not_a_hub(card, "An answer without commit and digest")
    url = hf_hub_url(str(card.repo), name, revision=answer.commit_hash)
    return HubFile(url=url, name=name, commit=answer.commit_hash, etag=answer.etag, size=answer.size)
