"""The registry of encoders: one card for each, one file for each family."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Iterable
from typing import TYPE_CHECKING

from histodecon._core import InputError
from histodecon.encoders._card import EncoderCard

if TYPE_CHECKING:
    import pandas as pd

_REGISTRY: dict[str, EncoderCard] = {}
_COLUMNS = ("dim", "input_px", "tile_um", "pooling", "license", "commercial", "gated", "summary")


def register_encoder(card: EncoderCard) -> EncoderCard:
    """Add an encoder, so that its name can be used wherever an encoder is named.

    Parameters
    ----------
    card
        The card.

    Returns
    -------
    The card.

    Raises
    ------
    InputError
        Another encoder has this name.
    """
    present = registered().get(card.name)
    if present is not None and present != card:
        msg = f"An encoder {card.name!r} is registered already"
        raise InputError(msg, where=present.summary, fix="choose another name", code="BI-53")
    _REGISTRY[card.name] = card
    return card


def get_encoder_card(name: str) -> EncoderCard:
    """Look an encoder up.

    Parameters
    ----------
    name
        Name of a registered encoder. :func:`timm_card` makes the card of any other timm model.

    Returns
    -------
    The card.

    Raises
    ------
    InputError
        There is none of this name.

    Examples
    --------
    >>> from histodecon.encoders import get_encoder_card
    >>> get_encoder_card("color_stats").summary
    'Stain color, nuclei and texture of a tile; needs no weights.'
    """
    cards = registered()
    if name not in cards:
        raise unknown_encoder(name, cards)
    return cards[name]


def list_encoders() -> pd.DataFrame:
    """List every registered encoder.

    Returns
    -------
    One row an encoder, index its name; columns ``dim``, ``input_px``, ``tile_um``, ``pooling``, ``license``, ``commercial``,
    ``gated`` and ``summary``. ``tile_um`` is the side in µm of the tissue it expects in a tile, 0 where it does not say.

    Examples
    --------
    >>> from histodecon.encoders import list_encoders
    >>> int(list_encoders().loc["color_stats", "input_px"])
    224
    """
    import pandas as pd

    cards = [card for _, card in sorted(registered().items())]
    rows = {
        column: [getattr(card, column) or 0 if column == "tile_um" else getattr(card, column) for card in cards]
        for column in _COLUMNS
    }
    return pd.DataFrame(rows, index=pd.Index([card.name for card in cards], name="encoder"))


def registered() -> dict[str, EncoderCard]:
    """Return all cards; our own are those in ``CARDS`` of the files of ``cards``, found once.

    Returns
    -------
    From name to card.
    """
    from histodecon.encoders import cards

    for module in pkgutil.iter_modules(cards.__path__):
        for card in importlib.import_module(f"{cards.__name__}.{module.name}").CARDS:
            _REGISTRY.setdefault(card.name, card)
    return _REGISTRY


def unknown_encoder(name: str, known: Iterable[str]) -> InputError:
    """Make the error for a name that nobody knows.

    Parameters
    ----------
    name
        The name.
    known
        Names that would do.

    Returns
    -------
    The error, with the closest names.
    """
    close = difflib.get_close_matches(str(name), [*registered(), *known], n=3)
    msg = f"Unknown encoder {name!r}"
    where = f"registered: {', '.join(sorted(registered()))}; any other name must be a timm model"
    nearest = "did you mean " + ", ".join(f"`{one}`" for one in close) + "?" if close else ""
    fix = nearest or "`histodecon.encoders.list_encoders()` shows all, `timm.list_models()` those of timm"
    return InputError(msg, where=where, fix=fix, code="BI-51")
