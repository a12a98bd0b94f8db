"""Scores of predicted against true abundances, one a cell type."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histodecon.stats._columns import column_means, unit_columns

if TYPE_CHECKING:
    import pandas as pd


def pearson_per_type(truth: ArrayLike, predicted: ArrayLike) -> NDArray[np.float64]:
    """Pearson correlation of each column.

    Parameters
    ----------
    truth, predicted
        Shape (n, K). A spot that is NaN in either is left out of that type.

    Returns
    -------
    Shape (K,); NaN for types with fewer than 2 spots or without variance in either table.
    """
    t, p, valid = paired(truth, predicted)
    return _correlation(t, p, valid)


def spearman_per_type(truth: ArrayLike, predicted: ArrayLike) -> NDArray[np.float64]:
    """Spearman rank correlation of each column, ties at their mean rank.

    Parameters
    ----------
    truth, predicted
        Shape (n, K). A spot that is NaN in either is left out of that type.

    Returns
    -------
    Shape (K,); NaN for types with fewer than 2 spots or without variance in either table.
    """
    from scipy.stats import rankdata

    t, p, valid = paired(truth, predicted)
    flat = np.isnan(_correlation(t, p, valid))
    ranks = [rankdata(np.where(valid, side, np.nan), axis=0, nan_policy="omit") for side in (t, p)]
    return np.where(flat, np.nan, _correlation(ranks[0], ranks[1], valid))


def l1_per_type(truth: ArrayLike, predicted: ArrayLike) -> NDArray[np.float64]:
    """Mean absolute error of each column, on the scale of the table.

    Parameters
    ----------
    truth, predicted
        Shape (n, K). A spot that is NaN in either is left out of that type.

    Returns
    -------
    Shape (K,). Its mean over types is L1 over spots x types, its sum over types the L1 of whole proportions.
    """
    t, p, valid = paired(truth, predicted)
    return column_means(np.abs(t - p), valid)


def l1_shares_per_type(truth: ArrayLike, predicted: ArrayLike) -> NDArray[np.float64]:
    """Mean absolute error of each column once every spot is made to sum to 1.

    Parameters
    ----------
    truth, predicted
        Shape (n, K). A spot without composition (NaN, or no positive sum) in either is left out of all types.

    Returns
    -------
    Shape (K,). Its sum over types is the mean over spots of the L1 distance of compositions, from 0 to 2.

    Examples
    --------
    >>> from histodecon.stats import l1_shares_per_type
    >>> float(l1_shares_per_type([[3.0, 1.0]], [[1.0, 1.0]]).sum())
    0.5
    """
    t, p, _ = paired(truth, predicted)
    return l1_per_type(compositions(t), compositions(p))


def rmse_per_type(truth: ArrayLike, predicted: ArrayLike) -> NDArray[np.float64]:
    """Root mean squared error of each column, on the scale of the table.

    Parameters
    ----------
    truth, predicted
        Shape (n, K). A spot that is NaN in either is left out of that type.

    Returns
    -------
    Shape (K,).
    """
    t, p, valid = paired(truth, predicted)
    return np.sqrt(column_means((t - p) ** 2, valid))


def jsd_per_type(truth: ArrayLike, predicted: ArrayLike) -> NDArray[np.float64]:
    """Jensen-Shannon divergence of where each cell type lies: its values over the spots, made to sum to 1.

    Parameters
    ----------
    truth, predicted
        Shape (n, K), not negative. A spot that is NaN in either is left out of that type.

    Returns
    -------
    Shape (K,), in bits: 0 for equal, 1 for disjoint distributions. NaN for types with sum 0 or a negative value.
    """
    t, p, valid = paired(truth, predicted)
    return _jsd(np.where(valid, t, 0.0), np.where(valid, p, 0.0))


def jsd_per_spot(truth: ArrayLike, predicted: ArrayLike) -> NDArray[np.float64]:
    """Jensen-Shannon divergence of the composition of each spot: its values over the types, made to sum to 1.

    Parameters
    ----------
    truth, predicted
        Shape (n, K), not negative.

    Returns
    -------
    Shape (n,), in bits: 0 for equal, 1 for disjoint compositions. NaN for spots with NaN, sum 0 or a negative value.
    """
    t, p, valid = paired(truth, predicted)
    divergence = _jsd(np.where(valid, t, 0.0).T, np.where(valid, p, 0.0).T)
    return np.where(valid.all(axis=1), divergence, np.nan)


def score_table(truth: ArrayLike, predicted: ArrayLike, names: Sequence[str]) -> pd.DataFrame:
    """All scores of all cell types.

    Parameters
    ----------
    truth, predicted
        Shape (n, K). A spot that is NaN in either is left out of that type.
    names
        Names of the K types.

    Returns
    -------
    One row a type; columns ``cc`` (Pearson), ``spearman``, ``l1``, ``l1_shares``, ``rmse``, ``jsd`` (over spots) and ``n``,
    the number of spots compared.
    """
    import pandas as pd

    _, _, valid = paired(truth, predicted)
    return pd.DataFrame(
        {
            "cc": pearson_per_type(truth, predicted),
            "spearman": spearman_per_type(truth, predicted),
            "l1": l1_per_type(truth, predicted),
            "l1_shares": l1_shares_per_type(truth, predicted),
            "rmse": rmse_per_type(truth, predicted),
            "jsd": jsd_per_type(truth, predicted),
            "n": valid.sum(axis=0),
        },
        index=pd.Index(list(names), name="cell_type"),
    )


def compositions(table: ArrayLike) -> NDArray[np.float64]:
    """Divide every spot by its sum.

    Parameters
    ----------
    table
        Shape (n, K).

    Returns
    -------
    The same shape; NaN in spots with NaN or without a positive sum.
    """
    values = np.asarray(table, dtype=np.float64)
    total = values.sum(axis=1, keepdims=True)
    return np.divide(values, total, out=np.full(values.shape, np.nan), where=total > 0)


def paired(
    truth: ArrayLike, predicted: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Check two tables.

    Parameters
    ----------
    truth, predicted
        Shape (n, K).

    Returns
    -------
    Both as float64, and where both have a value.

    Raises
    ------
    ValueError
        Their shapes differ.
    """
    t, p = np.asarray(truth, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    if t.ndim != 2 or t.shape != p.shape:
        msg = f"truth and predicted must have one shape (spots, types), got {t.shape} and {p.shape}"
        raise ValueError(msg)
    return t, p, ~(np.isnan(t) | np.isnan(p))


def _correlation(t: NDArray[np.float64], p: NDArray[np.float64], valid: NDArray[np.bool_]) -> NDArray[np.float64]:
    (t, t_flat), (p, p_flat) = unit_columns(t, valid), unit_columns(p, valid)
    r = np.clip((t * p).sum(axis=0), -1.0, 1.0)
    return np.where(t_flat | p_flat, np.nan, r)


def _jsd(t: NDArray[np.float64], p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Divergence of each column, in bits."""
    from scipy.special import rel_entr

    with np.errstate(invalid="ignore", divide="ignore"):
        t_share, p_share = t / t.sum(axis=0), p / p.sum(axis=0)
    middle = (t_share + p_share) / 2
    divergence = (rel_entr(t_share, middle) + rel_entr(p_share, middle)).sum(axis=0) / (2 * np.log(2))
    bad = (t < 0).any(axis=0) | (p < 0).any(axis=0)
    return np.where(bad, np.nan, np.clip(divergence, 0.0, 1.0))
