"""All folds at once, for learners that know how."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sklearn.base import clone

from histodecon._core import HistodeconWarning
from histodecon.models._checks import checked_inputs, refuse_dead_encoders
from histodecon.models._fit_fold import Done, FoldData, Task
from histodecon.models._given import gather
from histodecon.models._learners import FitContext, Learner, get_learner
from histodecon.models._many_fits import ManyFits

if TYPE_CHECKING:
    from histodecon.models._given import Given
    from histodecon.models._regressor import AbundanceRegressor


def fit_at_once(model: AbundanceRegressor, data: FoldData, todo: Sequence[Task]) -> list[Done] | None:
    """Fit copies of a regressor to many training sets at once.

    Parameters
    ----------
    model, data
        As in ``fit_fold``.
    todo
        The folds.

    Returns
    -------
    What ``fit_fold`` returns for each, or None where the learner wants them one by one.
    """
    learner = get_learner(model.learner).build(model.params)
    if type(learner).fit_many is Learner.fit_many or len(todo) < 2 or data.neighbors is not None or learner.reads_genes:
        return None
    given = [_given(model, data, task) for task in todo]
    counts = [one.counts for one in given if one.counts is not None]
    problem = ManyFits(
        X=checked_inputs(data.X),
        rows=[task.rows for task in todo],
        targets=[one.transformed for one in given],
        groups=[one.codes for one in given],
        weights=counts or None,
        context=FitContext(model.random_state, model.device, model.show_progress_bar),
        stretch=given[0].stretch,
    )
    _refuse_dead(problem, given)
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always", HistodeconWarning)
        learners = learner.fit_many(problem)
    if learners is None:
        return None
    told = [(one.category, str(one.message)) for one in heard if issubclass(one.category, HistodeconWarning)]
    done: list[Done] = []
    for fit, (task, one, learned) in enumerate(zip(todo, given, learners, strict=True)):
        fitted = clone(model)
        fitted._set_scales(problem.input_scale(fit), one.target_scale)
        done.append((task.number, fitted._adopt(learned, one), told))
    return done


def _given(model: AbundanceRegressor, data: FoldData, task: Task) -> Given:
    groups = None if data.groups is None else data.groups[task.rows]
    shape = (len(task.rows), data.X.shape[1])
    return gather(model, shape, data.y[task.rows], groups=groups, weights=task.weights, **data.facts)


def _refuse_dead(problem: ManyFits, given: Sequence[Given]) -> None:
    if not problem.few_parts:
        return
    lowest, highest = problem.bounds
    for fit, one in enumerate(given):
        parts = problem.parts(fit)
        if (lowest[parts].min(axis=0) == highest[parts].max(axis=0)).mean() > 0:
            refuse_dead_encoders(problem.X[problem.rows[fit]], one.records)
