"""Scores from several sources as one long table: set, unit, series, score."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from histodecon._core import InputError, MissingKeyError, closest_names, first_names

MEAN = "mean"
POOLED = "all"
COLUMNS = ("set", "unit", "series", "score")


def read_scores(
    scores: pd.DataFrame | Mapping[str, Any], *, by: str, unit: str, series: str | None, metric: str
) -> pd.DataFrame:
    """Bring scores into one form.

    Parameters
    ----------
    scores
        A long table, a record of ``tl.compare_learners``, or a mapping from the name of a set to what ``tl.cross_validate`` or
        ``tl.evaluate`` gave.
    by, unit, series, metric
        Columns of a long table; of a mapping only ``metric`` is read.

    Returns
    -------
    Columns ``set``, ``unit``, ``series``, ``score``; one row a set, unit and series, means over repeated rows.

    Raises
    ------
    MissingKeyError
        A column is absent.
    InputError
        There are no scores, or not of single patients.
    """
    if isinstance(scores, Mapping) and isinstance(scores.get("scores"), Mapping) and "encoders" in scores["scores"]:
        scores = pd.DataFrame({str(name): np.asarray(values) for name, values in scores["scores"].items()})
        alone = scores["encoders"].nunique() == 1
        by, unit, series = ("learner", "test", None) if alone else ("encoders", "test", "learner")
    if isinstance(scores, pd.DataFrame):
        found = _of_long(scores, by, unit, series, metric)
    elif isinstance(scores, Mapping) and scores:
        found = pd.concat([_of_one(str(name), one, metric) for name, one in scores.items()], ignore_index=True)
    else:
        msg = f"scores must be a DataFrame or a dict from name to scores, got {type(scores).__name__}"
        fix = '`{"UNI": tl.cross_validate(...), "CONCH": tl.cross_validate(...)}`'
        raise InputError(msg, fix=fix, code="BI-104")
    if not np.isfinite(found["score"].astype(float)).any():
        msg = f"There is no {metric!r} to draw"
        raise InputError(msg, where=f"{len(found)} rows", why="none has a value", code="BI-104")
    found["score"] = found["score"].astype(float)
    order = {name: list(dict.fromkeys(found[name])) for name in COLUMNS[:3]}
    found = found.groupby(list(COLUMNS[:3]), sort=False)["score"].mean().reset_index()
    return found.sort_values(list(COLUMNS[:3]), key=lambda one: one.map(order[one.name].index), kind="stable")


def _of_long(table: pd.DataFrame, by: str, unit: str, series: str | None, metric: str) -> pd.DataFrame:
    wanted = {"by": by, "unit": unit, "metric": metric} | ({} if series is None else {"series": series})
    absent = {what: name for what, name in wanted.items() if name not in table.columns}
    if absent:
        columns = [str(name) for name in table.columns]
        what, name = next(iter(absent.items()))
        fix = closest_names(name, columns) or f'`{what}="{columns[0] if columns else "..."}"`'
        msg = f"The table has no column {name!r}"
        raise MissingKeyError(msg, where=f"it has: {first_names(columns, 8)}", fix=fix, code="BI-104")
    hue = table[series].astype(str) if series is not None else ""
    parts = {"set": table[by].astype(str), "unit": table[unit].astype(str), "series": hue, "score": table[metric]}
    found = pd.DataFrame(parts)
    return found[found["unit"] != MEAN]


def _of_one(name: str, one: Any, metric: str) -> pd.DataFrame:
    """The scores of single patients from one result of ``tl``."""
    if isinstance(one, Mapping) and "scores" in one:
        one = pd.DataFrame({column: np.asarray(values) for column, values in one["scores"].items()})
    if isinstance(one, pd.DataFrame) and one.index.nlevels == 2:
        one = one.rename_axis(["group", "cell_type"]).reset_index()
    if not isinstance(one, pd.DataFrame):
        msg = f"{name!r} holds no scores but {type(one).__name__}"
        fix = 'what `tl.cross_validate` or `tl.evaluate(groupby="patient")` returned'
        raise InputError(msg, fix=fix, code="BI-104")
    if {"fold", "learner"} <= set(one.columns):
        own, unit, series = one, "fold", one["learner"].astype(str)
    elif {"group", "cell_type"} <= set(one.columns) and not (one["group"] == POOLED).all():
        own, unit = one[one["cell_type"] == MEAN], "group"
        series = pd.Series("", index=own.index)
    else:
        msg = f"{name!r} has no scores of single patients"
        fix = '`tl.evaluate(adata, groupby="patient")`, or hand in a long table with `by=` and `unit=`'
        raise InputError(
            msg, where=f"its columns: {first_names(list(map(str, one.columns)), 8)}", fix=fix, code="BI-104"
        )
    if metric not in own.columns:
        msg = f"{name!r} has no {metric!r}"
        where = f"it has: {first_names(list(map(str, own.columns)), 8)}"
        raise MissingKeyError(msg, where=where, fix='`metric="cc"`', code="BI-104")
    found = pd.DataFrame({"set": name, "unit": own[unit].astype(str), "series": series, "score": own[metric]})
    return found[found["unit"] != MEAN]
