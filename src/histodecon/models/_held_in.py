"""Rows that decide when a training stops."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

HELD_IN_SHARE = 0.2


def held_in_rows(groups: NDArray[np.intp], n_networks: int, rng: np.random.Generator) -> list[NDArray[np.bool_]]:
    """Choose the rows that decide when each network stops.

    Parameters
    ----------
    groups
        Group of each row, shape (n,).
    n_networks
        How many choices.
    rng
        Settles the order of groups or rows.

    Returns
    -------
    One mask of shape (n,) a network: a whole group where there are two or more, else a fifth of the rows; none where
    there are fewer than 5 rows.
    """
    n = len(groups)
    names = rng.permutation(np.unique(groups))
    if len(names) > 1:
        return [groups == names[i % len(names)] for i in range(n_networks)]
    if n < 5:
        return [np.zeros(n, dtype=bool)] * n_networks
    folds = max(2, round(1 / HELD_IN_SHARE))
    masks: list[NDArray[np.bool_]] = []
    while len(masks) < n_networks:
        fold_of = rng.permutation(np.arange(n) % folds)
        masks += [fold_of == fold for fold in range(folds)]
    return masks[:n_networks]
