"""The numbers behind a picture of scores: bars, dots and bounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from histodecon._core import InputError, first_names
from histodecon.pl._figure import choose

if TYPE_CHECKING:
    from anndata import AnnData

MEAN = "mean"
METRICS = {
    "cc": "CC (Pearson over spots)",
    "spearman": "Spearman correlation",
    "l1": "L1, mean |error|",
    "l1_shares": "L1 of proportions",
    "rmse": "RMSE",
    "jsd": "Jensen-Shannon divergence, bits",
}
BY = ("cell_type", "group")
_SUMMED = {"l1_shares"}


def read_series(
    adata: AnnData, labels: Mapping[str, str], metric: str, by: str, cell_types: str | Sequence[str] | None
) -> tuple[dict[str, pd.DataFrame], list[str]]:
    """Read what is drawn of each evaluation.

    Parameters
    ----------
    adata
        Where to read.
    labels
        Label of a series -> key of ``uns``.
    metric
        The score.
    by
        ``"cell_type"`` or ``"group"``.
    cell_types
        Names, or None for all.

    Returns
    -------
    Label -> table with ``bar``, ``dots``, ``low`` and ``high`` of each name, the same names in all; and what the bounds are.

    Raises
    ------
    InputError
        The metric, ``by`` or a cell type is unknown, or scores were not taken within groups.
    """
    for what, value, known in (("metric", metric, METRICS), ("by", by, BY)):
        if value not in known:
            msg = f"Unknown {what} {value!r}"
            fix = f'use `{what}="{next(iter(known))}"`'
            raise InputError(msg, where=f"known: {first_names(known, 8)}", fix=fix, code="BI-104")
    records = {label: adata.uns[key] for label, key in labels.items()}
    for label, record in records.items():
        _check(labels[label], record, metric, by)
    types = [name for record in records.values() for name in _unique(record, "cell_type")]
    names = choose(cell_types, list(dict.fromkeys(types)), "cell type")
    series, units = {}, set()
    for label, record in records.items():
        table = _frame(record, metric)
        if by == "cell_type":
            series[label], unit = _by_type(table, record)
            series[label] = series[label].reindex(names)
        else:
            series[label], unit = _by_group(table, names if cell_types is not None else None, metric)
        if series[label]["low"].notna().any():
            units.add(f"{float(record['level']):.0%} interval over {unit}")
    if by == "group":
        every = list(dict.fromkeys(name for one in series.values() for name in one.index))
        series = {label: one.reindex(every) for label, one in series.items()}
    return series, [f"lines: {'; '.join(sorted(units))}"] if units else []


def _check(key: str, record: Mapping[str, Any], metric: str, by: str) -> None:
    if metric not in record["scores"]:
        msg = f"uns[{key!r}] has no {metric!r}"
        where = f"{record['kind']}s have: {first_names([name for name in METRICS if name in record['scores']], 8)}"
        raise InputError(msg, where=where, fix='use `metric="cc"`', code="BI-104")
    if by == "group" and not record["groupby"]:
        msg = f"The scores of uns[{key!r}] were not taken within groups"
        fix = '`histodecon.tl.evaluate(adata, groupby="patient")` beforehand'
        raise InputError(msg, where="all spots are pooled", fix=fix, code="BI-104")


def _frame(record: Mapping[str, Any], metric: str) -> pd.DataFrame:
    scores = record["scores"]
    ends = [f"{metric}_{unit}_{end}" for unit in ("spots", "groups") for end in ("low", "high")]
    table = pd.DataFrame({name: np.asarray(scores[name]) for name in ("group", "cell_type")})
    table["score"] = np.asarray(scores[metric], dtype=float)
    for name in ends:
        table[name.removeprefix(f"{metric}_")] = np.asarray(scores[name], dtype=float) if name in scores else np.nan
    return table


def _by_type(table: pd.DataFrame, record: Mapping[str, Any]) -> tuple[pd.DataFrame, str]:
    own = table[(table["cell_type"] != MEAN) & (table["group"] != MEAN)].groupby("cell_type", sort=False)["score"]
    found = pd.DataFrame({"bar": own.mean(), "dots": own.apply(np.asarray)})
    group = MEAN if record["groupby"] else table["group"].iloc[0]
    rows = table[table["group"] == group].set_index("cell_type")
    over_groups = bool(rows["groups_low"].notna().any())
    unit = "groups" if over_groups else "spots"
    found["low"], found["high"] = rows[f"{unit}_low"], rows[f"{unit}_high"]
    return found, f"groups ({record['groupby']})" if over_groups else unit


def _by_group(table: pd.DataFrame, names: Sequence[str] | None, metric: str) -> tuple[pd.DataFrame, str]:
    own = table[table["group"] != MEAN]
    rows = own[own["cell_type"] == MEAN].set_index("group")
    found = pd.DataFrame({"bar": rows["score"], "low": rows["spots_low"], "high": rows["spots_high"]})
    if names is not None:
        chosen = own[own["cell_type"].isin(names)].groupby("group", sort=False)["score"]
        found["bar"] = chosen.sum(min_count=1) if metric in _SUMMED else chosen.mean()
        found["low"] = found["high"] = np.nan
    found["dots"] = None
    return found, "spots"


def _unique(record: Mapping[str, Any], column: str) -> list[str]:
    return [name for name in dict.fromkeys(map(str, record["scores"][column])) if name != MEAN]
