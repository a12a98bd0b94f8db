"""How wide intervals must be: quantiles of errors, relative to those of spots with about the same prediction."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from histodecon.models._held_out import sorted_quantiles, weighted_quantiles

LEVELS = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.925, 0.95, 0.975, 0.99)
"""Shares of spots for which half-widths are kept; between them they are interpolated."""

BINS = 5
LEAST_ERROR = 0.25
"""Least local error, in units of the mean error of the cell type: no interval is narrow because few spots were alike."""


def half_widths(
    truth: NDArray[np.float64],
    predicted: NDArray[np.float64],
    codes: NDArray[np.intp],
    weights: NDArray[np.float64],
    levels: Sequence[float] = LEVELS,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Calibrate one cell type.

    Parameters
    ----------
    truth, predicted
        Targets and predictions of held-out spots, shape (n,).
    codes
        Group of each spot, numbered from 0, shape (n,).
    weights
        How much each spot counts, shape (n,).
    levels
        Shares of spots that shall be covered, from low to high.

    Returns
    -------
    Half-widths at each of ``levels`` in units of the local error, the predictions at which that is known, and the local
    errors there.
    """
    error = np.abs(truth - predicted)
    knots, local = _local_error(predicted, error)
    relative = error / np.interp(predicted, knots, local)
    order = np.argsort(relative, kind="stable")
    ordered, counts, whose = relative[order], weights[order], codes[order]
    half = sorted_quantiles(ordered, counts, levels)
    if whose.max() > 0:
        others = [sorted_quantiles(ordered, counts * (whose != one), levels) for one in range(int(whose.max()) + 1)]
        half = _widened(half, ordered, np.stack(others)[whose], counts, levels)
    return np.maximum.accumulate(half), knots, local


def _widened(
    half: NDArray[np.float64],
    relative: NDArray[np.float64],
    others: NDArray[np.float64],
    weights: NDArray[np.float64],
    levels: Sequence[float],
) -> NDArray[np.float64]:
    """Times what groups need beyond the quantiles of the other groups; where those are 0, the largest error."""
    out = half.copy()
    for i, level in enumerate(levels):
        allowed = others[:, i]
        missing = np.where(relative > 0, np.inf, 0.0)
        np.divide(relative, allowed, out=missing, where=allowed > 0)
        factor = float(weighted_quantiles(missing, weights, (level,))[0])
        out[i] = half[i] * max(factor, 1.0) if np.isfinite(factor) else relative.max()
    return out


def _local_error(
    predicted: NDArray[np.float64], error: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean prediction and mean error in fifths of the spots by prediction; equal predictions share one error."""
    order = np.argsort(predicted, kind="stable")
    parts = [part for part in np.array_split(order, BINS) if len(part)]
    parts += [parts[-1]] * (BINS - len(parts))
    knots = np.maximum.accumulate([predicted[part].mean() for part in parts])
    errors = np.array([error[part].mean() for part in parts])
    errors = np.array([errors[knots == knot].mean() for knot in knots])
    least = LEAST_ERROR * error.mean()
    return knots, np.maximum(errors, least) if least > 0 else np.ones(BINS)
