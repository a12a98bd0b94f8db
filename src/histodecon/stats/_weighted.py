"""Scores of spots that count several times or not at all: what a bootstrap computes over and over."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

_FLAT = 1e-12  # share of the mean square below which rounding may have made all of a variance

Table = NDArray[np.float64]
Mask = NDArray[np.bool_]
Score = Callable[[Table], Table]


def weighted_means(values: Table, valid: Mask) -> Score:
    """Prepare the mean of each column.

    Parameters
    ----------
    values, valid
        Numbers and whether they count, shape (n, K).

    Returns
    -------
    Function of how often each row counts, shape (draws, n), that gives shape (draws, K); NaN where nothing counts.
    """
    kept, one = np.where(valid, values, 0.0), valid.astype(np.float64)

    def score(counts: Table) -> Table:
        n, total = counts @ one, counts @ kept
        return np.divide(total, n, out=np.full(total.shape, np.nan), where=n > 0)

    return score


def pearson_columns(t: Table, p: Table, valid: Mask) -> Score:
    """Prepare Pearson's correlation of each column.

    Parameters
    ----------
    t, p, valid
        Two tables and where both have a value, shape (n, K).

    Returns
    -------
    As in :func:`weighted_means`; NaN without variance.
    """
    a, b = _standard(t, valid), _standard(p, valid)
    means = [weighted_means(part, valid) for part in (a, b, a * a, b * b, a * b)]

    def score(counts: Table) -> Table:
        return _correlation(*(mean(counts) for mean in means))

    return score


def spearman_columns(t: Table, p: Table, valid: Mask) -> Score:
    """Prepare Spearman's correlation of each column; ranks are those among the rows that count, ties at their mean.

    Parameters
    ----------
    t, p, valid
        Two tables and where both have a value, shape (n, K).

    Returns
    -------
    As in :func:`weighted_means`; NaN without variance.
    """
    columns = [[_Ranks(side[rows, k]) for side in (t, p)] for k, rows in enumerate(valid.T)]

    def score(counts: Table) -> Table:
        out = np.full((len(counts), t.shape[1]), np.nan)
        for k, (own, rows) in enumerate(zip(columns, valid.T, strict=True)):
            n_drawn = counts[:, rows]
            n = n_drawn.sum(axis=1)
            a, b = (ranks(n_drawn) for ranks in own)
            weighted = n_drawn * a
            n = np.where(n > 0, n, np.nan)
            parts = (
                np.zeros(len(counts)),
                np.zeros(len(counts)),
                np.einsum("ij,ij->i", weighted, a) / n,
                np.einsum("ij,ij,ij->i", n_drawn, b, b) / n,
                np.einsum("ij,ij->i", weighted, b) / n,
            )
            out[:, k] = _correlation(*parts)
        return out

    return score


def jsd_columns(t: Table, p: Table, valid: Mask) -> Score:
    """Prepare the Jensen-Shannon divergence of each column, made to sum to 1 over the rows that count.

    Parameters
    ----------
    t, p, valid
        Two tables and where both have a value, shape (n, K).

    Returns
    -------
    As in :func:`weighted_means`, in bits; NaN for a negative value and a sum of 0.
    """
    t, p = np.where(valid, t, 0.0), np.where(valid, p, 0.0)
    bad = (t < 0).any(axis=0) | (p < 0).any(axis=0)

    def score(counts: Table) -> Table:
        out = np.full((len(counts), t.shape[1]), np.nan)
        for k in np.flatnonzero(~bad):
            rows = (t[:, k] > 0) | (p[:, k] > 0)
            out[:, k] = _divergence(t[rows, k], p[rows, k], counts[:, rows])
        return out

    return score


class _Ranks:
    """Mid-ranks of one column among rows that count several times, minus their mean."""

    def __init__(self, values: NDArray[np.float64]) -> None:
        self.order = np.argsort(values, kind="stable")
        step = np.diff(values[self.order]) > 0
        self.starts = np.r_[0, np.flatnonzero(step) + 1][: len(values)]
        self.place = np.empty(len(values), dtype=np.intp)
        self.place[self.order] = np.r_[0, np.cumsum(step)][: len(values)]

    def __call__(self, counts: Table) -> Table:
        if not len(self.order):
            return np.zeros(counts.shape)
        tied = np.add.reduceat(counts[:, self.order], self.starts, axis=1)
        upper = np.cumsum(tied, axis=1)
        return (upper - (tied + upper[:, -1:]) / 2)[:, self.place]


def _standard(values: Table, valid: Mask) -> Table:
    """Center and scale, so that later sums lose no digits."""
    n = np.maximum(valid.sum(axis=0), 1)
    kept = np.where(valid, values, 0.0)
    top = np.abs(kept).max(axis=0, initial=0.0)
    kept = kept / np.where(top > 0, top, 1.0)
    kept = np.where(valid, kept - kept.sum(axis=0) / n, 0.0)
    scale = np.sqrt((kept**2).sum(axis=0) / n)
    return kept / np.where(scale > _FLAT, scale, np.inf)


def _correlation(a: NDArray, b: NDArray, aa: NDArray, bb: NDArray, ab: NDArray) -> NDArray[np.float64]:
    var_a, var_b = aa - a * a, bb - b * b
    usable = (var_a > _FLAT * aa) & (var_b > _FLAT * bb)
    with np.errstate(invalid="ignore", divide="ignore"):
        r = (ab - a * b) / np.sqrt(var_a * var_b)
    return np.where(usable, np.clip(r, -1.0, 1.0), np.nan)


def _divergence(t: NDArray, p: NDArray, counts: Table) -> NDArray[np.float64]:
    from scipy.special import entr

    with np.errstate(invalid="ignore", divide="ignore"):
        t_sum, p_sum = counts @ t, counts @ p
        a, b = t / t_sum[:, None], p / p_sum[:, None]
        apart = entr((a + b) / 2) - (entr(a) + entr(b)) / 2
        found = np.einsum("ij,ij->i", counts, np.where(counts > 0, apart, 0.0)) / np.log(2)
    return np.where((t_sum > 0) & (p_sum > 0), np.clip(found, 0.0, 1.0), np.nan)
