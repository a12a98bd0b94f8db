"""The registry of encoders: one card for each, one file for each family."""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter
from typing import TYPE_CHECKING

from histodecon._core import InputError, add_card, cards_table, closest_names, find_cards
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
    return add_card(registered(), card, what="An encoder")


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
    columns = {column: attrgetter(column) for column in _COLUMNS} | {"tile_um": lambda card: card.tile_um or 0}
    return cards_table(registered(), columns, index="encoder")


def registered() -> dict[str, EncoderCard]:
    """Return all cards; our own are those in ``CARDS`` of the files of ``cards``, found once.

    Returns
    -------
    From name to card.
    """
    from histodecon.encoders import cards

    return find_cards(_REGISTRY, cards)


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
    msg = f"Unknown encoder {name!r}"
    where = f"registered: {', '.join(sorted(registered()))}; any other name must be a timm model"
    fix = closest_names(name, [*registered(), *known], n=3) or (
        "`histodecon.encoders.list_encoders()` shows all, `timm.list_models()` those of timm"
    )
    return InputError(msg, where=where, fix=fix, code="BI-51")
