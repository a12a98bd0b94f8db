"""The registry of learners: one frozen card for each, one file for each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from histodecon._core import add_card, cards_table, find_cards
from histodecon._core._registry import card_named
from histodecon.models._fit_context import FitContext
from histodecon.models._learner_card import LISTING, LearnerCard

if TYPE_CHECKING:
    import pandas as pd

    from histodecon.models._many_fits import ManyFits

Arrays = dict[str, NDArray[Any]]
Shapes = dict[str, tuple[int, ...]]


class Learner(ABC):
    """Maps standardized embeddings to standardized targets. Arrays in, arrays out.

    Parameters
    ----------
    **params
        The defaults of its card, with what a user changed.
    """

    floats: ClassVar[str] = "float32"
    """dtype of the fitted arrays."""
    takes_weights: bool = False
    """Whether targets may count differently."""
    seeded: ClassVar[bool] = True
    """Whether what is learned depends on the seed."""
    reads_genes: bool = False
    """Whether it learns from counts of genes as well; predictions never need them."""
    reads_signatures: ClassVar[bool] = False
    """Whether it needs signatures of cell types too."""
    reads_targets: ClassVar[bool] = True
    """False where genes alone teach it. Targets then may be absent, and are NaN when it learns."""
    reads_bags: ClassVar[bool] = False
    """Whether rows are parts, nuclei, of what has a target, a spot."""
    reads_graph: ClassVar[bool] = False
    """Whether it is given who is whose neighbor, instead of mean embeddings of the rings."""
    absolute: ClassVar[bool] = False
    """Whether targets are learned and predicted as they are, not standardized."""
    kind: ClassVar[str | None] = None
    """Kind of what is predicted, where it is not that of the targets."""
    blocks: tuple[int, ...] = ()
    """Widths of the encoders side by side in the inputs, set before it learns or is restored."""
    genes: tuple[str, ...] = ()
    """Genes that fitted arrays speak of, chosen by :meth:`fit`, and set before it is restored."""

    def __init__(self, **params: Any) -> None:
        self.params = params
        self.history_: dict[str, Any] = {}
        self.summary_: dict[str, Any] = {}
        self.check()

    @property
    def n_rings(self) -> int:
        """Rings of neighbors that are read; X then holds the embedding and the mean embedding of each ring, side by side."""
        return 0

    @property
    def n_parts(self) -> int:
        """How many embeddings stand side by side in X, that of a row and those of its rings unless a graph is read instead."""
        return 1 if self.reads_graph else 1 + self.n_rings

    def float_of(self, name: str) -> str:
        """Tell the dtype of a fitted array.

        Parameters
        ----------
        name
            A name of :meth:`shapes`.

        Returns
        -------
        ``floats``, unless learners of several kinds are within.
        """
        return self.floats

    def check(self) -> None:
        """Refuse parameters that make no sense; called by ``__init__``."""
        return

    @abstractmethod
    def fit(
        self,
        X: NDArray,
        Y: NDArray,
        groups: NDArray[np.intp],
        context: FitContext,
        weights: NDArray[np.float64] | None = None,
    ) -> Learner:
        """Learn.

        Parameters
        ----------
        X
            Standardized inputs, float64, shape (n, d).
        Y
            Standardized targets, float64, shape (n, K).
        groups
            Independent unit of each row, 0 to G - 1, shape (n,). Choices are made on held-in groups where there are two.
        context
            Seed, device, progress bar.
        weights
            How much each target counts, positive, mean 1 for every cell type, shape (n, K); all alike by default. Only
            learners that say ``takes_weights`` are given any.

        Returns
        -------
        The learner itself.
        """

    def fit_many(self, problem: ManyFits) -> list[Learner] | None:
        """Learn from many training sets at once, where that is faster than one after the other.

        Parameters
        ----------
        problem
            The training sets.

        Returns
        -------
        A fitted learner for each, with the parameters of this one; None to be asked for one after the other, which is what a
        learner does that has no such method.
        """
        return None

    @abstractmethod
    def predict(self, X: NDArray) -> NDArray[np.float64]:
        """Read targets off inputs.

        Parameters
        ----------
        X
            Standardized inputs, float64, shape (n, d). Learners that say ``reads_graph`` are also given ``graph``, of these rows.

        Returns
        -------
        Shape (n, K).
        """

    def represent(self, X: NDArray) -> NDArray[np.float64] | None:
        """Read off inputs what the learner makes of them on its way to the targets.

        Parameters
        ----------
        X
            Standardized inputs, float64, shape (n, d).

        Returns
        -------
        Shape (n, width), or None where there is no such thing.
        """
        return None

    def express(self, X: NDArray) -> NDArray[np.float64] | None:
        """Read expected expression off inputs.

        Parameters
        ----------
        X
            Standardized inputs, float64, shape (n, d).

        Returns
        -------
        Shape (n, genes), the genes of ``genes``; None where the learner knows of none.
        """
        return None

    @abstractmethod
    def shapes(self, n_inputs: int, n_outputs: int) -> Shapes:
        """Name and shape of every fitted array, as its parameters declare them.

        Parameters
        ----------
        n_inputs
            Columns of the inputs.
        n_outputs
            Cell types.

        Returns
        -------
        The shapes; a model file whose arrays differ is refused before they are read.
        """

    @abstractmethod
    def arrays(self) -> Arrays:
        """Return the fitted arrays.

        Returns
        -------
        Arrays named as in :meth:`shapes`.
        """

    @abstractmethod
    def restore(self, arrays: Arrays) -> Learner:
        """Take fitted arrays, as a model file holds them.

        Parameters
        ----------
        arrays
            Arrays named and shaped as in :meth:`shapes`.

        Returns
        -------
        The learner itself.
        """


_REGISTRY: dict[str, LearnerCard] = {}


def register_learner(card: LearnerCard) -> LearnerCard:
    """Add a learner, so that its name can be used wherever a learner is named.

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
        Another learner has this name.
    """
    return add_card(_cards(), card, what="A learner")


def get_learner(name: str) -> LearnerCard:
    """Look a learner up.

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
    >>> from histodecon.models import get_learner
    >>> get_learner("mlp").summary
    'Seven linear layers with SiLU between them; the mean of a few networks that held in different rows.'
    """
    return card_named(_cards(), name, what="learner", listing=LISTING)


def list_learners() -> pd.DataFrame:
    """List every learner.

    Returns
    -------
    One row a learner, index its name; columns ``summary``, ``parameters`` and ``citation``.

    Examples
    --------
    >>> from histodecon.models import list_learners
    >>> list(list_learners().index)
    ['context', 'cpnn', 'cpnn_abundance', 'cuca', 'ensemble', 'fusion', 'graph_attention', 'mean', 'mlp', 'nuclei', 'ridge']
    """
    columns = {
        "summary": lambda card: card.summary,
        "parameters": lambda card: ", ".join(f"{key}={value!r}" for key, value in card.defaults.items()),
        "citation": lambda card: card.citation,
    }
    return cards_table(_cards(), columns, index="learner")


def _cards() -> dict[str, LearnerCard]:
    """Own learners are the files of `learners`, found once."""
    from histodecon.models import learners

    return find_cards(_REGISTRY, learners)
