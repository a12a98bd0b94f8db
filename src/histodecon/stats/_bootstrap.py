"""How far a score would move on other spots, or on other patients."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histodecon.stats._scores import compositions, paired
from histodecon.stats._weighted import jsd_columns, pearson_columns, spearman_columns, weighted_means

_PART = 2**21  # numbers held at once

Table = NDArray[np.float64]
Mask = NDArray[np.bool_]

_SCORES: dict[str, Callable[[Table, Table, Mask], Callable[[Table], Table]]] = {
    "cc": pearson_columns,
    "spearman": spearman_columns,
    "l1": lambda t, p, valid: weighted_means(np.abs(t - p), valid),
    "l1_shares": lambda t, p, _: _on_compositions(t, p),
    "rmse": lambda t, p, valid: _root(weighted_means((t - p) ** 2, valid)),
    "jsd": jsd_columns,
}
BOOTSTRAPPED = tuple(_SCORES)
"""Names of the scores that :func:`bootstrap_scores` knows."""


def bootstrap_scores(
    truth: ArrayLike,
    predicted: ArrayLike,
    *,
    scores: Sequence[str] = ("cc", "l1"),
    blocks: ArrayLike | None = None,
    n_boot: int = 999,
    random_state: int | np.random.SeedSequence = 0,
) -> dict[str, NDArray[np.float64]]:
    """Score each cell type on spots drawn anew, with replacement.

    Parameters
    ----------
    truth, predicted
        Shape (n, K). A spot that is NaN in either is left out of that type.
    scores
        Any of :data:`BOOTSTRAPPED`.
    blocks
        What is drawn, shape (n,): all spots of a block come together, such as a patch of tissue. Default: each spot alone.
    n_boot
        How many times.
    random_state
        Seed. The same seed draws the same spots, so that differences of two predictions are paired.

    Returns
    -------
    Name of a score -> shape (n_boot, K); NaN where it is undefined among the spots drawn.

    Raises
    ------
    ValueError
        For an unknown score, ``n_boot`` below 1, or blocks of another length.

    Notes
    -----
    Nothing is approximated: ranks and distributions are made anew from the spots drawn. Draws are counts per spot, so Pearson,
    L1 and RMSE of all types are one matrix product. Percentiles of RMSE are a few points short of their level where errors are
    skewed and spots few. Neighboring spots are alike: drawn one by one, they make intervals too narrow; ``blocks`` mends that.

    References
    ----------
    Efron and Tibshirani, *An Introduction to the Bootstrap* (1993).

    Examples
    --------
    >>> import numpy as np
    >>> from histodecon.stats import bootstrap_scores, percentile_interval
    >>> truth = np.random.default_rng(0).gamma(2.0, size=(300, 2))
    >>> drawn = bootstrap_scores(truth, truth + np.random.default_rng(1).normal(size=truth.shape))
    >>> low, high = percentile_interval(drawn["cc"])
    >>> bool((low < 0.82).all() and (high > 0.82).all())
    True
    """
    t, p, valid = paired(truth, predicted)
    unknown = [name for name in scores if name not in _SCORES]
    if unknown or n_boot < 1:
        msg = f"scores are among {', '.join(_SCORES)} and n_boot is at least 1, got {list(scores)} and {n_boot}"
        raise ValueError(msg)
    makers = {name: _SCORES[name](t, p, valid) for name in scores}
    drawn = {name: np.empty((n_boot, t.shape[1])) for name in scores}
    for rows, counts in draws(len(t), n_boot, blocks=blocks, random_state=random_state):
        for name, make in makers.items():
            drawn[name][rows] = make(counts)
    return drawn


def bootstrap_groups(
    scores: ArrayLike, *, n_boot: int = 9999, random_state: int | np.random.SeedSequence = 0
) -> NDArray[np.float64]:
    """Average scores over groups (patients) drawn anew, with replacement.

    Parameters
    ----------
    scores
        One row a group, shape (groups, K); NaN entries are left out.
    n_boot
        How many times.
    random_state
        Seed.

    Returns
    -------
    Means, shape (n_boot, K); NaN where no group that was drawn has a value.
    """
    values = np.asarray(scores, dtype=np.float64)
    mean = weighted_means(np.nan_to_num(values), np.isfinite(values))
    drawn = np.empty((n_boot, values.shape[1]))
    for rows, counts in draws(len(values), n_boot, random_state=random_state):
        drawn[rows] = mean(counts)
    return drawn


def draws(
    n: int,
    n_boot: int,
    *,
    blocks: ArrayLike | None = None,
    random_state: int | np.random.SeedSequence = 0,
) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    """Draw rows, or blocks of rows, with replacement: as many as there are.

    Parameters
    ----------
    n
        Rows.
    n_boot
        How many times.
    blocks
        Block of each row, shape (n,).
    random_state
        Seed.

    Yields
    ------
    Which draws these are, and how often each row was drawn, shape (some draws, n).

    Raises
    ------
    ValueError
        ``blocks`` has another length.
    """
    codes = np.arange(n) if blocks is None else np.unique(np.asarray(blocks).astype(str), return_inverse=True)[1]
    if len(codes) != n:
        msg = f"blocks must name one block a spot, got {len(codes)} for {n} spots"
        raise ValueError(msg)
    units = int(codes.max(initial=-1)) + 1
    rng = np.random.default_rng(random_state)
    step = max(1, _PART // max(n, 1))
    for start in range(0, n_boot, step):
        rows = slice(start, min(start + step, n_boot))
        many = rows.stop - rows.start
        chosen = (
            rng.integers(units, size=(many, units)) + units * np.arange(many)[:, None] if units else np.empty(0, int)
        )
        counts = np.bincount(chosen.ravel(), minlength=many * units).reshape(many, units).astype(np.float64)
        yield rows, counts if blocks is None else counts[:, codes]


def _on_compositions(t: Table, p: Table) -> Callable[[Table], Table]:
    error = np.abs(compositions(t) - compositions(p))
    return weighted_means(np.nan_to_num(error), np.isfinite(error))


def _root(mean: Callable[[Table], Table]) -> Callable[[Table], Table]:
    return lambda counts: np.sqrt(mean(counts))
