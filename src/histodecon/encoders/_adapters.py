"""The registry of adapters: one frozen card for each, one file for each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from histodecon._core import InputError, add_card, cards_table, find_cards
from histodecon._core._registry import card_named
from histodecon.encoders._adapter_card import LISTING, AdapterCard

if TYPE_CHECKING:
    import pandas as pd

Arrays = dict[str, NDArray[Any]]
Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class AdapterData:
    """What an adapter learns from: spots with an embedding and with counts.

    Parameters
    ----------
    X
        Standardized embeddings, float32, shape (n, d).
    counts
        Counts of the chosen genes, whole numbers, float32, shape (n, G).
    expression
        Spatially smoothed, logarithmized and standardized counts of the same genes, float32, shape (n, G).
    groups
        Independent unit of each row, 0 to P - 1, shape (n,).
    latent
        What an adapter computed of the counts of each row, shape (n, k).
    """

    X: NDArray[np.float32]
    counts: NDArray[np.float32]
    expression: NDArray[np.float32]
    groups: NDArray[np.intp]
    latent: NDArray[np.float32] | None = None

    def rows(self, kept: NDArray[np.bool_]) -> AdapterData:
        """Take some rows.

        Parameters
        ----------
        kept
            A mask of shape (n,).

        Returns
        -------
        These rows; groups are numbered anew.
        """
        groups = np.unique(self.groups[kept], return_inverse=True)[1]
        latent = None if self.latent is None else self.latent[kept]
        return AdapterData(self.X[kept], self.counts[kept], self.expression[kept], groups, latent)


class Adapter(ABC):
    """Moves standardized embeddings so that genes can be read off them. Arrays in, arrays out.

    Parameters
    ----------
    **params
        The defaults of its card, with what a user changed.
    """

    def __init__(self, **params: Any) -> None:
        self.params = params
        self.history_: dict[str, Any] = {}
        self.check()

    def check(self) -> None:
        """Refuse parameters that make no sense; called by ``__init__``."""
        return

    @abstractmethod
    def fit(
        self, data: AdapterData, *, random_state: int = 0, device: str = "auto", show_progress_bar: bool = False
    ) -> Adapter:
        """Learn.

        Parameters
        ----------
        data
            Embeddings, genes and groups. Choices are made on held-in groups where there are two.
        random_state
            Seed.
        device
            ``"auto"``, or a name that torch knows.
        show_progress_bar
            Show a progress bar.

        Returns
        -------
        The adapter itself; its ``history_`` tells ``trained_epochs``, 0 for the identity.
        """

    @abstractmethod
    def shift(self, X: NDArray[np.float32]) -> NDArray[np.float32]:
        """Tell how far each embedding is moved.

        Parameters
        ----------
        X
            Standardized embeddings, shape (n, d).

        Returns
        -------
        Shape (n, d), in the same units; zeros where the adapter is the identity.
        """

    @abstractmethod
    def shapes(self, n_inputs: int) -> Shapes:
        """Name and shape of every fitted array, float32.

        Parameters
        ----------
        n_inputs
            Columns of the embedding.

        Returns
        -------
        The shapes; a file whose arrays differ is refused before they are read.
        """

    @abstractmethod
    def arrays(self) -> Arrays:
        """Return the fitted arrays.

        Returns
        -------
        Arrays named as in :meth:`shapes`.
        """

    @abstractmethod
    def restore(self, arrays: Arrays) -> Adapter:
        """Take fitted arrays, as a file holds them.

        Parameters
        ----------
        arrays
            Arrays named and shaped as in :meth:`shapes`.

        Returns
        -------
        The adapter itself.
        """


_REGISTRY: dict[str, AdapterCard] = {}


def register_adapter(card: AdapterCard) -> AdapterCard:
    """Add an adapter, so that its name can be used as ``method`` of :func:`histodecon.pp.adapt_embedding`.

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
        Another adapter has this name, or this is no card.
    """
    if not isinstance(card, AdapterCard):
        msg = f"An adapter is registered by its card, got {type(card).__name__}"
        raise InputError(msg, fix="`register_adapter(AdapterCard(name=..., cls=..., ...))`", code="BI-72")
    return add_card(_cards(), card, what="An adapter")


def get_adapter(name: str) -> AdapterCard:
    """Look an adapter up.

    Parameters
    ----------
    name
        Its name.

    Returns
    -------
    The card.

    Raises
    ------
    InputError
        There is none of this name.

    Examples
    --------
    >>> from histodecon.encoders import get_adapter
    >>> get_adapter("seal").defaults["temperature"]
    0.05
    """
    return card_named(_cards(), name, what="adapter", listing=LISTING)


def list_adapters() -> pd.DataFrame:
    """List every adapter.

    Returns
    -------
    One row an adapter, index its name; columns ``summary``, ``parameters`` and ``citation``.

    Examples
    --------
    >>> from histodecon.encoders import list_adapters
    >>> list(list_adapters().index)
    ['batch_free', 'seal']
    """
    columns = {
        "summary": lambda card: card.summary,
        "parameters": lambda card: ", ".join(f"{key}={value!r}" for key, value in card.defaults.items()),
        "citation": lambda card: card.citation,
    }
    return cards_table(_cards(), columns, index="adapter")


def _cards() -> dict[str, AdapterCard]:
    """Own adapters are the files of `adapters`, found once."""
    from histodecon.encoders import adapters

    return find_cards(_REGISTRY, adapters)
