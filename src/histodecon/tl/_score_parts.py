"""What stands beside a score: how sure it is, and how it compares with a baseline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from histodecon import stats
from histodecon.tl._compared_tables import MEAN, ComparedTables

if TYPE_CHECKING:
    from numpy.typing import NDArray

SUMMED = frozenset({"l1_shares"})
PER_GROUP = 10

Drawn = dict[str, "NDArray[np.float64]"]


@dataclass(frozen=True)
class Resampling:
    """How intervals are made.

    Parameters
    ----------
    n_boot
        Draws of spots; ten times as many of groups.
    level
        Coverage aimed at.
    blocks
        Block of each spot, shape (n_obs,), or None.
    random_state
        Seed.
    """

    n_boot: int
    level: float
    blocks: NDArray | None
    random_state: int


def metrics_of(kind: str) -> list[str]:
    """List the scores of a kind of table.

    Parameters
    ----------
    kind
        ``"abundance"`` or ``"proportion"``.

    Returns
    -------
    Names of columns, in order.
    """
    names = ["cc", "spearman", "l1", "l1_shares", "rmse", "jsd"]
    return names if kind == "proportion" else names[:-1]


def scores_of(truth: NDArray, predicted: NDArray, names: Sequence[str], kind: str) -> pd.DataFrame:
    """Score the cell types of one group, with their mean.

    Parameters
    ----------
    truth, predicted
        Shape (n, K).
    names
        Cell types.
    kind
        ``"abundance"`` or ``"proportion"``.

    Returns
    -------
    Scores, ``n`` and ``n_defined``; last row ``mean``.
    """
    table = stats.score_table(truth, predicted, names)[[*metrics_of(kind), "n"]]
    table["n_defined"] = table["cc"].notna().astype(int)
    row = table.mean(axis=0, skipna=True)
    for name in SUMMED:
        row[name] = table[name].sum(min_count=1)
    row["n"], row["n_defined"] = table["n"].max(), table["cc"].notna().sum()
    table.loc[MEAN] = row
    return table.astype({"n": int, "n_defined": int})


def add_parts(
    scores: pd.DataFrame, tables: ComparedTables, groupby: str | None, how: Resampling | None
) -> pd.DataFrame:
    """Put baseline, differences, p and intervals beside the scores.

    Parameters
    ----------
    scores
        Index (group, cell type), groups in order, then the means over groups.
    tables
        What was scored.
    groupby
        Column of the groups, or None for one.
    how
        How intervals are made, or None for none.

    Returns
    -------
    The scores with more columns.
    """
    metrics = metrics_of(tables.kind)
    grouped = groupby is not None
    parts = {"": scores[metrics].to_numpy()}
    if tables.baseline is not None:
        beside = _scores_like(tables, tables.baseline, means=grouped)
        parts |= {"_baseline": beside, "_difference": parts[""] - beside}
    columns: dict[str, NDArray] = {}
    spots = dict(_spot_intervals(tables, metrics, how, means=grouped)) if how is not None else {}
    for i, metric in enumerate(metrics):
        for suffix, values in parts.items():
            if suffix:
                columns[metric + suffix] = values[:, i]
            if suffix == "_baseline":
                continue
            if suffix and grouped:
                columns[f"{metric}_p"] = _p(parts[""][:, i], parts["_baseline"][:, i], tables)
            if how is not None:
                low, high = spots[metric + suffix]
                columns |= {f"{metric}{suffix}_spots_low": low, f"{metric}{suffix}_spots_high": high}
            if how is not None and grouped:
                low, high = _group_interval(values[:, i], tables, how)
                columns |= {f"{metric}{suffix}_groups_low": low, f"{metric}{suffix}_groups_high": high}
    return scores.assign(**columns)


def _scores_like(tables: ComparedTables, predicted: NDArray, *, means: bool) -> NDArray[np.float64]:
    """Scores of another prediction, rows as those of the first."""
    metrics = metrics_of(tables.kind)
    own = []
    for group in tables.groups:
        rows = tables.rows(group)
        own.append(scores_of(tables.truth[rows], predicted[rows], tables.names, tables.kind)[metrics].to_numpy())
    return np.concatenate([*own, _nanmean(np.stack(own))] if means else own)


def _per_group(values: NDArray, tables: ComparedTables) -> NDArray[np.float64]:
    """Cut a column of scores into (groups, cell types and their mean)."""
    return values[: len(tables.groups) * (len(tables.names) + 1)].reshape(len(tables.groups), -1)


def _in_mean_rows(values: NDArray, found: NDArray) -> NDArray[np.float64]:
    """A column that is NaN but in the rows of means over groups."""
    column = np.full(len(values), np.nan)
    column[len(values) - len(found) :] = found
    return column


def _p(first: NDArray, second: NDArray, tables: ComparedTables) -> NDArray[np.float64]:
    test = stats.paired_test(_per_group(first, tables), _per_group(second, tables))
    return _in_mean_rows(first, test.p)


def _group_interval(values: NDArray, tables: ComparedTables, how: Resampling) -> tuple[NDArray, NDArray]:
    own = _per_group(values, tables)
    drawn = stats.bootstrap_groups(own, n_boot=PER_GROUP * how.n_boot, random_state=how.random_state)
    low, high = stats.group_interval(drawn, np.isfinite(own).sum(axis=0), level=how.level)
    return _in_mean_rows(values, low), _in_mean_rows(values, high)


def _spot_intervals(
    tables: ComparedTables, metrics: Sequence[str], how: Resampling, *, means: bool
) -> Iterator[tuple[str, tuple[NDArray, NDArray]]]:
    """Bounds of each score, and of its difference from the baseline, over the spots drawn within each group."""
    seeds = np.random.SeedSequence(how.random_state).spawn(len(tables.groups))
    bounds: dict[str, list[tuple[NDArray, NDArray]]] = {}
    total: Drawn = {}
    count: Drawn = {}
    for group, seed in zip(tables.groups, seeds, strict=True):
        for name, values in _drawn(tables, group, metrics, how, seed).items():
            bounds.setdefault(name, []).append(stats.percentile_interval(values, level=how.level))
            known = np.isfinite(values)
            total[name] = total.get(name, 0.0) + np.where(known, values, 0.0)
            count[name] = count.get(name, 0.0) + known
    for name, pairs in bounds.items():
        if means:
            over = np.divide(total[name], count[name], out=np.full(total[name].shape, np.nan), where=count[name] > 0)
            pairs.append(stats.percentile_interval(over, level=how.level))
        yield name, (np.concatenate([low for low, _ in pairs]), np.concatenate([high for _, high in pairs]))


def _drawn(
    tables: ComparedTables, group: str, metrics: Sequence[str], how: Resampling, seed: np.random.SeedSequence
) -> Drawn:
    rows = tables.rows(group)
    blocks = None if how.blocks is None else how.blocks[rows]

    def draw(predicted: NDArray) -> Drawn:  # the same seed draws the same spots
        pair = tables.truth[rows], predicted[rows]
        return _with_mean(
            stats.bootstrap_scores(*pair, scores=metrics, blocks=blocks, n_boot=how.n_boot, random_state=seed)
        )

    first = draw(tables.predicted)
    if tables.baseline is None:
        return first
    second = draw(tables.baseline)
    return first | {f"{name}_difference": first[name] - second[name] for name in metrics}


def _with_mean(drawn: Mapping[str, NDArray]) -> Drawn:
    whole = {}
    for name, values in drawn.items():
        over = np.where(np.isfinite(values).any(axis=1), np.nansum(values, axis=1), np.nan)
        over = over if name in SUMMED else _nanmean(values.T)
        whole[name] = np.column_stack([values, over])
    return whole


def _nanmean(values: NDArray) -> NDArray[np.float64]:
    """Mean over the first axis of what is known."""
    known = np.isfinite(values)
    total, count = np.where(known, values, 0.0).sum(axis=0), known.sum(axis=0)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
