"""Which groups are left out together, and that none of them is in the training as well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from histodecon import stats
from histodecon._core import InputError, first_names

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from histodecon.tl._training_data import TrainingData

SHARED_ROWS = 0.5


@dataclass(frozen=True)
class Fold:
    """One fold.

    Parameters
    ----------
    name
        Of the groups left out.
    train
        Rows with targets of the other groups.
    test
        All rows of the groups left out, with or without targets.
    """

    name: str
    train: NDArray[np.intp]
    test: NDArray[np.intp]


def make_folds(
    labels: NDArray,
    measured: NDArray[np.bool_],
    *,
    n_folds: int | None,
    folds: Mapping[str, Sequence[str]] | None,
    random_state: int,
) -> list[Fold]:
    """Decide which groups are left out together.

    Parameters
    ----------
    labels
        Group of each spot, shape (n_obs,).
    measured
        Spots with targets.
    n_folds
        Folds of whole groups, about equally large; None leaves each group out once.
    folds
        Groups of each fold by its name, instead.
    random_state
        Seed of ``n_folds``.

    Returns
    -------
    The folds.

    Raises
    ------
    InputError
        A group is unknown or in two folds, or there are fewer groups than folds.
    """
    present = sorted(set(labels[measured].tolist()))
    if folds is not None:
        return [
            _fold(name, groups, labels, measured) for name, groups in _checked(folds, n_folds, present, labels).items()
        ]
    if n_folds is None:
        return [_fold(name, [name], labels, measured) for name, _, _ in stats.leave_one_group_out(labels[measured])]
    if isinstance(n_folds, bool) or not 2 <= n_folds <= len(present):
        msg = f"n_folds must be from 2 to the number of groups, {len(present)}, got {n_folds!r}"
        raise InputError(msg, fix="leave it out to leave every group out once", code="BI-68")
    rows = np.flatnonzero(measured)
    found = stats.group_k_fold(labels[rows], n_folds, random_state=random_state)
    return [_fold(name, sorted(set(labels[rows[test]].tolist())), labels, measured) for name, _, test in found]


def _fold(name: str, groups: Sequence[str], labels: NDArray, measured: NDArray[np.bool_]) -> Fold:
    out = np.isin(labels.astype(str), np.asarray(list(groups), dtype=str))
    return Fold(str(name), np.flatnonzero(measured & ~out), np.flatnonzero(out))


def _checked(
    folds: Mapping[str, Sequence[str]], n_folds: int | None, present: Sequence[str], labels: NDArray
) -> dict[str, list[str]]:
    if n_folds is not None:
        msg = "Both `folds` and `n_folds` are given"
        raise InputError(msg, fix="leave one of them out", code="BI-68")
    given = {
        str(name): [groups] if isinstance(groups, str) else [str(one) for one in groups]
        for name, groups in folds.items()
    }
    named = [group for groups in given.values() for group in groups]
    unknown = [group for group in named if group not in set(labels.astype(str).tolist())]
    twice = sorted({group for group in named if named.count(group) > 1})
    empty = [name for name, groups in given.items() if not set(groups) & set(present)]
    alone = [name for name, groups in given.items() if set(present) <= set(groups)]
    for wrong, what in (
        (unknown, "Folds name groups that are not there"),
        (twice, "A group is in two folds"),
        (empty, "A fold leaves out no group with targets"),
        (alone, "A fold leaves nothing to train on"),
    ):
        if wrong or not given:
            msg = f"{what}: {first_names(wrong)}" if given else "There are no folds"
            raise InputError(msg, where=f"groups with targets: {first_names(present, 8)}", code="BI-68")
    return given


def check_groups(labels: NDArray, data: TrainingData, groupby: str) -> None:
    """Refuse fewer than two groups, and groups that hold each other's spots.

    Parameters
    ----------
    labels
        Group of each spot.
    data
        What is learned from.
    groupby
        Name of the column, for errors.

    Raises
    ------
    InputError
        There are fewer than two groups with targets, or two hold the same spots.
    """
    found = sorted(set(labels[data.measured]))
    if len(found) < 2:
        msg = f"Cross-validation needs two groups with targets in obs[{groupby!r}], found {len(found)}"
        raise InputError(
            msg,
            where=first_names(found),
            why="a model is only tested on a patient it never saw",
            fix='add patients, or leave slides out with `groupby="library_id"`',
            code="BI-68",
        )
    for name in found:
        inside = labels == name
        _, first = np.unique(data.X[~inside], axis=0, return_index=True)
        others = {row.tobytes() for row in data.X[~inside][first]}
        shared = np.mean([row.tobytes() in others for row in data.X[inside]])
        if shared > SHARED_ROWS:
            msg = f"The group {name!r} of obs[{groupby!r}] holds the same spots as another group"
            raise InputError(
                msg,
                where=f"{shared:.0%} of its embeddings are found in other groups",
                why="a model would be tested on what it was trained on",
                fix="give one patient one name, or remove the slide that is there twice",
                code="BI-69",
            )
