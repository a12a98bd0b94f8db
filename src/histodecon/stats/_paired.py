"""Is one prediction better than another, patient by patient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

_EQUAL = 1e-12
_PART = 2**20


@dataclass(frozen=True)
class PairedTest:
    """What :func:`paired_test` found.

    Parameters
    ----------
    difference
        Mean over units of first minus second, shape (K,).
    p
        p values, shape (K,).
    n
        Units with both scores, shape (K,).
    smallest_p
        The smallest p that so many units can give, shape (K,).
    """

    difference: NDArray[np.float64]
    p: NDArray[np.float64]
    n: NDArray[np.intp]
    smallest_p: NDArray[np.float64]


def paired_test(
    first: ArrayLike,
    second: ArrayLike,
    *,
    alternative: Literal["two-sided", "greater", "less"] = "two-sided",
    permutations: int = 9999,
    random_state: int = 0,
) -> PairedTest:
    """Compare two sets of scores of the same units by flipping the signs of their differences.

    Parameters
    ----------
    first, second
        Scores, one row an independent unit (the patient, never the spot), shape (units, K) or (units,). A unit that is NaN in
        either is left out of that column.
    alternative
        ``"greater"``: the first is larger.
    permutations
        How many sign patterns are drawn where there are more than that many; otherwise all are taken and p is exact.
    random_state
        Seed of the draws.

    Returns
    -------
    Differences and p; NaN without a unit.

    Raises
    ------
    ValueError
        For scores of different shapes, an unknown alternative, or ``permutations`` below 1.

    Notes
    -----
    If both predictions were equally good, each difference could as well have had the other sign. p is the share of sign
    patterns whose mean difference is at least as large. With n units there are 2ⁿ patterns, so p is never below 2¹⁻ⁿ, or 2⁻ⁿ
    one-sided: two patients cannot give p < 0.25, whatever the scores.

    References
    ----------
    Fisher, *The Design of Experiments* (1935), section 21.

    Examples
    --------
    >>> from histodecon.stats import paired_test
    >>> test = paired_test([0.5, 0.6, 0.4, 0.7, 0.5, 0.6], [0.3, 0.5, 0.35, 0.5, 0.4, 0.5])
    >>> float(test.p[0]), float(test.smallest_p[0])
    (0.03125, 0.03125)
    """
    if alternative not in {"two-sided", "greater", "less"} or permutations < 1:
        msg = f"alternative is 'two-sided', 'greater' or 'less', permutations at least 1; got {alternative!r}, {permutations}"
        raise ValueError(msg)
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if a.shape != b.shape or a.ndim not in {1, 2}:
        msg = f"scores must have one shape (units, K), got {a.shape} and {b.shape}"
        raise ValueError(msg)
    d = (a - b).reshape(len(a), -1) * (-1.0 if alternative == "less" else 1.0)
    known = np.isfinite(d)
    n = known.sum(axis=0)
    d = np.where(known, d, 0.0)  # the sign of nothing changes nothing: each pattern of the others is met equally often
    p = _p(d, two_sided=alternative == "two-sided", permutations=permutations, random_state=random_state)
    total = d.sum(axis=0) * (-1.0 if alternative == "less" else 1.0)
    mean = np.divide(total, n, out=np.full(total.shape, np.nan), where=n > 0)
    smallest = np.exp2(-n.astype(np.float64) + (alternative == "two-sided"))
    smallest = np.maximum(smallest, 0.0 if _exact(len(d), permutations) else 1 / (permutations + 1))
    return PairedTest(mean, np.where(n > 0, p, np.nan), n, np.where(n > 0, np.minimum(smallest, 1.0), np.nan))


def _exact(units: int, permutations: int) -> bool:
    return units <= np.log2(permutations + 1)


def _p(d: NDArray[np.float64], *, two_sided: bool, permutations: int, random_state: int) -> NDArray[np.float64]:
    units = len(d)
    exact = _exact(units, permutations)
    patterns = 2**units if exact else permutations
    rng = np.random.default_rng(random_state)
    observed = _statistic(d.sum(axis=0), two_sided=two_sided)
    bar = observed - _EQUAL * np.abs(d).sum(axis=0)
    reached = np.zeros(d.shape[1])
    step = max(1, _PART // max(units + d.shape[1], 1))
    for start in range(0, patterns, step):
        stop = min(start + step, patterns)
        bits = (np.arange(start, stop)[:, None] >> np.arange(units)) & 1 if exact else None
        signs = 1.0 - 2.0 * (bits if bits is not None else rng.integers(2, size=(stop - start, units)))
        reached += (_statistic(signs @ d, two_sided=two_sided) >= bar).sum(axis=0)
    return reached / patterns if exact else (reached + 1) / (patterns + 1)


def _statistic(total: NDArray[np.float64], *, two_sided: bool) -> NDArray[np.float64]:
    return np.abs(total) if two_sided else total
