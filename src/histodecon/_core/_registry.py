"""Registries are printable data: one frozen card for each entry, and adding one is adding a file to a folder."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from histodecon._core._errors import InputError

if TYPE_CHECKING:
    import pandas as pd


class Card(Protocol):
    """What every card has."""

    @property
    def name(self) -> str:
        """What users type."""

    @property
    def summary(self) -> str:
        """One sentence."""


C = TypeVar("C", bound=Card)


def find_cards(registry: dict[str, C], folder: ModuleType) -> dict[str, C]:
    """Add the cards of every file of a folder to a registry, those it has already left as they are.

    Parameters
    ----------
    registry
        From name to card; changed.
    folder
        Package whose modules hold a ``CARD`` or several ``CARDS``.

    Returns
    -------
    The registry.
    """
    for found in pkgutil.iter_modules(folder.__path__):
        module = importlib.import_module(f"{folder.__name__}.{found.name}")
        cards: Iterable[C] = module.CARDS if hasattr(module, "CARDS") else (module.CARD,)
        for card in cards:
            registry.setdefault(card.name, card)
    return registry


def add_card(registry: dict[str, C], card: C, *, what: str) -> C:
    """Add one card to a registry.

    Parameters
    ----------
    registry
        From name to card; changed.
    card
        The card.
    what
        What the entries are, with their article.

    Returns
    -------
    The card.

    Raises
    ------
    InputError
        Another card has this name.
    """
    present = registry.get(card.name)
    if present is not None and present != card:
        msg = f"{what} {card.name!r} is registered already"
        raise InputError(msg, where=present.summary, fix="choose another name", code="BI-53")
    registry[card.name] = card
    return card


def card_named(cards: Mapping[str, C], name: str, *, what: str, listing: str) -> C:
    """Look a card up.

    Parameters
    ----------
    cards
        From name to card.
    name
        What was typed.
    what
        What the entries are.
    listing
        Public function that shows all.

    Returns
    -------
    The card.

    Raises
    ------
    InputError
        There is none of this name.
    """
    if name not in cards:
        msg = f"Unknown {what} {name!r}"
        fix = closest_names(name, cards) or f"`{listing}()` shows all"
        raise InputError(msg, where=f"there are {', '.join(sorted(cards))}", fix=fix, code="BI-51")
    return cards[name]


def with_defaults(
    params: Mapping[str, Any] | None, defaults: Mapping[str, Any], *, of: str, listing: str
) -> dict[str, Any]:
    """Fill parameters up with the defaults of a card.

    Parameters
    ----------
    params
        What differs.
    defaults
        All parameters.
    of
        What they belong to, for the message.
    listing
        Public function that shows all.

    Returns
    -------
    All parameters.

    Raises
    ------
    InputError
        A parameter is unknown.
    """
    params = dict(params or {})
    unknown = [name for name in params if name not in defaults]
    if unknown:
        msg = f"Unknown parameter {unknown[0]!r} of {of}"
        known = ", ".join(defaults) or "none"
        fix = closest_names(unknown[0], defaults) or f"`{listing}()` shows all"
        raise InputError(msg, where=f"it has: {known}", fix=fix, code="BI-72")
    return {**defaults, **params}


def closest_names(name: object, known: Iterable[str], *, n: int = 1) -> str:
    """Ask whether one of the closest names was meant.

    Parameters
    ----------
    name
        What was typed.
    known
        Names that would do.
    n
        How many to show.

    Returns
    -------
    The question, empty when no name is close.
    """
    close = difflib.get_close_matches(str(name), list(known), n=n)
    return "did you mean " + ", ".join(f"`{one}`" for one in close) + "?" if close else ""


def cards_table(cards: Mapping[str, C], columns: Mapping[str, Callable[[C], Any]], *, index: str) -> pd.DataFrame:
    """Print a registry as a table.

    Parameters
    ----------
    cards
        From name to card.
    columns
        From the name of a column to what it shows of a card.
    index
        Name of the index.

    Returns
    -------
    One row a card, in alphabetic order, index its name.
    """
    import pandas as pd

    listed = [cards[name] for name in sorted(cards)]
    rows = {column: [show(card) for card in listed] for column, show in columns.items()}
    return pd.DataFrame(rows, index=pd.Index([card.name for card in listed], name=index))
