"""What stands between a user and each encoder, and what it will cost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histodecon._core import GatedError, HistodeconError, HubError, InputError, OfflineError, doc, resolve_device
from histodecon._core._hub import HubFile
from histodecon._core._optional import EXTRAS
from histodecon.encoders._card import NETWORKS, EncoderCard
from histodecon.encoders._estimate import estimate
from histodecon.encoders._hub import cached_weights, find_on_hub
from histodecon.encoders._local_weights import local_weights
from histodecon.encoders._precision import choose_dtype
from histodecon.encoders._registry import registered

if TYPE_CHECKING:
    import pandas as pd
    import torch

PACKAGES = {"timm": ("torch", "timm"), "torch": ("torch", "timm"), "transformers": ("torch", "transformers")}


@doc
def doctor(
    names: str | EncoderCard | Sequence[str | EncoderCard] | None = None,
    *,
    n_tiles: int = 5000,
    device: str | torch.device = "auto",
    precision: str = "auto",
    check_access: bool = False,
) -> pd.DataFrame:
    """Examine encoders on this machine: what is there, what is missing, and what they will cost.

    Parameters
    ----------
    names
        Names of registered encoders (:func:`list_encoders`) or of timm models, or cards. Default: all registered encoders.
    n_tiles
        Number of tiles to estimate for; a Visium slide has up to 4992.
    %(device)s
    precision
        See :func:`load_encoder`.
    check_access
        Ask the Hugging Face Hub whether the weights would be given to the login of this machine: one short request each,
        without a download. The default makes no request.

    Returns
    -------
    One row an encoder, index its name, with these columns.

    ``ready``
        whether it can be used now, without a download
    ``installed``
        whether the packages that it needs are
    ``cached``, ``path``
        whether its weights are on this machine, and where
    ``revision``
        commit of the weights that are there, else the one that would be fetched
    ``access``
        ``"yes"``, or ``"no: "`` and why; empty where it was not checked, or there is nothing to fetch
    ``device``, ``dtype``
        where and in what precision it would be computed
    ``minutes``, ``memory_gb``
        **estimates** for ``n_tiles``: time, and memory of the device (on a CPU: of the process); NaN where not known
    ``next``
        what to do to make it ready, empty when it is

    Raises
    ------
    InputError
        A name is unknown, or the device or the precision.

    Notes
    -----
    Operations and the bytes they move are counted on a network without numbers, and divided by the rates of one large product
    and one elementwise function, measured on the device in less than a second; memory is that of the weights and of the
    intermediate results of one batch. Reading the tiles is not included. Expect time within a factor of three, most
    often within 1.5; a machine that others use is slower.

    Examples
    --------
    >>> import histodecon as hd
    >>> table = hd.encoders.doctor("color_stats", n_tiles=100, device="cpu")
    >>> bool(table.loc["color_stats", "ready"]), table.loc["color_stats", "device"]
    (True, 'cpu')
    """
    import pandas as pd

    if n_tiles < 1:
        msg = f"`n_tiles={n_tiles}` is no number of tiles"
        raise InputError(msg, fix="use a whole number above 0", code="BI-72")
    cards, place = _cards(names), resolve_device(device)
    answers = _ask_for_access(cards) if check_access else {}
    rows = [_examine(card, n_tiles, place, precision, answers.get(card.name)) for card in cards]
    return pd.DataFrame(rows, index=pd.Index([card.name for card in cards], name="encoder"))


def _cards(names: str | EncoderCard | Iterable[str | EncoderCard] | None) -> list[EncoderCard]:
    if names is None:
        return sorted(registered().values(), key=attrgetter("name"))
    cards = []
    for name in [names] if isinstance(names, (str, EncoderCard)) else names:
        if isinstance(name, EncoderCard):
            cards.append(name)
        elif name in registered():
            cards.append(registered()[name])
        else:
            from histodecon.encoders._timm import timm_card

            cards.append(timm_card(name))
    return cards


def _ask_for_access(cards: list[EncoderCard]) -> dict[str, HubFile | HubError]:
    """Ask for the file of every card; where there is no network, only once."""
    answers: dict[str, HubFile | HubError] = {}
    absent: OfflineError | None = None
    for card in cards:
        if card.repo is None:
            continue
        try:
            answers[card.name] = absent or find_on_hub(card)
        except HubError as error:
            answers[card.name] = error
            absent = error if isinstance(error, OfflineError) else None
    return answers


def _examine(
    card: EncoderCard, n_tiles: int, place: torch.device, precision: str, answer: HubFile | HubError | None
) -> dict[str, Any]:
    missing = [name for name in PACKAGES.get(card.loader, ()) if find_spec(name) is None]
    path, revision = _weights_here(card)
    here = bool(path) or card.loader not in NETWORKS
    dtype, minutes, memory_gb, problem = "", float("nan"), float("nan"), ""
    if not missing:
        dtype, minutes, memory_gb, problem = _estimates(card, n_tiles, place, precision)
    return {
        "ready": here and not missing and not problem,
        "installed": not missing,
        "cached": here,
        "path": path,
        "revision": revision,
        "access": "" if answer is None else "yes" if isinstance(answer, HubFile) else f"no: {_reason(answer)}",
        "device": str(place) if card.loader in NETWORKS else "cpu",
        "dtype": dtype,
        "minutes": minutes,
        "memory_gb": memory_gb,
        "next": _install(missing) if missing else problem or ("" if here else _fetch(card, answer)),
    }


def _weights_here(card: EncoderCard) -> tuple[str, str]:
    """Path of the weights, empty where they are not on this machine, and their commit."""
    found: tuple[Path, str | None] | None = None
    if card.repo is not None:
        found = cached_weights(card)
    elif card.weights_file is not None and Path(card.weights_file).exists():
        found = local_weights(card, card.weights_file)
    path, commit = found or ("", None)
    return str(path), commit or card.revision or ""


def _estimates(card: EncoderCard, n_tiles: int, place: torch.device, precision: str) -> tuple[str, float, float, str]:
    """What it is computed in, minutes and gigabytes; or why it cannot be."""
    try:
        dtype = choose_dtype(card, place, precision) if card.loader in NETWORKS else card.dtype
        seconds, memory_gb = estimate(card, n_tiles, place, dtype)
    except HistodeconError as error:
        return "", float("nan"), float("nan"), str(error)
    return dtype, _roughly(seconds / 60), _roughly(memory_gb), ""


def _roughly(value: float) -> float:
    """Two digits: an estimate has no more."""
    return float(f"{value:.2g}")


def _reason(refusal: HubError) -> str:
    kinds = {GatedError: "ask for access", OfflineError: "no network"}
    return kinds.get(type(refusal), f"HD-{refusal.code}")


def _install(missing: list[str]) -> str:
    extras = {EXTRAS[name] for name in missing if name in EXTRAS}
    named = f"histodecon[{','.join(sorted(extras))}]" if extras else " ".join(missing)
    return f'`pip install "{named}"`'


def _fetch(card: EncoderCard, answer: HubFile | HubError | None) -> str:
    if isinstance(answer, HubError):
        return str(answer)
    if card.repo is None:
        return "hand its weights in: `weights=path`"
    if card.gated and answer is None:
        page = card.access_url or card.repo
        return f"ask for access at {page}, then `hf auth login`; the first use downloads the weights"
    size = "" if answer is None or answer.size is None else f" ({answer.size / 1e9:.2f} GB)"
    return f"the first use downloads the weights{size}"
