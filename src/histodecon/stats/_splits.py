"""Splits that keep a group (a patient, a slide) whole."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

Split = tuple[str, NDArray[np.intp], NDArray[np.intp]]


def leave_one_group_out(groups: ArrayLike) -> Iterator[Split]:
    """Hold out each group once.

    Parameters
    ----------
    groups
        Group of each row, shape (n,).

    Returns
    -------
    Iterator of (name of the group held out, training rows, test rows), in the order of the sorted names.

    Raises
    ------
    ValueError
        With missing group names or fewer than two groups.
    """
    names, codes = _encode(groups, at_least=2)
    return ((name, np.flatnonzero(codes != code), np.flatnonzero(codes == code)) for code, name in enumerate(names))


def group_k_fold(groups: ArrayLike, n_splits: int, *, random_state: int = 0) -> Iterator[Split]:
    """Hold out whole groups in folds of about equal numbers of rows.

    Parameters
    ----------
    groups
        Group of each row, shape (n,).
    n_splits
        Number of folds, from 2 to the number of groups.
    random_state
        Seed that settles which of equally large groups comes first.

    Returns
    -------
    Iterator of (names of the groups held out joined by ``+``, training rows, test rows).

    Raises
    ------
    ValueError
        With missing group names, or fewer groups than folds.
    """
    if n_splits < 2:
        msg = f"n_splits must be at least 2, got {n_splits}"
        raise ValueError(msg)
    names, codes = _encode(groups, at_least=n_splits)
    sizes = np.bincount(codes, minlength=len(names))
    shuffled = np.random.default_rng(random_state).permutation(len(names))
    fold_of = np.empty(len(names), dtype=np.intp)
    rows = np.zeros(n_splits, dtype=np.intp)
    for group in shuffled[np.argsort(-sizes[shuffled], kind="stable")]:  # the largest group to the emptiest fold
        fold_of[group] = rows.argmin()
        rows[fold_of[group]] += sizes[group]
    return (
        (
            "+".join(name for name, of in zip(names, fold_of, strict=True) if of == fold),
            np.flatnonzero(fold_of[codes] != fold),
            np.flatnonzero(fold_of[codes] == fold),
        )
        for fold in range(n_splits)
    )


def _encode(groups: ArrayLike, *, at_least: int) -> tuple[list[str], NDArray[np.intp]]:
    import pandas as pd

    values = pd.Series(groups).reset_index(drop=True)
    if values.isna().any():
        msg = f"groups has {int(values.isna().sum())} missing names of {len(values)}"
        raise ValueError(msg)
    names, codes = np.unique(values.astype(str).to_numpy(dtype=str), return_inverse=True)
    if len(names) < at_least:
        msg = f"need at least {at_least} groups, found {len(names)}: {list(map(str, names))}"
        raise ValueError(msg)
    return [str(name) for name in names], codes
