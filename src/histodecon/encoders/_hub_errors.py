"""What to say when the Hugging Face Hub does not give the weights of an encoder."""

from __future__ import annotations

from histodecon._core import GatedError, HubError, OfflineError
from histodecon.encoders._card import NETWORKS, EncoderCard

_HAND_IN = "or hand in a file that you have: `weights=path`"
_REFUSED = (401, 403)


def refusal(card: EncoderCard, answer: Exception) -> HubError:
    """Make the error for what the client of the Hub raised.

    Parameters
    ----------
    card
        Card of the encoder.
    answer
        The client's error.

    Returns
    -------
    The error. It neither holds nor shows the client's own, whose request carries the token.
    """
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    status = status_of(answer)
    if isinstance(answer, GatedRepoError) or (card.gated and status in _REFUSED):
        return gated(card, status)
    if isinstance(answer, RevisionNotFoundError):
        return _gone(card, f"has no revision {revision_of(card)} (any more)", status)
    if isinstance(answer, (RepositoryNotFoundError, HFValidationError)):
        return _gone(card, "is not on the Hub (any more), or is private", status)
    if status in _REFUSED:
        msg = f"The Hub refuses to give the weights of {card.name!r} to this login"
        fix = f"`hf auth whoami` shows the login, `hf auth login` renews it; {_HAND_IN}"
        return HubError(msg, where=f"{place(card)}: status {status}", fix=fix, code="FI-26")
    if status is not None:
        msg = f"The Hub could not give the weights of {card.name!r}"
        fix = f"try again in some minutes, {_HAND_IN}"
        return HubError(msg, where=f"{place(card)}: status {status}", fix=fix, code="FI-28")
    return offline(card, plain(answer))


def gated(card: EncoderCard, status: int | None) -> GatedError:
    """Make the error for weights that are given to those who asked for them.

    Parameters
    ----------
    card
        Card of the encoder.
    status
        Status of the answer.

    Returns
    -------
    The error, with the page to ask at, the command to log in, and encoders to use meanwhile.
    """
    from huggingface_hub import constants

    page = card.access_url or f"{constants.ENDPOINT}/{card.repo}"
    msg = f"The weights of {card.name!r} are given to those who asked for them"
    where = f"{place(card)}: status {status}"
    meanwhile = " or ".join(f'`"{name}"`' for name in free_encoders(3))
    fix = f"ask for access at {page}, then `hf auth login`; {_HAND_IN}; meanwhile use {meanwhile}, which are free"
    why = "there is no login on this machine, or its access is not granted (yet)"
    return GatedError(msg, where=where, why=why, fix=fix, code="FI-26")


def offline(card: EncoderCard, reason: str) -> OfflineError:
    """Make the error for weights that must be fetched while there is no network.

    Parameters
    ----------
    card
        Card of the encoder.
    reason
        Why there is none.

    Returns
    -------
    The error, with model, revision, cache and the command for a machine that has a network.
    """
    from huggingface_hub import constants

    msg = f"The weights of {card.name!r} must be fetched and there is no network"
    where = f"{place(card)} is not in the cache {constants.HF_HUB_CACHE}; {reason}"
    name = "" if card.weights_file is None else f" {card.weights_file}"
    pinned = "" if card.revision is None else f" --revision {card.revision}"
    fix = f"where there is network: `hf download {card.repo}{name}{pinned}`, and copy its cache (HF_HOME); {_HAND_IN}"
    return OfflineError(msg, where=where, fix=fix, code="FI-24")


def not_a_hub(card: EncoderCard, what: str) -> HubError:
    """Make the error for an answer that is none of a Hub.

    Parameters
    ----------
    card
        Card of the encoder.
    what
        What came.

    Returns
    -------
    The error.
    """
    from huggingface_hub import constants

    msg = f"{what} came instead of the weights of {card.name!r}"
    why = "a proxy or the login page of a network stands between, or HF_ENDPOINT is not the address of a Hub"
    fix = f"open {constants.ENDPOINT} in a browser, log in to the network and try again, {_HAND_IN}"
    return HubError(msg, where=place(card), why=why, fix=fix, code="FI-23")


def broken_off(card: EncoderCard, what: str, where: str) -> HubError:
    """Make the error for a download that did not arrive whole.

    Parameters
    ----------
    card
        Card of the encoder.
    what
        What it did.
    where
        How much there is.

    Returns
    -------
    The error.
    """
    fix = f"run it again, {_HAND_IN}"
    msg = f"The download of the weights of {card.name!r} {what}"
    return HubError(msg, where=f"{place(card)}: {where}", fix=fix, code="FI-22")


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


def status_of(answer: Exception) -> int | None:
    """Status of the HTTP answer that an error is about.

    Parameters
    ----------
    answer
        The client's error.

    Returns
    -------
    The status, None where nothing was answered.
    """
    status = getattr(getattr(answer, "response", None), "status_code", None)
    return None if status is None else int(status)


def plain(error: Exception) -> str:
    """Say what an error says, in one line without the token.

    Parameters
    ----------
    error
        Any error.

    Returns
    -------
    The first line of its text, or its class alone where the text may show the token.
    """
    from huggingface_hub import get_token

    line = (str(error).splitlines() or [""])[0]
    if not line or "bearer" in line.lower() or (get_token() or "\0") in line:
        return type(error).__name__
    return line


def place(card: EncoderCard) -> str:
    """Repository and revision.

    Parameters
    ----------
    card
        Card of the encoder.

    Returns
    -------
    Such as ``timm/resnet18.a1_in1k, revision main``.
    """
    return f"{card.repo}, revision {revision_of(card)}"


def revision_of(card: EncoderCard) -> str:
    """Revision to fetch.

    Parameters
    ----------
    card
        Card of the encoder.

    Returns
    -------
    The commit of the card, else the main branch.
    """
    return card.revision or "main"


def _gone(card: EncoderCard, what: str, status: int | None) -> HubError:
    msg = f"The weights of {card.name!r} are not where its card says"
    where = f"{card.repo} {what}; status {status}"
    fix = f"look for it on the Hub: `dataclasses.replace(card, repo=..., revision=...)`; {_HAND_IN}"
    return HubError(msg, where=where, fix=fix, code="FI-28")
