"""Weights from the Hugging Face Hub, from its local cache where they are there already."""

from __future__ import annotations

import os
import re
from pathlib import Path

from histodecon._core import HubError, ModelMismatchError
from histodecon._core._hub import HubFile, HubWish, find_in_cache
from histodecon._core._hub import find_on_hub as find_file
from histodecon._core._hub_download import download
from histodecon.encoders._card import NETWORKS, EncoderCard
from histodecon.encoders._local_weights import FILES, local_weights

SHA256 = re.compile(r"[0-9a-f]{64}")


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
    wish = _wish(card)
    remote = find_file(wish)
    declared = card.weights_sha256
    if declared is not None and SHA256.fullmatch(remote.etag) and remote.etag != declared:
        msg = f"The file at {wish.place} is not the one that the card of {card.name!r} declares"
        where = f"{remote.name}: sha256 {remote.etag}, declared {declared}"
        fix = "`dataclasses.replace(card, weights_sha256=None)` where you mean the other weights"
        raise ModelMismatchError(msg, where=where, why="other weights give other numbers", fix=fix, code="BI-85")
    return download(wish, remote), remote.commit


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
    return None if card.repo is None else find_in_cache(_wish(card))


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
    return find_file(_wish(card))


def _wish(card: EncoderCard) -> HubWish:
    return HubWish(
        what=f"the weights of {card.name!r}",
        repo=str(card.repo),
        names=FILES if card.weights_file is None else (card.weights_file,),
        revision=card.revision,
        label=card.name,
        instead="or hand in a file that you have: `weights=path`",
        elsewhere="look for them on the Hub: `dataclasses.replace(card, repo=..., revision=...)`",
        gated=card.gated,
        access_url=card.access_url,
        meanwhile=_meanwhile,
    )


def _meanwhile() -> str:
    named = " or ".join(f'`"{name}"`' for name in free_encoders(3))
    return f"meanwhile use {named}, which are free"


def free_encoders(n: int) -> list[str]:
    """Name encoders whose weights nobody must ask for.

    Parameters
    ----------
    n
        At most this many, those without weights last.

    Returns
    -------
    The names.
    """
    from histodecon.encoders._registry import registered

    free = [card for card in registered().values() if not card.gated and card.loader != "callable"]
    free.sort(key=lambda card: card.loader not in NETWORKS)
    return [card.name for card in free][:n]
