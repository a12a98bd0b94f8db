"""The one mixture of cell types that explains the mean of many spots, in spite of genes that are counted unevenly."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

FLOOR = 1e-3
"""Added to both sides, in units of the mean over genes: how rarely a gene is counted that hardly ever is does not decide."""
WIDEST = 8.0
"""How far, in logarithms, a type may be from an even mixture."""


def log_mixture(pooled: NDArray[np.float64], signatures: NDArray[np.float64]) -> NDArray[np.float64]:
    r"""Explain mean counts as a sum of cells by least squares of logarithms.

    Between the technology of the reference and that of the spots, genes differ by factors, not by amounts. A least-squares
    fit of amounts follows the few genes that are counted most; here every gene counts the same, whatever its factor.

    Parameters
    ----------
    pooled
        Mean counts of a spot, shape (G,).
    signatures
        Mean counts of one cell of each type, shape (G, K), not negative.

    Returns
    -------
    Cells, shape (K,), all above 0; next to none where there are no counts.

    Notes
    -----
    Minimizes :math:`\sum_g (\log(\sum_k g_{gk} w_k + e) - \log(y_g + e))^2` over positive :math:`w`, which is the most likely
    mixture when log factors of genes are normal around 0.
    """
    if not pooled.any():
        return np.full(signatures.shape[1], 1e-12)
    unit = FLOOR * pooled.mean()
    seen = np.log(pooled + unit)

    def misfit(log_cells: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        cells = np.exp(log_cells)
        explained = signatures @ cells + unit
        residual = np.log(explained) - seen
        gradient = 2 * (signatures.T @ (residual / explained)) * cells / len(seen)
        return float(residual @ residual) / len(seen), gradient

    even = np.log(pooled.sum() / max(signatures.sum(), 1e-12))
    first = np.full(signatures.shape[1], even)
    bounds = [(even - WIDEST, even + WIDEST)] * len(first)
    found = optimize.minimize(misfit, first, jac=True, method="L-BFGS-B", bounds=bounds)
    cells: NDArray[np.float64] = np.exp(found.x)
    return cells
