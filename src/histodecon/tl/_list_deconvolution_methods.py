"""The methods of ``tl.deconvolve``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from histodecon._core import cards_table
from histodecon.tl._deconvolution import deconvolution_methods

if TYPE_CHECKING:
    import pandas as pd


def list_deconvolution_methods() -> pd.DataFrame:
    """List the methods of :func:`deconvolve`.

    Returns
    -------
    One row a method, index its name; columns ``kind`` (of its table), ``takes_signatures`` (whether signatures will do in
    place of cells), ``needs`` (optional packages), ``options`` with their defaults, ``summary`` and ``citation``.

    Examples
    --------
    >>> from histodecon.tl import list_deconvolution_methods
    >>> list_deconvolution_methods()["kind"].to_dict()["cell2location"]
    'abundance'
    """
    columns = {
        "kind": lambda card: card.kind,
        "takes_signatures": lambda card: card.takes_signatures,
        "needs": lambda card: ", ".join(card.packages) or "nothing",
        "options": lambda card: ", ".join(f"{key}={value!r}" for key, value in card.defaults.items()) or "none",
        "summary": lambda card: card.summary,
        "citation": lambda card: card.citation,
    }
    return cards_table(deconvolution_methods(), columns, index="method")
