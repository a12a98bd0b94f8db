"""Weights from the Hugging Face Hub, from its local cache where they are there already."""

from __future__ import annotations

import socket
import urllib.request
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlparse

from histodecon._core import HubError, OfflineError
from histodecon.encoders._card import EncoderCard

FILES = ("model.safetensors", "pytorch_model.bin")
TIMEOUT_S = 5


def fetch_weights(card: EncoderCard) -> tuple[Path, str]:
    """Find the weights of an encoder in the local cache, or download them.

    Parameters
    ----------
    card
        Its card, with ``repo``.

    Returns
    -------
    Path of the file, and the commit it belongs to.

    Raises
    ------
    OfflineError
        They are not in the cache and there is no network, or ``HF_HUB_OFFLINE`` forbids it.
    HubError
        The card names no repository, or the Hub refuses.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    if card.repo is None:
        msg = f"It is not known where the weights of {card.name!r} are"
        raise HubError(msg, fix="hand them in: `weights='model.safetensors'`", code="FI-24")
    names = FILES if card.weights_file is None else (card.weights_file,)
    for name in names:
        try:
            return _with_commit(hf_hub_download(card.repo, name, revision=card.revision, local_files_only=True))
        except LocalEntryNotFoundError:
            continue
    _require_network(card)
    for name in names:
        try:
            return _with_commit(hf_hub_download(card.repo, name, revision=card.revision, etag_timeout=TIMEOUT_S))
        except LocalEntryNotFoundError as error:
            _offline(card, str(error.__cause__ or error).splitlines()[0], error)
        except EntryNotFoundError:
            continue
        except GatedRepoError as error:
            msg = f"The weights of {card.name!r} are given to those who asked for them"
            fix = f"accept the terms on the page of {card.repo} on the Hub, then `hf auth login`"
            raise HubError(msg, where=card.repo, fix=fix, code="FI-26") from error
        except (RepositoryNotFoundError, OSError) as error:
            msg = f"The weights of {card.name!r} could not be fetched"
            where = f"{card.repo}: {type(error).__name__}"
            raise HubError(msg, where=where, fix="try again, or hand them in: `weights=path`", code="FI-28") from error
    msg = f"The repository of {card.name!r} holds no weight file of a known name"
    raise HubError(
        msg, where=f"{card.repo}: looked for {', '.join(names)}", fix="hand it in: `weights=path`", code="FI-24"
    )


def _with_commit(path: str) -> tuple[Path, str]:
    return Path(path), Path(path).parent.name


def _require_network(card: EncoderCard) -> None:
    """Look before the client tries again and again for half a minute."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        _offline(card, "HF_HUB_OFFLINE is set", None)
    if "https" in urllib.request.getproxies():
        return
    try:
        socket.getaddrinfo(urlparse(constants.ENDPOINT).hostname, 443)
    except OSError as error:
        _offline(card, str(error), error)


def _offline(card: EncoderCard, where: str, error: Exception | None) -> NoReturn:
    msg = f"The weights of {card.name!r} must be fetched and there is no network"
    fix = (
        f"where there is network: `hf download {card.repo}`, and copy its cache (HF_HOME); "
        "or hand the file in: `weights='model.safetensors'`"
    )
    raise OfflineError(msg, where=f"{card.repo} is not in the local cache; {where}", fix=fix, code="FI-24") from error
