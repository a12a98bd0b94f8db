"""Counts made ready to train against: chosen, smoothed over neighbors, logarithmized, standardized."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

THETA = 100.0
BLOCK = 1000
OWN_SHARE = 0.5


def choose_genes(counts: csr_matrix, groups: NDArray[np.intp], n_genes: int) -> NDArray[np.intp]:
    """Choose the genes that vary most beyond the noise of counting, within groups.

    Parameters
    ----------
    counts
        Whole numbers, shape (n, G).
    groups
        Group of each row, shape (n,).
    n_genes
        How many at most.

    Returns
    -------
    Their columns, in order. Genes are ranked by the variance of their Pearson residuals (negative binomial with overdispersion
    100, clipped at √n), mean over groups; genes without a count are never chosen.
    """
    score = np.zeros(counts.shape[1])
    for group in np.unique(groups):
        part = counts[groups == group].tocsc()
        total = np.asarray(part.sum(axis=1)).ravel().astype(np.float64)
        share = np.asarray(part.sum(axis=0)).ravel() / max(total.sum(), 1.0)
        limit = np.sqrt(len(total))
        for start in range(0, len(share), BLOCK):
            some = slice(start, start + BLOCK)
            mean = total[:, None] * share[some][None]
            residual = (part[:, some].toarray() - mean) / np.sqrt(np.maximum(mean + mean**2 / THETA, 1e-12))
            score[some] += np.clip(residual, -limit, limit).var(axis=0) * len(total)
    seen = np.flatnonzero(np.asarray(counts.sum(axis=0)).ravel() > 0)
    best = seen[np.argsort(-score[seen], kind="stable")[:n_genes]]
    return np.sort(best)


def smooth(counts: csr_matrix, neighbors: csr_matrix | None) -> csr_matrix:
    """Mix the counts of each spot with the mean of its neighbors, half and half.

    Parameters
    ----------
    counts
        Shape (n, G).
    neighbors
        Shape (n, n), each row a mean of its neighbors, or zero where there are none; None leaves counts as they are.

    Returns
    -------
    Shape (n, G).
    """
    from scipy.sparse import diags

    if neighbors is None:
        return counts.astype(np.float64)
    has = np.asarray(neighbors.sum(axis=1)).ravel() > 0
    own = diags(np.where(has, OWN_SHARE, 1.0))
    return (own @ counts + (1 - OWN_SHARE) * (neighbors @ counts)).tocsr()


def log_expression(counts: csr_matrix, columns: NDArray[np.intp]) -> NDArray[np.float64]:
    """Divide by the total of each row, bring to the median total, and take the logarithm of one plus that.

    Parameters
    ----------
    counts
        Shape (n, G), of all genes.
    columns
        Genes to return.

    Returns
    -------
    Shape (n, columns).
    """
    total = np.asarray(counts.sum(axis=1)).ravel()
    size = np.median(total[total > 0]) if (total > 0).any() else 1.0
    return np.log1p(counts[:, columns].toarray() * (size / np.maximum(total, 1e-9))[:, None] * (total > 0)[:, None])


def standardize(values: NDArray[np.float64], groups: NDArray[np.intp]) -> NDArray[np.float32]:
    """Take the mean of each group off and divide by the standard deviation that remains.

    Parameters
    ----------
    values
        Shape (n, G).
    groups
        Group of each row, shape (n,).

    Returns
    -------
    Shape (n, G); columns that do not vary are 0.
    """
    centered = values.copy()
    for group in np.unique(groups):
        centered[groups == group] -= values[groups == group].mean(axis=0)
    scale = centered.std(axis=0)
    return (centered / np.where(scale > 1e-9, scale, 1.0)).astype(np.float32)
