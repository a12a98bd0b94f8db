"""Circumstances of a fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from histodecon._core import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    from histodecon.models._genes import GeneCounts


@dataclass(frozen=True)
class FitContext:
    """Circumstances of a fit, and what is known of its rows beside embedding and target.

    Parameters
    ----------
    random_state
        Seed.
    device
        ``"auto"``, or a name that torch knows.
    show_progress_bar
        Show a progress bar.
    genes
        Counts of the rows, for learners that say ``reads_genes``.
    cell_types
        Names of the columns of the targets.
    bags
        For learners that say ``reads_bags``: number of the bag of each row, -1 for none, shape (n,). A bag is a spot and its rows
        are nuclei; the target of a row is that of its bag.
    graph
        For learners that say ``reads_graph``: neighbors of each row, shape (n, n), rows summing to 1 or to 0.
    """

    random_state: int = 0
    device: str = "auto"
    show_progress_bar: bool = False
    genes: GeneCounts | None = None
    cell_types: tuple[str, ...] = ()
    bags: NDArray[np.intp] | None = None
    graph: csr_matrix | None = None

    @property
    def known_genes(self) -> GeneCounts:
        """The counts; InputError where there are none."""
        if self.genes is None:
            msg = "There are no counts of genes to learn from"
            raise InputError(msg, fix="`genes=GeneCounts(counts, names)`", code="BI-123")
        return self.genes

    @property
    def known_graph(self) -> csr_matrix:
        """The graph; InputError where there is none."""
        if self.graph is None:
            msg = "There is no graph of neighbors to learn from"
            raise InputError(msg, fix="`neighbors=[graph]`", code="BI-121")
        return self.graph
