"""Two or three cell-type tables brought to the same names, spots and kind, before anything is scored."""

from __future__ import annotations

import warnings
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
    adata: AnnData, truth: str, predicted: str, baseline: str | None, groupby: str | None
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
        _check_pair(adata, truth, tables[0], key, table)
    names = list(tables[0].columns)
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


def _check_pair(adata: AnnData, truth: str, t: pd.DataFrame, predicted: str, p: pd.DataFrame) -> None:
    missing, extra = t.columns.difference(p.columns), p.columns.difference(t.columns)
    if len(missing) or len(extra):
        msg = f"obsm[{truth!r}] and obsm[{predicted!r}] do not name the same cell types"
        shared = len(t.columns) - len(missing)
        lists = f"only in {truth}: {first_names(missing)}; only in {predicted}: {first_names(extra)}; {shared} in both"
        fix = (
            f"rename the columns of one, bring both to coarser types with `histodecon.tl.aggregate_types`, or score what they "
            f"share: `adata.obsm[{truth!r}] = adata.obsm[{truth!r}][names]`, and the other alike"
        )
        raise AlignmentError(
            msg, where=lists, why="columns are matched by name, never by position", fix=fix, code="BI-64"
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


def _warn_dropped(adata: AnnData, keep: NDArray[np.bool_], keys: list[str]) -> None:
    lacking = " or none in ".join(f"obsm[{key!r}]" for key in keys)
    warnings.warn(
        f"{int((~keep).sum())} of {adata.n_obs} spots have no value in {lacking} "
        f"and are left out of the scores: {first_names(adata.obs_names[~keep])}",
        DroppedSpotsWarning,
        stacklevel=4,
    )
