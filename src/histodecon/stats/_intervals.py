"""Intervals from values drawn by a bootstrap."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

_DEFINED = 0.9


def percentile_interval(drawn: ArrayLike, *, level: float = 0.95) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Take the middle share of the values that a bootstrap over many units gave.

    Parameters
    ----------
    drawn
        Shape (draws, ...).
    level
        The share, above 0 and below 1.

    Returns
    -------
    Lower and upper bounds, each of shape (...). Draws that are NaN are left out; where more than 10 % are, so are the bounds.

    Raises
    ------
    ValueError
        ``level`` is out of range.
    """
    _check(level)
    values = np.asarray(drawn, dtype=np.float64)
    return _quantiles(values, np.full(values.shape[1:], (1 - level) / 2))


def group_interval(
    drawn: ArrayLike, n_groups: ArrayLike, *, level: float = 0.95
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Take the interval of a mean over few groups from :func:`bootstrap_groups`, widened for their number.

    Parameters
    ----------
    drawn
        Shape (draws, K).
    n_groups
        Groups behind each mean, shape (K,) or one number.
    level
        Coverage that is aimed at.

    Returns
    -------
    Lower and upper bounds, shape (K,); NaN where there are fewer groups than :func:`least_groups`.

    Raises
    ------
    ValueError
        ``level`` is out of range.

    Notes
    -----
    Percentiles of few values are too narrow: a mean of n values drawn from themselves varies less by (n - 1) / n, and its
    tails are those of a normal. The percentiles taken are therefore those of Φ(-√(n / (n - 1)) · t), with t the quantile of
    Student's distribution with n - 1 degrees of freedom.

    References
    ----------
    Hesterberg, *Am. Stat.* 69 (2015) 371-386: the expanded percentile interval.
    """
    from scipy.special import ndtr
    from scipy.stats import t

    _check(level)
    values = np.asarray(drawn, dtype=np.float64)
    n = np.broadcast_to(np.asarray(n_groups, dtype=np.float64), values.shape[1:])
    many = np.maximum(n, 2)
    tails = ndtr(-np.sqrt(many / (many - 1)) * t.ppf((1 + level) / 2, many - 1))
    low, high = _quantiles(values, tails)
    enough = n >= least_groups(level)
    return np.where(enough, low, np.nan), np.where(enough, high, np.nan)


def least_groups(level: float = 0.95) -> int:
    """Tell how many groups an interval over groups takes.

    Parameters
    ----------
    level
        Coverage that is aimed at.

    Returns
    -------
    The smallest n with 1 - 2^(1 - n) >= level: all values drawn lie between the smallest and the largest, and n values lie on
    one side of their center with probability 2^(1 - n).

    Examples
    --------
    >>> from histodecon.stats import least_groups
    >>> least_groups(0.95), least_groups(0.5)
    (6, 2)
    """
    _check(level)
    return max(2, 1 + int(np.ceil(-np.log2(1 - level) - 1e-12)))


def _check(level: float) -> None:
    if not 0 < level < 1:
        msg = f"level must lie between 0 and 1, got {level}"
        raise ValueError(msg)


def _quantiles(values: NDArray[np.float64], tails: NDArray[np.float64]) -> tuple[NDArray, NDArray]:
    """Quantiles at each column's own tails, between neighboring values."""
    shape, n = values.shape[1:], len(values)
    ordered = np.sort(values.reshape(n, -1), axis=0)  # NaN last
    defined = np.isfinite(ordered).sum(axis=0)
    found = []
    for share in (tails.ravel(), 1 - tails.ravel()):
        at = share * np.maximum(defined - 1, 0)
        below = np.floor(at).astype(np.intp)
        above = np.minimum(below + 1, np.maximum(defined - 1, 0))
        columns = np.arange(ordered.shape[1])
        low, high = ordered[below, columns], ordered[above, columns]
        value = low + (at - below) * (high - low)
        found.append(np.where(defined >= max(_DEFINED * n, 1), value, np.nan).reshape(shape))
    return found[0], found[1]
