"""Tables that stand beside a table of cell types: its mean, quantiles and standard deviation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from histodecon._core import (
    AlignmentError,
    Key,
    MissingKeyError,
    TargetError,
    first_names,
    read_table,
    set_uns_branch,
    table_record,
    uns_branch,
    write_table,
)

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray

STATISTICS = ("mean", "q05", "q95", "sd")
NORMAL_Q95 = 1.6448536269514722  # of the standard normal distribution


def companions_of(adata: AnnData, key: str) -> dict[str, str]:
    """Find the tables that stand beside a table.

    Parameters
    ----------
    adata
        Where to look.
    key
        Key of the table; one that ends in the name of a statistic shares the companions of its stem.

    Returns
    -------
    From statistic to key of ``obsm``.
    """
    stem, _, ending = key.rpartition("_")
    stems = [key, stem] if ending in STATISTICS and stem else [key]
    found: dict[str, str] = {}
    for start in stems:
        for name in STATISTICS:
            if f"{start}_{name}" in adata.obsm and table_record(adata, f"{start}_{name}") is not None:
                found.setdefault(name, f"{start}_{name}")
    return found


def write_with_companions(
    adata: AnnData,
    key: str,
    table: pd.DataFrame,
    companions: Mapping[str, pd.DataFrame],
    *,
    kind: str,
    record: Mapping[str, Any],
) -> None:
    """Write a table and what stands beside it; companions of an older table of this name are taken away.

    Parameters
    ----------
    adata
        Where to write.
    key
        Key of the table.
    table
        Shape (n_obs, n_types), index equal to ``obs_names``.
    companions
        From statistic to table, of the same shape.
    kind
        ``"abundance"`` or ``"proportion"``.
    record
        Facts to keep with each.
    """
    old = {f"{key}_{name}" for name in STATISTICS if table_record(adata, f"{key}_{name}") is not None}
    for name in old:
        adata.obsm.pop(name, None)
    kept = {name: value for name, value in uns_branch(adata, Key.uns.TABLES).items() if name not in old}
    set_uns_branch(adata, Key.uns.TABLES, kept)
    write_table(adata, key, table, kind=kind, record=record)
    for name, values in companions.items():
        write_table(adata, f"{key}_{name}", values, kind=kind, record={**record, "statistic": name, "of": key})


def read_sd(adata: AnnData, key: str, measured: NDArray[np.bool_], cell_types: tuple[str, ...]) -> NDArray[np.float64]:
    """Read how uncertain each value of a table is.

    Parameters
    ----------
    adata
        Where to read.
    key
        Key of the table.
    measured
        Spots that need a value, shape (n_obs,).
    cell_types
        Order of the columns.

    Returns
    -------
    Standard deviations, shape (n_obs, K); where only the 5 % and 95 % quantiles are known, their distance over 3.29, that
    of a normal distribution.

    Raises
    ------
    MissingKeyError
        Neither is there.
    AlignmentError
        They name other cell types.
    TargetError
        A value is negative or, at a spot that needs it, not finite.
    """
    found = companions_of(adata, key)
    if "sd" in found:
        where, table = found["sd"], _aligned(adata, found["sd"], cell_types)
    elif {"q05", "q95"} <= set(found):
        where = f"{found['q05']} and {found['q95']}"
        upper, lower = (_aligned(adata, found[name], cell_types) for name in ("q95", "q05"))
        table = (upper - lower) / (2 * NORMAL_Q95)
    else:
        msg = f"It is not known how uncertain obsm[{key!r}] is"
        raise MissingKeyError(
            msg,
            where=f"there is neither obsm['{key}_sd'] nor its 5 % and 95 % quantiles",
            why='`weights="posterior"` counts certain values more',
            fix="`histodecon.tl.set_targets(adata, targets, sd=...)`, or leave `weights` out",
            code="BI-87",
        )
    sd = table.to_numpy()
    bad = (~np.isfinite(sd) | (sd < 0)).any(axis=1) & measured
    if bad.any():
        msg = f"obsm[{where!r}] holds standard deviations that are negative or not finite"
        spots = f"{int(bad.sum())} of {int(measured.sum())} spots with targets: {first_names(adata.obs_names[bad])}"
        raise TargetError(msg, where=spots, fix="set the targets again with a whole `sd=`", code="BI-60")
    return sd


def _aligned(adata: AnnData, key: str, cell_types: tuple[str, ...]) -> pd.DataFrame:
    table = read_table(adata, key)
    require_same_types(set(cell_types), set(table.columns), "the targets", f"obsm[{key!r}]")
    return table[list(cell_types)]


def require_same_types(wanted: set[str], found: set[str], one: str, other: str) -> None:
    """Refuse two tables that do not name the same cell types.

    Parameters
    ----------
    wanted, found
        The names.
    one, other
        What holds them, for the message.

    Raises
    ------
    AlignmentError
        They differ.
    """
    if wanted == found:
        return
    msg = f"The cell types of {one} are not those of {other}"
    raise AlignmentError(
        msg,
        where=f"only in {one}: {first_names(sorted(wanted - found))}; only in {other}: {first_names(sorted(found - wanted))}",
        why="columns are matched by name, never by position",
        fix="rename the columns of one, or bring both to the same level with `histodecon.tl.aggregate_types`",
        code="BI-64",
    )
