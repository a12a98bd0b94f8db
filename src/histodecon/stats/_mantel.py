"""Are two maps alike beyond chance: the types of one are renamed at random."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

_MIN_TYPES = 4


def mantel_test(a: ArrayLike, b: ArrayLike, *, permutations: int = 9999, random_state: int = 0) -> tuple[float, float]:
    """Correlate the pairs of two symmetric maps; p by permuting the types of one, rows and columns together.

    Parameters
    ----------
    a, b
        Maps of the same types in the same order, shape (K, K). A pair that is NaN in either is left out, and so is a type
        without any pair.
    permutations
        How many.
    random_state
        Seed.

    Returns
    -------
    Pearson's correlation over the pairs above the diagonal, and the one-sided p of so high a correlation; NaN with fewer than 4
    types.

    Raises
    ------
    ValueError
        For maps that are not square, or differ in shape, and for negative ``permutations``.

    Notes
    -----
    Entries of a map are not independent, so the p of their correlation would be far too small. A pair that is missing in ``a`` moves
    with ``a``, and is left out wherever it goes.

    References
    ----------
    Mantel, *Cancer Res.* 27 (1967) 209-220.

    Examples
    --------
    >>> import numpy as np
    >>> from histodecon.stats import mantel_test
    >>> a = np.corrcoef(np.random.default_rng(0).normal(size=(8, 9)))
    >>> r, p = mantel_test(a, a)
    >>> bool(r > 0.999), bool(p < 0.01)
    (True, True)
    """
    left, right = (np.array(m, dtype=np.float64) for m in (a, b))
    if left.ndim != 2 or left.shape[0] != left.shape[1] or left.shape != right.shape or permutations < 0:
        msg = (
            f"maps must have one square shape and permutations be >= 0, got {left.shape}, {right.shape}, {permutations}"
        )
        raise ValueError(msg)
    for m in (left, right):
        np.fill_diagonal(m, np.nan)
    kept = ~(np.isnan(left) | np.isnan(right)).all(axis=1)
    left, right = left[np.ix_(kept, kept)], right[np.ix_(kept, kept)]
    if len(left) < _MIN_TYPES:
        return float("nan"), float("nan")
    upper = np.triu_indices(len(left), k=1)
    fixed = right[upper]
    observed = _correlation(left[upper], fixed)
    if np.isnan(observed):
        return observed, observed
    rng = np.random.default_rng(random_state)
    above = 1
    for _ in range(permutations):
        order = rng.permutation(len(left))
        above += bool(_correlation(left[order[upper[0]], order[upper[1]]], fixed) >= observed - 1e-12)
    return observed, above / (permutations + 1)


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    known = np.isfinite(a) & np.isfinite(b)
    a, b = a[known], b[known]
    if len(a) < 2:
        return float("nan")
    a, b = a - a.mean(), b - b.mean()
    norm = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / norm) if norm > 0 else float("nan")
