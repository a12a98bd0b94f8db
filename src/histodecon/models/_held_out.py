"""Targets and predictions of spots that a model never saw."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histodecon._core import InputError


def checked_pairs(
    truth: ArrayLike, predicted: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Match targets with predictions.

    Parameters
    ----------
    truth, predicted
        Shape (n, K).

    Returns
    -------
    Both without the rows where something is not finite, and which rows were kept.

    Raises
    ------
    InputError
        Shapes differ or no row is left.
    """
    truth, predicted = np.asarray(truth, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    if truth.shape != predicted.shape or truth.ndim != 2:
        msg = f"Targets and predictions must have one shape (n, K), got {truth.shape} and {predicted.shape}"
        raise InputError(msg, code="BI-64")
    kept = np.isfinite(truth).all(axis=1) & np.isfinite(predicted).all(axis=1)
    if not kept.any():
        msg = "No spot has both targets and a prediction"
        raise InputError(msg, where=f"{len(truth)} spots", code="BI-31")
    return truth[kept], predicted[kept], kept


def weighted_quantiles(
    values: NDArray[np.float64], weights: NDArray[np.float64], levels: Sequence[float]
) -> NDArray[np.float64]:
    """Smallest values that at least a share of the weight does not exceed.

    Parameters
    ----------
    values, weights
        Shape (n,); weights are positive.
    levels
        Shares.

    Returns
    -------
    One value a share.
    """
    order = np.argsort(values, kind="stable")
    return sorted_quantiles(values[order], weights[order], levels)


def sorted_quantiles(
    values: NDArray[np.float64], weights: NDArray[np.float64], levels: Sequence[float]
) -> NDArray[np.float64]:
    """As :func:`weighted_quantiles`, of values from low to high; some weights may be 0.

    Parameters
    ----------
    values, weights
        Shape (n,).
    levels
        Shares.

    Returns
    -------
    One value a share.
    """
    share = np.cumsum(weights)
    at = np.searchsorted(share, np.asarray(levels) * share[-1] * (1 - 1e-12))
    return np.asarray(values[np.minimum(at, len(values) - 1)])
