"""Which groups are left out together, and that none of them is in the training as well."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from histodecon import stats
from histodecon._core import DroppedSpotsWarning, InputError, NamingError, first_names, obs_column

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray

    from histodecon.tl._training_data import TrainingData

MEAN = "mean"
SHARED_ROWS = 0.5


@dataclass(frozen=True)
class Fold:
    """One fold.

    Parameters
    ----------
    name
        Of the groups left out.
    groups
        Those with targets.
    train
        Rows with targets of the other groups.
    test
        All rows of the groups left out, with or without targets.
    """

    name: str
    groups: tuple[str, ...]
    train: NDArray[np.intp]
    test: NDArray[np.intp]


def folds_of_column(adata: AnnData, column: str, labels: NDArray) -> dict[str, list[str]]:
    """Read which groups are left out together.

    Parameters
    ----------
    adata
        Where to read.
    column
        Column of ``obs`` with the fold of each spot.
    labels
        Group of each spot, shape (n_obs,).

    Returns
    -------
    Groups of each fold; a group whose spots are in several is in the list of each.

    Raises
    ------
    MissingKeyError
        The column is absent.
    """
    pairs = sorted(set(zip(obs_column(adata, column).tolist(), labels.tolist(), strict=True)))
    return {fold: [group for other, group in pairs if other == fold] for fold, _ in pairs}


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
    NamingError
        A fold or group is called ``mean``.

    Warns
    -----
    DroppedSpotsWarning
        A group is in no fold.
    """
    made = _made(labels, measured, n_folds, folds, random_state)
    if MEAN in {name for fold in made for name in (fold.name, *fold.groups)}:
        msg = f"A fold or group is called {MEAN!r}"
        raise NamingError(msg, why=f"the row {MEAN!r} holds the mean", fix="rename it", code="BI-66")
    left = sorted(set(labels[measured].tolist()) - {group for fold in made for group in fold.groups})
    if left:
        text = f"{len(left)} groups are in no fold and never predicted, only trained on: {first_names(left)}."
        warnings.warn(text, DroppedSpotsWarning, stacklevel=3)
    return made


def _made(
    labels: NDArray,
    measured: NDArray[np.bool_],
    n_folds: int | None,
    folds: Mapping[str, Sequence[str]] | None,
    random_state: int,
) -> list[Fold]:
    present = sorted(set(labels[measured].tolist()))
    if folds is not None:
        given = _checked(folds, n_folds, present, labels)
        return [_fold(name, groups, labels, measured) for name, groups in given.items()]
    if n_folds is None:
        return [_fold(name, [name], labels, measured) for name, _, _ in stats.leave_one_group_out(labels[measured])]
    if isinstance(n_folds, bool) or not isinstance(n_folds, (int, np.integer)) or not 2 <= n_folds <= len(present):
        msg = f"n_folds must be from 2 to the number of groups, {len(present)}, got {n_folds!r}"
        raise InputError(msg, fix="leave it out to leave every group out once", code="BI-68")
    rows = np.flatnonzero(measured)
    found = stats.group_k_fold(labels[rows], n_folds, random_state=random_state)
    return [_fold(name, sorted(set(labels[rows[test]].tolist())), labels, measured) for name, _, test in found]


def _fold(name: str, groups: Sequence[str], labels: NDArray, measured: NDArray[np.bool_]) -> Fold:
    out = np.isin(labels.astype(str), np.asarray(list(groups), dtype=str))
    known = tuple(sorted(set(labels[measured & out].tolist())))
    return Fold(str(name), known, np.flatnonzero(measured & ~out), np.flatnonzero(out))


def _checked(
    folds: Mapping[str, Sequence[str]], n_folds: int | None, present: Sequence[str], labels: NDArray
) -> dict[str, list[str]]:
    if n_folds is not None:
        msg = "Both `folds` and `n_folds` are given"
        raise InputError(msg, fix="leave one of them out", code="BI-68")
    if not isinstance(folds, Mapping):
        msg = f"folds is a dict from names to lists of groups, or a column of obs, not a {type(folds).__name__}"
        raise InputError(msg, fix='`folds={"1": ["A", "B"], "2": ["C", "D"]}`', code="BI-68")
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
    """Refuse fewer than two groups.

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
        There are fewer than two groups with targets.
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


def check_leaks(labels: NDArray, X: NDArray, folds: Sequence[Fold], groupby: str) -> None:
    """Refuse a group whose spots stand in groups of other folds as well.

    Parameters
    ----------
    labels
        Group of each spot.
    X
        Embeddings, shape (n_obs, d).
    folds
        The folds.
    groupby
        Name of the column, for errors.

    Raises
    ------
    InputError
        More than half of the embeddings of a group are found, to the last bit, among the spots it is not left out with.
    """
    known: dict[bytes, int] = {}
    codes = np.array([known.setdefault(row.tobytes(), len(known)) for row in X])
    for fold, group, rows in groups_out(labels, folds):
        others = np.delete(codes, fold.test)
        shared = float(np.isin(codes[rows], others).mean())
        if shared > SHARED_ROWS:
            msg = f"The group {group!r} of obs[{groupby!r}] holds the same spots as another group"
            raise InputError(
                msg,
                where=f"{shared:.0%} of its embeddings are found in other groups",
                why="a model would be tested on what it was trained on",
                fix="give one patient one name, or remove the slide that is there twice",
                code="BI-69",
            )


def groups_out(labels: NDArray, folds: Sequence[Fold]) -> Iterator[tuple[Fold, str, NDArray[np.intp]]]:
    """Walk over the groups that are left out.

    Parameters
    ----------
    labels
        Group of each spot.
    folds
        The folds.

    Yields
    ------
    Fold, group, and all rows of the group.
    """
    for fold in folds:
        for group in fold.groups:
            yield fold, group, np.flatnonzero(labels == group)
