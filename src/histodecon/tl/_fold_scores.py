"""Scores of predictions that a cross-validation made: of each group, fold and learner, and against the baselines."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from histodecon import stats
from histodecon._core import UndefinedMetricWarning, first_names
from histodecon.tl._folds import MEAN, Fold, groups_out
from histodecon.tl._score_parts import metrics_of, scores_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

TESTED = ("cc", "l1")


@dataclass(frozen=True)
class HeldOut:
    """What the predictions are compared with.

    Parameters
    ----------
    truth
        Targets, shape (n_obs, K), in the kind of the predictions.
    measured
        Spots with targets.
    labels, slides
        Group and slide of each spot.
    folds
        Who was left out when.
    cell_types
        Names of the columns.
    kind
        ``"abundance"`` or ``"proportion"``.
    """

    truth: NDArray[np.float64]
    measured: NDArray[np.bool_]
    labels: NDArray
    slides: NDArray
    folds: Sequence[Fold]
    cell_types: Sequence[str]
    kind: str

    def scored(self, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """Keep the rows with targets.

        Parameters
        ----------
        rows
            Numbers of spots.

        Returns
        -------
        Those with targets.
        """
        return rows[self.measured[rows]]


@dataclass(frozen=True)
class LearnerScores:
    """Scores of one learner.

    Parameters
    ----------
    rows
        One row a fold, then their mean.
    per_group
        Mean over cell types of each score, one row a group.
    cc
        Of each group and cell type, shape (groups, K).
    """

    rows: pd.DataFrame
    per_group: pd.DataFrame
    cc: NDArray[np.float64]


def score_learner(given: HeldOut, name: str, predicted: NDArray) -> LearnerScores:
    """Score the predictions of one learner.

    Parameters
    ----------
    given
        What they are compared with.
    name
        The learner.
    predicted
        Shape (n_obs, K).

    Returns
    -------
    The scores.
    """
    metrics = metrics_of(given.kind)
    groups = list(groups_out(given.labels, given.folds))
    tables = [_table(given, predicted, given.scored(rows)) for _, _, rows in groups]
    per_group = pd.DataFrame([table.loc[MEAN] for table in tables]).reset_index(drop=True)
    per_group["fold"] = [fold.name for fold, _, _ in groups]
    rows = [_row(given, name, predicted, fold, per_group[per_group["fold"] == fold.name]) for fold in given.folds]
    whole = Fold(MEAN, (), np.empty(0, np.intp), np.concatenate([fold.test for fold in given.folds]))
    last = _row(given, name, predicted, whole, per_group) | {"n_train": sum(row["n_train"] for row in rows)}
    cc = np.stack([table.loc[list(given.cell_types), "cc"].to_numpy() for table in tables])
    return LearnerScores(pd.DataFrame([*rows, last]), per_group[metrics], cc)


def _table(given: HeldOut, predicted: NDArray, rows: NDArray[np.intp]) -> pd.DataFrame:
    return scores_of(given.truth[rows], predicted[rows], given.cell_types, given.kind)


def _row(given: HeldOut, name: str, predicted: NDArray, fold: Fold, per_group: pd.DataFrame) -> dict[str, Any]:
    rows = given.scored(fold.test)
    units = [rows[given.slides[rows] == slide] for slide in sorted(set(given.slides[rows]))]
    slides = [_table(given, predicted, own).loc[MEAN, "cc"] for own in units]
    means = per_group.mean(numeric_only=True)
    return {
        "fold": fold.name,
        "learner": name,
        "cc": means["cc"],
        "n_defined": int(per_group["n_defined"].sum()),
        "l1": means["l1"],
        "n_train": len(fold.train),
        "n_test": len(rows),
        "cc_slides": float(pd.Series(slides, dtype=float).mean()),
        "cc_pooled": _table(given, predicted, rows).loc[MEAN, "cc"],
        **{metric: means[metric] for metric in metrics_of(given.kind) if metric not in TESTED},
    }


def join_scores(scores: Mapping[str, LearnerScores], learner: str) -> pd.DataFrame:
    """Put learners below each other, and beside each baseline how the learner compares with it.

    Parameters
    ----------
    scores
        Of each learner.
    learner
        The one that the others are baselines of.

    Returns
    -------
    All folds of all learners, then the means; ``cc_difference``, ``cc_p``, ``l1_difference``, ``l1_p`` and ``smallest_p`` in
    the means of baselines.
    """
    table = pd.concat([one.rows for one in scores.values()], ignore_index=True)
    last = table["fold"] == MEAN
    table = pd.concat([table[~last], table[last]], ignore_index=True)
    own = scores[learner].per_group
    for name, one in scores.items():
        if name == learner:
            continue
        here = (table["learner"] == name) & (table["fold"] == MEAN)
        test = stats.paired_test(own[list(TESTED)].to_numpy(), one.per_group[list(TESTED)].to_numpy())
        for i, metric in enumerate(TESTED):
            table.loc[here, f"{metric}_difference"] = test.difference[i]
            table.loc[here, f"{metric}_p"] = test.p[i]
        table.loc[here, "smallest_p"] = np.nanmin(test.smallest_p)
    return table


def cc_by_fold(given: HeldOut, scores: LearnerScores) -> NDArray[np.float64]:
    """Average the CC of each cell type over the groups of each fold.

    Parameters
    ----------
    given
        What was compared.
    scores
        Of a learner.

    Returns
    -------
    Shape (folds, K).
    """
    of = np.array([fold.name for fold, _, _ in groups_out(given.labels, given.folds)])
    return np.stack([pd.DataFrame(scores.cc[of == fold.name]).mean().to_numpy() for fold in given.folds])


def warn_undefined(given: HeldOut, name: str, scores: LearnerScores) -> None:
    """Name the cell types of each group that have no CC.

    Parameters
    ----------
    given
        What was compared.
    name
        The learner.
    scores
        Its scores.

    Warns
    -----
    UndefinedMetricWarning
        Some have none.
    """
    groups = [group for _, group, _ in groups_out(given.labels, given.folds)]
    blank = {
        group: [type_ for type_, r in zip(given.cell_types, row, strict=True) if np.isnan(r)]
        for group, row in zip(groups, scores.cc, strict=True)
    }
    listed = [f"{group}: {len(names)} ({first_names(names)})" for group, names in blank.items() if names]
    if listed:
        more = f"; and {len(listed) - 5} more groups" if len(listed) > 5 else ""
        warnings.warn(
            f"CC of {name!r} is undefined (NaN) for cell types without variance, of {len(given.cell_types)}: "
            f"{'; '.join(listed[:5])}{more}. Means are over the others.",
            UndefinedMetricWarning,
            stacklevel=3,
        )
