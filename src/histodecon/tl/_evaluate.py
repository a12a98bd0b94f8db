"""Scores of one abundance table against another."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from histodecon import stats
from histodecon._core import (
    UNITS,
    AlignmentError,
    DroppedSpotsWarning,
    InputError,
    Key,
    NamingError,
    UndefinedMetricWarning,
    doc,
    first_names,
    note_where_results_go,
    obs_column,
    read_table,
    require_spots,
    table_kind,
    table_of,
)
from histodecon.tl._checks import require_safe_key

if TYPE_CHECKING:
    from anndata import AnnData

MEAN = "mean"
ALL = "all"


@doc
def evaluate(
    adata: AnnData,
    *,
    truth: str = Key.obsm.TARGETS,
    predicted: str = Key.obsm.PREDICTED,
    groupby: str | None = None,
    key_added: str = Key.uns.EVALUATION,
) -> pd.DataFrame:
    """Score predicted against measured abundances, cell type by cell type.

    Cell types are matched by name, spots by barcode. A spot that lacks a value in
    either table is left out of that cell type; spots without any are counted.

    Parameters
    ----------
    %(adata)s
    truth
        Key of ``obsm`` with the measured table.
    predicted
        Key of ``obsm`` with the predicted table.
    groupby
        Column of ``obs``, such as ``"patient"``: scores within each group and their mean over groups.
        By default all spots are pooled.
    key_added
        Name in ``uns`` under which the scores are stored.

    Returns
    -------
    One row a cell type and a last row ``mean``. Columns: ``cc`` (Pearson over spots), ``spearman``, ``l1`` (mean absolute
    error) and ``rmse`` in the unit of the table, ``jsd`` (bits, proportions only), ``n`` (spots) and ``n_defined``
    (how many CC the row rests on). With ``groupby`` the index is (group, cell type), each group ends in its
    ``mean`` over cell types, and a last group ``mean`` averages the groups.

    Raises
    ------
    MissingKeyError
        A table or the column is absent.
    AlignmentError
        The tables do not name the same cell types.
    InputError
        One table holds abundances and the other proportions, or no spot has both.

    Warns
    -----
    UndefinedMetricWarning
        Some cell types have no variance: their CC is NaN and the mean is over the others. Or a CC rests on 2 spots.
    DroppedSpotsWarning
        Some spots have no cell type with a value in both tables.

    Notes
    -----
    Writes ``uns[key_added]``: ``scores`` (dict of columns), ``truth``, ``predicted``, ``groupby``, ``kind``, ``unit``,
    ``n_spots`` and ``n_left_out``.

    The CC of a dataset is the mean over cell types within one patient, then over patients (``groupby="patient"``);
    pooled over patients it also rewards telling patients apart.

    Examples
    --------
    >>> import histodecon as hd
    >>> adata = hd.datasets.toy_slide()["table"]
    >>> hd.tl.set_targets(adata, "true_abundance")
    >>> one_more = hd.get.abundance(adata).to_df() + 1
    >>> hd.tl.set_targets(adata, one_more, key_added="predicted_abundance")
    >>> [float(score) for score in hd.tl.evaluate(adata).loc["mean", ["cc", "l1"]].round(6)]
    [1.0, 1.0]
    """
    adata = table_of(adata)
    require_spots(adata)
    require_safe_key(key_added, "key_added")
    t, p = _matched_tables(adata, truth, predicted)
    kind = table_kind(adata, truth)
    labels = np.full(adata.n_obs, ALL, dtype=object) if groupby is None else obs_column(adata, groupby)
    compared = np.isfinite(t) & np.isfinite(p)
    t, p, keep = t.where(compared), p.where(compared), compared.any(axis=1).to_numpy()
    _check_rows(adata, keep, truth, predicted)
    groups = sorted(set(labels[keep]))
    _check_names([*t.columns, *groups])
    tables = [
        stats.score_table(t.to_numpy()[rows], p.to_numpy()[rows], list(t.columns))
        for rows in (keep & (labels == group) for group in groups)
    ]
    if kind != "proportion":
        tables = [table.drop(columns="jsd") for table in tables]
    _warn_undefined(dict(zip(groups, tables, strict=True)), single=groupby is None)
    scores = _with_means(tables, groups, groupby)
    note_where_results_go(adata)
    adata.uns[key_added] = {
        "scores": _as_columns(scores),
        "truth": truth,
        "predicted": predicted,
        "groupby": groupby or "",
        "kind": kind,
        "unit": UNITS[kind],
        "n_spots": int(keep.sum()),
        "n_left_out": int((~keep).sum()),
    }
    return scores


def _matched_tables(adata: AnnData, truth: str, predicted: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    t, p = read_table(adata, truth), read_table(adata, predicted)
    missing, extra = t.columns.difference(p.columns), p.columns.difference(t.columns)
    if len(missing) or len(extra):
        msg = f"obsm[{truth!r}] and obsm[{predicted!r}] do not name the same cell types"
        raise AlignmentError(
            msg,
            where=f"only in {truth}: {first_names(missing)}; only in {predicted}: {first_names(extra)}",
            why="columns are matched by name, never by position",
            fix=f"rename the columns of one, or score what they share: `adata.obsm[{truth!r}] = adata.obsm[{truth!r}][names]`",
            code="BI-64",
        )
    kinds = table_kind(adata, truth), table_kind(adata, predicted)
    if kinds[0] != kinds[1]:
        msg = f"obsm[{truth!r}] holds {kinds[0]}s and obsm[{predicted!r}] {kinds[1]}s"
        raise InputError(
            msg,
            why="cells per spot and proportions have no error in common",
            fix=f'store both as one kind, for example `histodecon.tl.set_targets(adata, targets, kind="{kinds[1]}")`',
            code="BI-61",
        )
    return t, p[t.columns]


def _check_rows(adata: AnnData, keep: np.ndarray, truth: str, predicted: str) -> None:
    if not keep.any():
        msg = f"No spot has both obsm[{truth!r}] and obsm[{predicted!r}]"
        raise InputError(msg, where=f"0 of {adata.n_obs} spots", fix="look at their NaN values", code="BI-31")
    if not keep.all():
        warnings.warn(
            f"{int((~keep).sum())} of {adata.n_obs} spots have no value in obsm[{truth!r}] or none in obsm[{predicted!r}] "
            f"and are left out of the scores: {first_names(adata.obs_names[~keep])}",
            DroppedSpotsWarning,
            stacklevel=3,
        )


def _check_names(names: list[str]) -> None:
    if MEAN in names:
        msg = f"A cell type or group is called {MEAN!r}"
        raise NamingError(msg, why=f"the row {MEAN!r} holds the mean", fix="rename it", code="BI-66")


def _warn_undefined(tables: Mapping[str, pd.DataFrame], *, single: bool) -> None:
    pairs = [group for group, table in tables.items() if (table["n"] == 2).any()]
    if pairs:
        warnings.warn(
            f"CC over 2 spots is always 1 or -1 and says nothing: {first_names(pairs)}.",
            UndefinedMetricWarning,
            stacklevel=3,
        )
    blank = {group: list(table.index[table["cc"].isna()]) for group, table in tables.items()}
    blank = {group: names for group, names in blank.items() if names}
    if blank:
        listed = "; ".join(
            f"{'' if single else f'{group}: '}{len(names)} of {len(tables[group])} ({first_names(names)})"
            for group, names in list(blank.items())[:5]
        )
        more = f"; and {len(blank) - 5} more groups" if len(blank) > 5 else ""
        warnings.warn(
            f"CC is undefined (NaN) for cell types without variance: {listed}{more}. Means are over the others.",
            UndefinedMetricWarning,
            stacklevel=3,
        )


def _mean_row(table: pd.DataFrame, n: int) -> pd.Series:
    row = table.mean(axis=0, skipna=True)
    row["n"], row["n_defined"] = n, table["cc"].notna().sum()
    return row


def _with_means(tables: Sequence[pd.DataFrame], groups: Sequence[str], groupby: str | None) -> pd.DataFrame:
    """Add the mean over types to each group and, with several groups, a group of means over groups."""
    whole = []
    for table in tables:
        table = table.assign(n_defined=table["cc"].notna().astype(int))
        table.loc[MEAN] = _mean_row(table, int(table["n"].max()))
        whole.append(table)
    if groupby is None:
        return whole[0].astype({"n": int, "n_defined": int})
    stacked = pd.concat(whole, keys=groups, names=[groupby, "cell_type"])
    over = stacked.groupby(level="cell_type", sort=False)
    means = over.mean()
    means["n"], means["n_defined"] = over["n"].sum(), over["cc"].count()
    means = pd.concat([means], keys=[MEAN], names=[groupby, "cell_type"])
    return pd.concat([stacked, means]).astype({"n": int, "n_defined": int})


def _as_columns(scores: pd.DataFrame) -> dict[str, np.ndarray]:
    """Lay a table of scores out as arrays, which every file format keeps."""
    flat = scores.reset_index()
    if scores.index.nlevels == 1:
        flat.insert(0, "group", ALL)
    flat = flat.set_axis(["group", "cell_type", *scores.columns], axis=1)
    return {
        column: flat[column].to_numpy(dtype=object if column in {"group", "cell_type"} else None) for column in flat
    }
