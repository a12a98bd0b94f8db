"""How well genes can be read from embeddings, on groups that the reading was not learned from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

STRENGTHS = (0.01, 0.1, 1.0, 10.0)
HELD_IN_SHARE = 0.2


def readable(
    X: NDArray[np.float32], genes: NDArray[np.float32], groups: NDArray[np.intp], held_in: NDArray[np.bool_]
) -> float:
    """Read genes of held-in rows by a ridge regression on the others.

    Parameters
    ----------
    X
        Embeddings, shape (n, d).
    genes
        Expression, shape (n, G).
    groups
        Group of each row, shape (n,).
    held_in
        Rows to read, shape (n,).

    Returns
    -------
    Pearson correlation over the held-in rows of a group, mean over genes and groups, at the strength of penalty where it is
    highest; 0 where nothing varies.
    """
    Z, T = X[~held_in].astype(np.float64), genes[~held_in].astype(np.float64)
    center, scale = Z.mean(axis=0), Z.std(axis=0)
    scale[scale < 1e-9] = 1.0
    Z = (Z - center) / scale
    T = T - T.mean(axis=0)
    new = (X[held_in] - center) / scale
    n, d = Z.shape
    gram = Z @ Z.T if n < d else Z.T @ Z
    product = T if n < d else Z.T @ T
    scores = []
    for strength in STRENGTHS:
        solved = np.linalg.solve(gram + strength * d * np.eye(len(gram)), product)
        read = new @ (Z.T @ solved if n < d else solved)
        scores.append(_mean_correlation(read, genes[held_in], groups[held_in]))
    return max(scores)


def held_in_rows(groups: NDArray[np.intp], n: int, rng: np.random.Generator) -> list[NDArray[np.bool_]]:
    """Choose the rows that decide how long to train.

    Parameters
    ----------
    groups
        Group of each row, shape (n,).
    n
        How many choices at most.
    rng
        Source of randomness.

    Returns
    -------
    Masks: each leaves one group out, the largest ``n`` groups in turn; with one group, each a share of the rows.
    """
    sizes = np.bincount(groups)
    if len(sizes) > 1:
        return [groups == group for group in np.argsort(-sizes, kind="stable")[:n]]
    parts = np.array_split(rng.permutation(len(groups)), max(2, round(1 / HELD_IN_SHARE)))
    return [np.isin(np.arange(len(groups)), part) for part in parts[:n]]


def _mean_correlation(read: NDArray, truth: NDArray, groups: NDArray[np.intp]) -> float:
    found = []
    for group in np.unique(groups):
        a, b = read[groups == group], truth[groups == group].astype(np.float64)
        a, b = a - a.mean(axis=0), b - b.mean(axis=0)
        size = np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))
        varies = size > 1e-12
        if varies.any():
            found.append(float(((a * b).sum(axis=0)[varies] / size[varies]).mean()))
    return float(np.mean(found)) if found else 0.0
