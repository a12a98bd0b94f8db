"""Cell types in spots by non-negative least squares: no training, no random numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, sparse

from histodecon._core import InputError

MOST_CORRECTION = 20.0
NOISE = 0.05
RIDGE = 1e-9


def nnls_abundance(
    counts: Any, signatures: NDArray, *, dispersion: float = 0.3, gene_factors: bool = True
) -> NDArray[np.float64]:
    """Explain the counts of every spot as a sum of cells.

    Parameters
    ----------
    counts
        Whole numbers, dense or sparse, shape (n, G).
    signatures
        Mean counts of one cell of each type, shape (G, K).
    dispersion
        Variance of a gene of mean m is taken as m + dispersion · m² + 0.05; 0 is Poisson. The last term keeps genes that are
        hardly ever counted from deciding.
    gene_factors
        Give each gene one factor for how much better or worse it is counted in spots than in cells.

    Returns
    -------
    Cells, shape (n, K), not negative, in units of what a cell of the reference leaves in its counts. A spot without counts
    has 0 everywhere.

    Raises
    ------
    InputError
        The genes of the two differ in number.

    Notes
    -----
    Minimizes Σ_g v_g (y_g - Σ_k s_gk x_k)² over x ≥ 0 for every spot, v_g one over the variance expected of gene g in a
    spot of mean depth. Spots are brought to one depth before, and back afterwards, so that a slide with few counts is
    explained as well as one with many. The factor of a gene is the ratio of its counts in all spots to those of a first
    solution, at most 20 times up or down; Cell2location and Stereoscope have such a factor as well. Genes without
    counts, or that no cell type makes, take no part.

    Examples
    --------
    >>> import numpy as np
    >>> from histodecon.models import nnls_abundance
    >>> signatures = np.array([[5.0, 0.0], [0.0, 2.0], [1.0, 1.0]])
    >>> nnls_abundance(np.array([[10, 4, 4]]), signatures, gene_factors=False).round(6)
    array([[2., 2.]])
    """
    Y = sparse.csr_array(counts, dtype=np.float64)
    A = np.asarray(signatures, dtype=np.float64)
    if A.ndim != 2 or A.shape[0] != Y.shape[1]:
        msg = f"Counts of {Y.shape[1]} genes do not fit signatures of shape {A.shape}"
        raise InputError(msg, fix="give signatures of shape (genes, cell types)", code="BI-56")
    depth = np.asarray(Y.sum(axis=1)).ravel()
    if not depth.any():
        return np.zeros((Y.shape[0], A.shape[1]))
    scale = np.where(depth > 0, depth, 1.0) / depth[depth > 0].mean()
    Y = sparse.diags_array(1 / scale) @ Y
    mean = np.asarray(Y.mean(axis=0)).ravel()
    used = (mean > 0) & (A > 0).any(axis=1)
    Y, A, mean = Y[:, used], A[used], mean[used]
    weights = 1 / (mean + dispersion * mean**2 + NOISE)
    X = _solve(Y, A, weights)
    if gene_factors:
        seen, explained = Y.sum(axis=0), (X @ A.T).sum(axis=0)
        ratio = (seen + 1) / (explained + 1)
        X = _solve(Y, A * np.clip(ratio, 1 / MOST_CORRECTION, MOST_CORRECTION)[:, None], weights)
    return X * scale[:, None]


def _solve(Y: sparse.csr_array, A: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weighted, in the K dimensions of the normal equations: with L Lᵀ = Aᵀ V A, |Lᵀ x - L⁻¹ Aᵀ V y| is to be least."""
    weighted = A * weights[:, None]
    gram = A.T @ weighted
    size = np.sqrt(np.diag(gram))
    made = size > 0  # a type that makes none of the genes has no cells
    size[~made] = 1.0
    lower = np.linalg.cholesky(gram / np.outer(size, size) + RIDGE * np.eye(len(gram)))
    right = np.linalg.solve(lower, (Y @ weighted / size).T).T
    upper = np.ascontiguousarray(lower.T)
    return np.stack([optimize.nnls(upper, row)[0] for row in right]) * made / size
