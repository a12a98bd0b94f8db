"""Two or three cell-type tables brought to the same names, spots and kind, before anything is scored."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from histodecon._core import (
    AlignmentError,
    DroppedSpotsWarning,
    InputError,
    NamingError,
    first_names,
    obs_column,
    read_table,
    table_kind,
)

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from numpy.typing import NDArray

MEAN = "mean"
ALL = "all"


@dataclass(frozen=True)
class ComparedTables:
    """What is scored; an entry that some table lacks is NaN in all of them.

    Parameters
    ----------
    names
        Cell types, in the order of the truth.
    kind
        ``"abundance"`` or ``"proportion"``.
    truth, predicted
        Shape (n_obs, K).
    baseline
        Shape (n_obs, K), or None.
    keep
        Spots with a value of some cell type in all tables.
    labels
        Group of each spot.
    """

    names: tuple[str, ...]
    kind: str
    truth: NDArray[np.float64]
    predicted: NDArray[np.float64]
    baseline: NDArray[np.float64] | None
    keep: NDArray[np.bool_]
    labels: NDArray

    @property
    def groups(self) -> list[str]:
        """Groups that have spots, sorted."""
        return sorted(set(self.labels[self.keep]))

    def rows(self, group: str) -> NDArray[np.intp]:
        """Find the spots of a group that are scored.

        Parameters
        ----------
        group
            Its name.

        Returns
        -------
        Their numbers.
        """
        return np.flatnonzero(self.keep & (self.labels == group))


def compare_tables(
    adata: AnnData,
    truth: str,
    predicted: str,
    baseline: str | None = None,
    *,
    groupby: str | None = None,
    cell_types: Sequence[str] | None = None,
) -> ComparedTables:
    """Read tables and match them by name.

    Parameters
    ----------
    adata
        Where to read.
    truth, predicted, baseline
        Keys of ``obsm``.
    groupby
        Column of ``obs``, or None for one group.
    cell_types
        Names to compare, or None for all, which must then be the same in all tables.

    Returns
    -------
    The tables.

    Raises
    ------
    MissingKeyError
        A table or the column is absent.
    AlignmentError
        The tables do not name the same cell types.
    InputError
        They are of two kinds, or no spot has a value in all.
    NamingError
        A cell type or group is called ``mean``.

    Warns
    -----
    DroppedSpotsWarning
        Some spots have no value in one of the tables.
    """
    keys = [truth, predicted] if baseline is None else [truth, predicted, baseline]
    tables = [read_table(adata, key) for key in keys]
    for key, table in zip(keys[1:], tables[1:], strict=True):
        if cell_types is None:
            _check_names(truth, tables[0], key, table)
        _check_kinds(adata, truth, key)
    names = list(tables[0].columns) if cell_types is None else _chosen(cell_types, dict(zip(keys, tables, strict=True)))
    labels = np.full(adata.n_obs, ALL, dtype=object) if groupby is None else obs_column(adata, groupby)
    arrays = [table[names].to_numpy(dtype=np.float64) for table in tables]
    known = np.logical_and.reduce([np.isfinite(values) for values in arrays])
    keep = known.any(axis=1)
    if not keep.any():
        msg = f"No spot has all of {', '.join(f'obsm[{key!r}]' for key in keys)}"
        msg = f"No spot has both obsm[{truth!r}] and obsm[{predicted!r}]" if baseline is None else msg
        raise InputError(msg, where=f"0 of {adata.n_obs} spots", fix="look at their NaN values", code="BI-31")
    if MEAN in [*names, *labels[keep]]:
        msg = f"A cell type or group is called {MEAN!r}"
        raise NamingError(msg, why=f"the row {MEAN!r} holds the mean", fix="rename it", code="BI-66")
    if not keep.all():
        _warn_dropped(adata, keep, keys)
    arrays = [np.where(known, values, np.nan) for values in arrays]
    third = arrays[2] if baseline is not None else None
    return ComparedTables(tuple(names), table_kind(adata, truth), arrays[0], arrays[1], third, keep, labels)


def _check_names(truth: str, t: pd.DataFrame, predicted: str, p: pd.DataFrame) -> None:
    missing, extra = t.columns.difference(p.columns), p.columns.difference(t.columns)
    if not len(missing) and not len(extra):
        return
    shared = [name for name in t.columns if name in p]
    lists = (
        f"only in {truth}: {first_names(missing)}; only in {predicted}: {first_names(extra)}; in both: {len(shared)}"
    )
    fix = "rename the columns of one, or bring both to coarser types with `histodecon.tl.aggregate_types`"
    fix += f"; or score what they share, `cell_types={shared[:3]}`" if shared else ""
    msg = f"obsm[{truth!r}] and obsm[{predicted!r}] do not name the same cell types"
    why = "columns are matched by name, never by position"
    raise AlignmentError(msg, where=lists, why=why, fix=fix, code="BI-64")


def _chosen(cell_types: Sequence[str], tables: dict[str, pd.DataFrame]) -> list[str]:
    names = [cell_types] if isinstance(cell_types, str) else [str(name) for name in cell_types]
    lacking = {key: [name for name in names if name not in table] for key, table in tables.items()}
    lists = [f"not in {key}: {first_names(absent)}" for key, absent in lacking.items() if absent]
    twice = sorted({name for name in names if names.count(name) > 1})
    if lists or twice or not names:
        msg = "cell_types are names of columns of all tables, each once"
        where = "; ".join(lists) or (f"twice: {first_names(twice)}" if twice else "none were named")
        first = next(iter(tables))
        fix = f"{first} has {first_names(tables[first].columns, 8)}"
        raise AlignmentError(msg, where=where, fix=fix, code="BI-64")
    return names


def _check_kinds(adata: AnnData, truth: str, predicted: str) -> None:
    kinds = table_kind(adata, truth), table_kind(adata, predicted)
    if kinds[0] != kinds[1]:
        msg = f"obsm[{truth!r}] holds {kinds[0]}s and obsm[{predicted!r}] {kinds[1]}s"
        raise InputError(
            msg,
            why="cells per spot and proportions have no error in common",
            fix=f'store both as one kind, for example `histodecon.tl.set_targets(adata, targets, kind="{kinds[1]}")`',
            code="BI-61",
        )


def _warn_dropped(adata: AnnData, keep: NDArray[np.bool_], keys: list[str]) -> None:
    lacking = " or none in ".join(f"obsm[{key!r}]" for key in keys)
    warnings.warn(
        f"{int((~keep).sum())} of {adata.n_obs} spots have no value in {lacking} "
        f"and are left out of the scores: {first_names(adata.obs_names[~keep])}",
        DroppedSpotsWarning,
        stacklevel=4,
    )
