"""How alike two maps of R are. The same two maps score .88 or .64 by convention, so every convention has a name."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Metric = Literal["cosine", "pearson"]
Rescale = Literal["none", "self", "minmax"]

AGREEMENT_CONVENTIONS: dict[str, dict[str, object]] = {
    "cosine_pairs": {"metric": "cosine", "by": "pairs"},
    "pearson_pairs": {"metric": "pearson", "by": "pairs"},
    "cosine_rows": {"metric": "cosine", "by": "rows", "diagonal": False},
    "pearson_rows": {"metric": "pearson", "by": "rows", "diagonal": False},
    "cosine_rows_diagonal": {"metric": "cosine", "by": "rows", "diagonal": True},
    "pearson_rows_diagonal": {"metric": "pearson", "by": "rows", "diagonal": True},
    "cosine_rows_self": {"metric": "cosine", "by": "rows", "diagonal": True, "rescale": "self"},
    "pearson_rows_self": {"metric": "pearson", "by": "rows", "diagonal": True, "rescale": "self"},
    "cosine_rows_minmax": {"metric": "cosine", "by": "rows", "diagonal": False, "rescale": "minmax"},
}
"""Name of a convention -> the options of :func:`map_agreement` it stands for."""


def map_agreement(
    a: ArrayLike,
    b: ArrayLike,
    *,
    metric: Metric = "cosine",
    by: Literal["rows", "pairs"] = "rows",
    diagonal: bool = False,
    rescale: Rescale = "none",
) -> float:
    """Agreement of two symmetric maps of the same types in the same order.

    Parameters
    ----------
    a, b
        Maps, shape (K, K). A pair that is NaN in either is left out of both.
    metric
        ``"cosine"`` keeps the level of the map, ``"pearson"`` removes it.
    by
        ``"rows"``: the score of each type's row, then the mean over types. ``"pairs"``: one score over all pairs
        above the diagonal.
    diagonal
        Whether a row includes the type against itself. Only by rows.
    rescale
        ``"none"``; ``"self"``: R_ab / √(R_aa R_bb), so that the diagonal is 1; ``"minmax"``: each row of the
        entries compared to [0, 1].

    Returns
    -------
    The score in [-1, 1]; NaN where no row is defined.

    Raises
    ------
    ValueError
        For maps that are not square, differ in shape or are not symmetric, and for unknown options.
    """
    left, right = _as_maps(a, b)
    _check_options(metric, by, rescale, diagonal=diagonal)
    if rescale == "self":
        left, right = _by_self(left), _by_self(right)
    valid = ~(np.isnan(left) | np.isnan(right))
    if not diagonal:
        np.fill_diagonal(valid, val=False)
    if by == "pairs":
        upper = np.triu_indices(len(left), k=1)
        left, right, valid = left[upper][None], right[upper][None], valid[upper][None]
    if rescale == "minmax":
        left, right = _to_unit_range(left, valid), _to_unit_range(right, valid)
    scores = _row_scores(left, right, valid, metric)
    return float(np.nanmean(scores)) if np.isfinite(scores).any() else float("nan")


def agreement_table(a: ArrayLike, b: ArrayLike) -> dict[str, float]:
    """Agreement of two maps under every named convention.

    Parameters
    ----------
    a, b
        Symmetric maps of the same types in the same order, shape (K, K).

    Returns
    -------
    Name in :data:`AGREEMENT_CONVENTIONS` -> score.
    """
    return {name: map_agreement(a, b, **options) for name, options in AGREEMENT_CONVENTIONS.items()}  # type: ignore[arg-type]


def _row_scores(
    left: NDArray[np.float64], right: NDArray[np.float64], valid: NDArray[np.bool_], metric: Metric
) -> NDArray[np.float64]:
    left, right = np.where(valid, left, 0.0), np.where(valid, right, 0.0)
    if metric == "pearson":
        count = np.maximum(valid.sum(axis=1, keepdims=True), 1)
        left = np.where(valid, left - left.sum(axis=1, keepdims=True) / count, 0.0)
        right = np.where(valid, right - right.sum(axis=1, keepdims=True) / count, 0.0)
    norm = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    dot = (left * right).sum(axis=1)
    return np.divide(dot, norm, out=np.full(dot.shape, np.nan), where=norm > 0)


def _by_self(m: NDArray[np.float64]) -> NDArray[np.float64]:
    own = np.where(m.diagonal() > 0, m.diagonal(), np.nan)
    return m / np.sqrt(np.outer(own, own))


def _to_unit_range(m: NDArray[np.float64], valid: NDArray[np.bool_]) -> NDArray[np.float64]:
    low = np.where(valid, m, np.inf).min(axis=1, keepdims=True, initial=np.inf)
    high = np.where(valid, m, -np.inf).max(axis=1, keepdims=True, initial=-np.inf)
    spread = high - low
    return np.divide(m - low, spread, out=np.full(m.shape, np.nan), where=spread > 0)


def _as_maps(a: ArrayLike, b: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    left, right = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if left.ndim != 2 or left.shape[0] != left.shape[1] or left.shape != right.shape:
        msg = f"maps must have one square shape (types, types), got {left.shape} and {right.shape}"
        raise ValueError(msg)
    for m in (left, right):
        if not np.allclose(m, m.T, rtol=1e-9, atol=1e-12, equal_nan=True):
            msg = "maps must be symmetric: R between two different tables is no colocalization map"
            raise ValueError(msg)
    return left, right


def _check_options(metric: str, by: str, rescale: str, *, diagonal: bool) -> None:
    faults = [
        f"{name} must be one of {allowed}, got {value!r}"
        for name, value, allowed in (
            ("metric", metric, ("cosine", "pearson")),
            ("by", by, ("rows", "pairs")),
            ("rescale", rescale, ("none", "self", "minmax")),
        )
        if value not in allowed
    ]
    if by == "pairs" and diagonal:
        faults.append("pairs lie above the diagonal: diagonal=True needs by='rows'")
    if faults:
        raise ValueError("; ".join(faults))
