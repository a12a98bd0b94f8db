"""What to say when the Hugging Face Hub does not give, or does not take, a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from histodecon._core._errors import GatedError, HubError, OfflineError

if TYPE_CHECKING:
    from histodecon._core._hub import HubWish

_REFUSED = (401, 403)


def refusal(wish: HubWish, answer: Exception) -> HubError:
    """Make the error for what the client of the Hub raised.

    Parameters
    ----------
    wish
        What is wanted.
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
    if isinstance(answer, GatedRepoError) or (wish.gated and status in _REFUSED):
        return gated(wish, status)
    if isinstance(answer, RevisionNotFoundError):
        return _gone(wish, f"has no revision {wish.branch} (any more)", status)
    if isinstance(answer, (RepositoryNotFoundError, HFValidationError)):
        return _gone(wish, "is not on the Hub (any more), or is private", status)
    if status in _REFUSED:
        msg = f"The Hub refuses to give {wish.what} to this login"
        fix = "`hf auth whoami` shows the login, `hf auth login` renews it"
        return HubError(msg, where=f"{wish.place}: status {status}", fix=_or(fix, wish.instead), code="FI-26")
    if status is not None:
        msg = f"The Hub could not give {wish.what}"
        fix = _or("try again in some minutes", wish.instead)
        return HubError(msg, where=f"{wish.place}: status {status}", fix=fix, code="FI-28")
    return offline(wish, plain(answer, wish.token))


def gated(wish: HubWish, status: int | None) -> GatedError:
    """Make the error for what is given to those who asked for it.

    Parameters
    ----------
    wish
        What is wanted.
    status
        Status of the answer.

    Returns
    -------
    The error, with the page to ask at, the command to log in, and what to use meanwhile.
    """
    from huggingface_hub import constants

    page = wish.access_url or f"{constants.ENDPOINT}/{wish.repo}"
    msg = f"The authors give {wish.what} to those who asked for it"
    fix = _or(f"ask for access at {page}, then `hf auth login`", wish.instead, wish.meanwhile())
    why = "there is no login on this machine, or its access is not granted (yet)"
    return GatedError(msg, where=f"{wish.place}: status {status}", why=why, fix=fix, code="FI-26")


def offline(wish: HubWish, reason: str) -> OfflineError:
    """Make the error for what must be fetched while there is no network.

    Parameters
    ----------
    wish
        What is wanted.
    reason
        Why there is none.

    Returns
    -------
    The error, with name, revision, cache and the command for a machine that has a network.
    """
    msg = f"To fetch {wish.what} takes a network, and there is none"
    where = f"{wish.place} is not in the cache {wish.cache}; {reason}"
    name = f" {wish.names[0]}" if len(wish.names) == 1 else ""
    pinned = "" if wish.revision is None else f" --revision {wish.revision}"
    fix = f"where there is network: `hf download {wish.repo}{name}{pinned}`, and copy its cache (HF_HOME)"
    return OfflineError(msg, where=where, fix=_or(fix, wish.instead), code="FI-24")


def not_a_hub(wish: HubWish, what: str) -> HubError:
    """Make the error for an answer that is none of a Hub.

    Parameters
    ----------
    wish
        What is wanted.
    what
        What came.

    Returns
    -------
    The error.
    """
    from huggingface_hub import constants

    msg = f"{what} came instead of {wish.what}"
    why = "a proxy or the login page of a network stands between, or HF_ENDPOINT is not the address of a Hub"
    fix = f"open {constants.ENDPOINT} in a browser, log in to the network and try again"
    return HubError(msg, where=wish.place, why=why, fix=_or(fix, wish.instead), code="FI-23")


def broken_off(wish: HubWish, what: str, where: str) -> HubError:
    """Make the error for a download that did not arrive whole.

    Parameters
    ----------
    wish
        What is wanted.
    what
        What the download did.
    where
        How much there is.

    Returns
    -------
    The error.
    """
    msg = f"The download of {wish.what} {what}"
    return HubError(msg, where=f"{wish.place}: {where}", fix=_or("run it again", wish.instead), code="FI-22")


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


def plain(error: Exception, token: str | None = None) -> str:
    """Say what an error says, in one line without the token.

    Parameters
    ----------
    error
        Any error.
    token
        A token that was handed in; that of the login is known.

    Returns
    -------
    The first line of its text, or its class alone where the text may show the token.
    """
    from huggingface_hub import get_token

    line = (str(error).splitlines() or [""])[0]
    tokens = [known for known in (token, get_token()) if known]
    if not line or "bearer" in line.lower() or any(known in line for known in tokens):
        return type(error).__name__
    return line


def _or(*ways: str) -> str:
    return "; ".join(way for way in ways if way)


def _gone(wish: HubWish, what: str, status: int | None) -> HubError:
    msg = f"The Hub does not have {wish.what} where it was looked for"
    where = f"{wish.repo} {what}; status {status}"
    return HubError(msg, where=where, fix=_or(wish.elsewhere, wish.instead), code="FI-28")
