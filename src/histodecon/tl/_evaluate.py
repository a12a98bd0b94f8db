"""Scores of one abundance table against another."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from histodecon import stats
from histodecon._core import (
    UNITS,
    InputError,
    Key,
    UndefinedMetricWarning,
    doc,
    first_names,
    note_where_results_go,
    obs_column,
    require_spots,
    table_of,
)
from histodecon.tl._checks import require_safe_key
from histodecon.tl._compared_tables import ALL, MEAN, ComparedTables, compare_tables
from histodecon.tl._score_parts import Resampling, add_parts, scores_of

if TYPE_CHECKING:
    from anndata import AnnData

LEAST_DRAWS = 100
USUAL_P = 0.05


@doc
def evaluate(
    adata: AnnData,
    *,
    truth: str = Key.obsm.TARGETS,
    predicted: str = Key.obsm.PREDICTED,
    groupby: str | None = None,
    cell_types: Sequence[str] | None = None,
    baseline: str | None = None,
    intervals: Literal["bootstrap"] | None = None,
    blocks: str | None = None,
    n_boot: int = 999,
    level: float = 0.95,
    key_added: str = Key.uns.EVALUATION,
    random_state: int = 0,
) -> pd.DataFrame:
    """Score predicted against measured abundances, cell type by cell type.

    Cell types are matched by name, spots by barcode. A spot that lacks a value in any of the tables is left out of that cell
    type; spots without any are counted.

    Parameters
    ----------
    %(adata)s
    truth
        Key of ``obsm`` with the measured table.
    predicted
        Key of ``obsm`` with the predicted table.
    groupby
        Column of ``obs``: scores within each group and their mean over groups. ``"patient"`` or ``"library_id"`` gives
        the scores of each patient or slide; by default all spots are pooled.
    cell_types
        Names to score, such as those that two datasets share; by default all, which must be the same in all tables.
        ``l1_shares`` is then of proportions among these.
    baseline
        Key of ``obsm`` with another prediction, such as that of ridge, to compare with.
    intervals
        ``"bootstrap"`` adds intervals; by default there are none.
    blocks
        Column of ``obs`` with patches of tissue that are drawn as a whole, for neighboring spots are alike and intervals over
        single spots too narrow. Only with ``intervals``.
    n_boot
        How often spots are drawn, 100 times or more; groups are drawn ten times as often.
    level
        Coverage that intervals aim at.
    key_added
        Name in ``uns`` under which the scores are stored.
    %(random_state)s

    Returns
    -------
    One row a cell type and a last row ``mean``. Columns: ``cc`` (Pearson over spots), ``spearman``, ``l1`` (mean absolute
    error) and ``rmse`` in the unit of the table, ``l1_shares`` (``l1`` once every spot sums to 1; its row ``mean`` is the sum
    over types, from 0 to 2), ``jsd`` (bits, proportions only), ``n`` (spots) and ``n_defined`` (how many CC the row rests on).
    With ``groupby`` the index is (group, cell type), each group ends in its ``mean`` over cell types, and a last group
    ``mean`` averages the groups.

    With ``baseline``, for each score: ``cc_baseline``, ``cc_difference`` (first minus baseline: good above 0 for ``cc`` and
    ``spearman``, below 0 for errors) and with ``groupby`` ``cc_p``, in the rows of the group ``mean``. With ``intervals``, for
    each score and difference: ``cc_spots_low`` and ``cc_spots_high`` over the spots of these groups, and with ``groupby``
    ``cc_groups_low`` and ``cc_groups_high`` over groups, in the rows of the group ``mean``.

    Raises
    ------
    MissingKeyError
        A table or a column is absent.
    AlignmentError
        The tables do not name the same cell types, or lack one of ``cell_types``.
    InputError
        One table holds abundances and another proportions, no spot is in all, or an option is out of range.

    Warns
    -----
    UndefinedMetricWarning
        Some cell types have no variance: their CC is NaN and the mean is over the others. A CC rests on 2 spots. A spot has no
        composition. There are too few groups for an interval over groups, or for a small p.
    DroppedSpotsWarning
        Some spots have no cell type with a value in all tables.

    Notes
    -----
    Writes ``uns[key_added]``: ``scores`` (dict of columns), ``truth``, ``predicted``, ``baseline``, ``groupby``, ``kind``,
    ``unit``, ``n_spots``, ``n_left_out``, ``n_without_shares`` and, with intervals, ``intervals``, ``n_boot``, ``level``,
    ``blocks``, ``random_state``.

    The CC of a dataset is the mean over cell types within one patient, then over patients (``groupby="patient"``);
    pooled over patients it also rewards telling patients apart.

    The unit of p is the group, not the spot: signs of the differences of whole groups are flipped
    (:func:`histodecon.stats.paired_test`), one test for each cell type and score, not adjusted for their number. Intervals over
    spots hold these groups fixed and draw spots within each (:func:`histodecon.stats.bootstrap_scores`); those over groups
    speak of new groups (:func:`histodecon.stats.group_interval`) and need six for 95 %%.

    Examples
    --------
    >>> import histodecon as hd
    >>> adata = hd.datasets.toy_slide()["table"]
    >>> hd.tl.set_targets(adata, "true_abundance")
    >>> one_more = hd.get.abundance(adata).to_df() + 1
    >>> hd.tl.set_targets(adata, one_more, key_added="predicted_abundance")
    >>> [float(score) for score in hd.tl.evaluate(adata).loc["mean", ["cc", "l1"]].round(6)]
    [1.0, 1.0]
    >>> scores = hd.tl.evaluate(adata, intervals="bootstrap", n_boot=100)
    >>> bool(scores.loc["T-cells", "l1_shares_spots_low"] < scores.loc["T-cells", "l1_shares"])
    True
    """
    adata = table_of(adata)
    require_spots(adata)
    require_safe_key(key_added, "key_added")
    how = _resampling(adata, intervals, blocks, n_boot, level, random_state)
    tables = compare_tables(adata, truth, predicted, baseline, groupby=groupby, cell_types=cell_types)
    own = [tables.rows(group) for group in tables.groups]
    scored = {
        group: scores_of(tables.truth[rows], tables.predicted[rows], tables.names, tables.kind)
        for group, rows in zip(tables.groups, own, strict=True)
    }
    _warn_undefined(scored, single=groupby is None)
    without_shares = _warn_without_shares(adata, tables)
    scores = _with_means(scored, groupby)
    if baseline is not None or how is not None:
        scores = add_parts(scores, tables, groupby, how)
        _warn_few(scores, tables, groupby, baseline, how)
    note_where_results_go(adata)
    adata.uns[key_added] = {
        "scores": _as_columns(scores),
        "truth": truth,
        "predicted": predicted,
        "baseline": baseline or "",
        "groupby": groupby or "",
        "kind": tables.kind,
        "unit": UNITS[tables.kind],
        "n_spots": int(tables.keep.sum()),
        "n_left_out": int((~tables.keep).sum()),
        "n_without_shares": without_shares,
        **_facts(how, intervals, blocks),
    }
    return scores


def _resampling(
    adata: AnnData, intervals: str | None, blocks: str | None, n_boot: int, level: float, random_state: int
) -> Resampling | None:
    faults = [
        f"intervals={intervals!r}, known is 'bootstrap'" if intervals not in {None, "bootstrap"} else "",
        f"blocks={blocks!r} without intervals" if intervals is None and blocks is not None else "",
        f"n_boot={n_boot!r}, a whole number from {LEAST_DRAWS} on"
        if isinstance(n_boot, bool) or not isinstance(n_boot, (int, np.integer)) or n_boot < LEAST_DRAWS
        else "",
        f"level={level!r}, between 0.5 and 0.999" if not 0.5 <= level <= 0.999 else "",
    ]
    if any(faults):
        msg = f"Options of the intervals are not usable: {'; '.join(fault for fault in faults if fault)}"
        raise InputError(msg, fix='`intervals="bootstrap", n_boot=999, level=0.95`', code="BI-72")
    if intervals is None:
        return None
    return Resampling(
        int(n_boot), float(level), None if blocks is None else obs_column(adata, blocks), int(random_state)
    )


def _facts(how: Resampling | None, intervals: str | None, blocks: str | None) -> dict[str, Any]:
    if how is None:
        return {"intervals": ""}
    numbers = {"n_boot": how.n_boot, "level": how.level, "random_state": how.random_state}
    return {"intervals": intervals, "blocks": blocks or "", **numbers}


def _warn_undefined(tables: Mapping[str, pd.DataFrame], *, single: bool) -> None:
    pairs = [group for group, table in tables.items() if (table["n"] == 2).any()]
    if pairs:
        warnings.warn(
            f"CC over 2 spots is always 1 or -1 and says nothing: {first_names(pairs)}.",
            UndefinedMetricWarning,
            stacklevel=3,
        )
    blank = {group: list(table.index[table["cc"].isna() & (table.index != MEAN)]) for group, table in tables.items()}
    blank = {group: names for group, names in blank.items() if names}
    if blank:
        listed = "; ".join(
            f"{'' if single else f'{group}: '}{len(names)} of {len(tables[group]) - 1} ({first_names(names)})"
            for group, names in list(blank.items())[:5]
        )
        more = f"; and {len(blank) - 5} more groups" if len(blank) > 5 else ""
        warnings.warn(
            f"CC is undefined (NaN) for cell types without variance: {listed}{more}. Means are over the others.",
            UndefinedMetricWarning,
            stacklevel=3,
        )


def _warn_without_shares(adata: AnnData, tables: ComparedTables) -> int:
    """Count the spots that ``l1_shares`` leaves out."""
    sides = [tables.truth, tables.predicted]
    sums = np.stack([side.sum(axis=1) for side in sides])
    lost = tables.keep & ~(sums > 0).all(axis=0)
    if lost.any():
        warnings.warn(
            f"{int(lost.sum())} of {int(tables.keep.sum())} spots have no composition, for a cell type is unknown or all are 0, "
            f"and are left out of l1_shares: {first_names(adata.obs_names[lost])}",
            UndefinedMetricWarning,
            stacklevel=3,
        )
    return int(lost.sum())


def _warn_few(
    scores: pd.DataFrame, tables: ComparedTables, groupby: str | None, baseline: str | None, how: Resampling | None
) -> None:
    n = len(tables.groups)
    texts = []
    if how is not None and groupby is not None and n < stats.least_groups(how.level):
        least = stats.least_groups(how.level)
        texts.append(f"an interval of {how.level:.0%} over groups takes {least} of them: those columns are NaN")
    if baseline is not None and groupby is not None and 2.0 ** (1 - n) > USUAL_P:
        smallest = f"{2.0 ** (1 - n):.3g} ({2.0**-n:.3g} one-sided)"
        texts.append(f"no paired test over them can give a p below {smallest}, whatever the scores")
    if texts:
        text = (
            f"obs[{groupby!r}] has {n} group{'s' if n > 1 else ''} ({first_names(tables.groups)}): {'; '.join(texts)}."
        )
        warnings.warn(text, UndefinedMetricWarning, stacklevel=3)
    if baseline is not None:
        rows = scores if groupby is None else scores.loc[MEAN]
        flat = [name for name in tables.names if np.isnan(rows.loc[name, "cc_baseline"])]
        if flat:
            text = (
                f"CC of the baseline obsm[{baseline!r}] is undefined for {len(flat)} of {len(tables.names)} cell types "
            )
            text += f"({first_names(flat)}), so is their difference."
            warnings.warn(text, UndefinedMetricWarning, stacklevel=3)


def _with_means(scored: Mapping[str, pd.DataFrame], groupby: str | None) -> pd.DataFrame:
    """Put the groups below each other and, with several, the means over groups."""
    if groupby is None:
        return scored[ALL]
    stacked = pd.concat(list(scored.values()), keys=list(scored), names=[groupby, "cell_type"])
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
