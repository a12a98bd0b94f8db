"""What a regressor asks of the arrays it is given."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histodecon._core import InputError, TargetError, as_2d_float, first_names
from histodecon.models._records import EncoderRecord

MIN_ROWS = 2


def checked_inputs(X: ArrayLike) -> NDArray[np.float32]:
    """Turn embeddings into a finite float32 matrix.

    Parameters
    ----------
    X
        Any container, shape (n, d).

    Returns
    -------
    Shape (n, d).

    Raises
    ------
    InputError
        It is not a matrix, or not finite.
    """
    matrix = as_2d_float(X, "X")
    bad = ~np.isfinite(matrix).all(axis=1)
    if bad.any():
        msg = "X has values that are not finite (NaN or inf)"
        where = f"{int(bad.sum())} of {len(matrix)} rows: {first_names(np.flatnonzero(bad).tolist())}"
        raise InputError(msg, where=where, fix="embed these rows again, or leave them out", code="BI-42")
    return matrix


def checked_targets(y: ArrayLike | None, n_rows: int) -> NDArray[np.float64]:
    """Turn targets into a finite float64 matrix without negative values.

    Parameters
    ----------
    y
        Shape (n, K).
    n_rows
        Rows that are expected.

    Returns
    -------
    Shape (n, K).

    Raises
    ------
    InputError
        The shape does not fit.
    TargetError
        Some values are negative or not finite.
    """
    Y = np.asarray(y if y is not None else np.nan, dtype=np.float64)
    if Y.ndim != 2 or Y.shape[0] != n_rows or Y.shape[1] < 1:
        msg = f"y must have shape ({n_rows}, number of cell types), got {Y.shape}"
        raise InputError(msg, code="BI-64")
    if n_rows < MIN_ROWS:
        msg = f"Cannot learn from {n_rows} rows"
        raise InputError(msg, fix="give at least two spots with targets", code="BI-31")
    if not np.isfinite(Y).all():
        msg = "y has values that are not finite"
        raise TargetError(msg, where=f"{int((~np.isfinite(Y)).any(axis=1).sum())} of {n_rows} rows", code="BI-60")
    if (Y < 0).any():
        msg = "y has negative values"
        raise TargetError(msg, where=f"{int((Y < 0).any(axis=1).sum())} of {n_rows} rows", code="BI-59")
    return Y


def encoded_groups(groups: ArrayLike | None, n_rows: int) -> tuple[NDArray[np.intp], list[str]]:
    """Number the groups in the order of their sorted names.

    Parameters
    ----------
    groups
        Group of each row, or None for one group.
    n_rows
        Rows that are expected.

    Returns
    -------
    Codes of shape (n,), and the names.

    Raises
    ------
    InputError
        The length does not fit.
    """
    labels = np.zeros(n_rows, dtype=int) if groups is None else np.asarray(groups)
    if labels.shape != (n_rows,):
        msg = f"groups must have shape ({n_rows},), got {labels.shape}"
        raise InputError(msg, code="BI-68")
    names, codes = np.unique(labels.astype(str), return_inverse=True)
    return codes.astype(np.intp), [] if groups is None else [str(name) for name in names]


def refuse_dead_encoders(X: NDArray, records: Sequence[EncoderRecord]) -> None:
    """Refuse an encoder whose output hardly differs between rows.

    Parameters
    ----------
    X
        Training rows.
    records
        Encoders in order.

    Raises
    ------
    InputError
        More than half of the columns of one encoder are constant.
    """
    constant = np.ptp(X, axis=0) == 0
    start = 0
    for record in records:
        share = float(constant[start : start + record.width].mean())
        start += record.width
        if share > 0.5:
            msg = f"The embedding {record.key!r} is the same for every spot"
            raise InputError(
                msg,
                where=f"{share:.0%} of {record.width} columns are constant over {len(X)} rows",
                why="nothing can be learned from it: black tiles, a wrong image, or an encoder without weights",
                fix="look at the tiles with `histodecon.pl.tiles(data)`",
                code="BI-43",
            )


def checked_types(cell_types: Sequence[str] | None, n_types: int) -> tuple[str, ...]:
    """Name the columns of the targets.

    Parameters
    ----------
    cell_types
        Names, or None.
    n_types
        Columns.

    Returns
    -------
    The names.

    Raises
    ------
    InputError
        Their number is wrong or one stands twice.
    """
    types = tuple(f"type_{i}" for i in range(n_types)) if cell_types is None else tuple(map(str, cell_types))
    if len(types) != n_types or len(set(types)) != n_types:
        msg = f"cell_types must be {n_types} different names"
        raise InputError(msg, where=f"{len(types)}: {first_names(types)}", code="BI-64")
    return types
