"""One fold: what it is fitted on, and the fit, in whichever process."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from sklearn.base import clone

from histodecon._core import HistodeconWarning

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    from histodecon.models._genes import GeneCounts
    from histodecon.models._regressor import AbundanceRegressor

Rows: TypeAlias = "NDArray[np.intp]"
Told: TypeAlias = list[tuple[type[HistodeconWarning], str]]
Done: TypeAlias = "tuple[int, AbundanceRegressor, Told]"

_fitting = threading.Lock()


@dataclass(frozen=True)
class FoldData:
    """What all folds draw from.

    Parameters
    ----------
    X
        Embeddings, shape (n, d).
    y
        Targets, shape (n, K).
    groups
        Group of each row, shape (n,), or None.
    neighbors
        One sparse matrix of shape (n, n) a ring, or None.
    facts
        What else :meth:`histodecon.models.AbundanceRegressor.fit` is told: encoders, cell types, kind.
    genes
        Counts of the rows, or None.
    bags
        Bag of each row, shape (n,), or None.
    """

    X: NDArray
    y: NDArray
    groups: NDArray | None
    neighbors: Sequence[csr_matrix] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    genes: GeneCounts | None = None
    bags: NDArray[np.intp] | None = None


@dataclass(frozen=True)
class Task:
    """One fold.

    Parameters
    ----------
    number
        Its place among the folds.
    rows
        Training rows.
    weights
        How much their targets count, shape (len(rows), K) or (len(rows),), or None.
    """

    number: int
    rows: Rows
    weights: NDArray[np.float64] | None = None


def fit_fold(model: AbundanceRegressor, data: FoldData, task: Task) -> Done:
    """Fit a copy of a regressor to some rows, on one CPU thread: the numbers do not depend on who else computes.

    Parameters
    ----------
    model
        The regressor; it stays as it is.
    data
        What all folds draw from.
    task
        The fold.

    Returns
    -------
    Its number, the fitted copy, and what it warned of.
    """
    from threadpoolctl import threadpool_limits

    rows = np.asarray(task.rows)
    told: dict[str, Any] = {**data.facts, "weights": task.weights}
    if data.groups is not None:
        told["groups"] = np.asarray(data.groups)[rows]
    if data.neighbors is not None:
        told["neighbors"] = [among(ring, rows) for ring in data.neighbors]
    if data.genes is not None:
        told["genes"] = data.genes.rows(rows)
    if data.bags is not None:
        told["bags"] = np.asarray(data.bags)[rows]
    X, y = np.asarray(data.X)[rows], np.asarray(data.y)[rows]  # not memory maps
    with _fitting, threadpool_limits(1), warnings.catch_warnings(record=True) as heard:  # torch has one random state
        warnings.simplefilter("always", HistodeconWarning)
        fitted = clone(model).fit(X, y, **told)
    own = [(one.category, str(one.message)) for one in heard if issubclass(one.category, HistodeconWarning)]
    return task.number, fitted, own


def among(ring: csr_matrix, rows: NDArray[np.intp]) -> csr_matrix:
    """Keep the neighbors that are among some rows; what is left of each row's weights sums to 1 again.

    Parameters
    ----------
    ring
        Shape (n, n).
    rows
        The rows.

    Returns
    -------
    Shape (len(rows), len(rows)).
    """
    from scipy.sparse import diags

    part = ring[rows][:, rows].tocsr()
    sums = np.asarray(part.sum(axis=1)).ravel()
    return (diags(np.where(sums > 0, 1.0 / np.where(sums > 0, sums, 1.0), 0.0)) @ part).tocsr()
