"""Genes that spots and cells share, and which of them to use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from histodecon._core import TargetError, first_names

if TYPE_CHECKING:
    from scipy import sparse

ENSEMBL = r"^ENS[A-Z]*G\d{11}(?:\.\d+)?(?:_PAR_Y)?$"
VERSION = r"\.\d+$"
MITOCHONDRIAL = r"^(?i:mt)-"
ENOUGH_GENES = 500
MOST = 0.5
FEW_CELLS, CELL_SHARE, MEAN_WHERE_FOUND = 5, 0.03, 1.12


def share_genes(
    spots: pd.Index,
    cells: pd.Index,
    *,
    columns: dict[str, pd.DataFrame],
    chosen: Sequence[str] | None,
    min_genes: int | None,
) -> pd.Index:
    """Find the genes that both know by the same name.

    Parameters
    ----------
    spots, cells
        Names of genes, each once.
    columns
        ``var`` of the spots and of the reference by the name a user knows them under, where other names may stand.
    chosen
        Genes that a user wants; None takes all.
    min_genes
        How many there must be; None asks for 500, or half of the smaller of the two where that is less.

    Returns
    -------
    The genes, in the order of the spots.

    Raises
    ------
    TargetError
        There are too few. The text says how both spell their genes and where the other spelling may be found.
    """
    shared = spots[spots.isin(cells)]
    wanted = shared
    if chosen is not None:
        wanted = shared[shared.isin([chosen] if isinstance(chosen, str) else list(chosen))]
    smaller = min(len(spots), len(cells)) if chosen is None else len(set(chosen))
    least = min_genes if min_genes is not None else max(1, min(ENOUGH_GENES, smaller // 2))
    if len(wanted) >= least:
        return wanted
    what = "genes are shared by spots and reference" if chosen is None else "of the chosen genes are in both"
    msg = f"Only {len(wanted)} {what}, {least} are needed"
    where = (
        f"spots: {len(spots)} {_spelling(spots)}, such as {first_names(spots, 2)}; "
        f"reference: {len(cells)} {_spelling(cells)}, such as {first_names(cells, 2)}"
    )
    why = "genes are matched by name, and few genes do not tell cell types apart"
    raise TargetError(msg, where=where, why=why, fix=_way_out(spots, cells, columns, len(wanted)), code="BI-56")


def cut_genes(reference: sparse.csr_matrix, names: pd.Index) -> NDArray[np.bool_]:
    """Tell which genes are found often enough to say something, as the tutorial of cell2location does.

    Parameters
    ----------
    reference
        Counts of cells, shape (m, G).
    names
        Names of the genes.

    Returns
    -------
    Shape (G,): found in more than 3 % of the cells, or in more than 5 cells with more than 1.12 counts on average where
    they are found; none of mitochondria, whose counts differ between technologies and with the state of a cell.
    """
    found = np.asarray((reference > 0).sum(axis=0)).ravel()
    total = np.asarray(reference.sum(axis=0, dtype=np.float64)).ravel()
    strong = total > MEAN_WHERE_FOUND * found
    kept = (found > CELL_SHARE * reference.shape[0]) | ((found > FEW_CELLS) & strong)
    return np.asarray(kept & ~names.str.match(MITOCHONDRIAL), dtype=np.bool_)


def _is_ensembl(names: pd.Index) -> bool:
    return len(names) > 0 and float(names.str.match(ENSEMBL).mean()) > MOST


def _has_versions(names: pd.Index) -> bool:
    return _is_ensembl(names) and float(names.str.contains(VERSION).mean()) > MOST


def _spelling(names: pd.Index) -> str:
    if _has_versions(names):
        return "Ensembl ids with version"
    return "Ensembl ids" if _is_ensembl(names) else "symbols"


def _way_out(spots: pd.Index, cells: pd.Index, columns: dict[str, pd.DataFrame], n_shared: int) -> str:
    """The first change of names that would give many more genes in common."""
    sides = {"adata": (spots, cells), "reference": (cells, spots)}
    enough = max(2 * n_shared, 1)
    for name, (own, other) in sides.items():
        var = columns.get(name, pd.DataFrame(index=own))
        for column in var.columns:
            if int(pd.Index(var[column].astype(str)).isin(other).sum()) > enough:
                return f'`{name}.var_names = {name}.var["{column}"].astype(str)`, which has the names of the other'
    for name, (own, other) in sides.items():
        if _has_versions(own) and int(own.str.replace(VERSION, "", regex=True).isin(other).sum()) > enough:
            return rf'`{name}.var_names = {name}.var_names.str.replace(r"{VERSION}", "", regex=True)` takes the versions off'
    if _is_ensembl(spots) != _is_ensembl(cells):
        return "give both symbols or both Ensembl ids, `reference.var_names = ...`"
    if int(spots.str.upper().isin(cells.str.upper()).sum()) > enough:
        return (
            "the two differ in upper and lower case, as genes of mouse and human do; if they are of one species, "
            "`reference.var_names = reference.var_names.str.upper()`, and the same for adata"
        )
    return f"look whether both are of one species; `min_genes={max(n_shared, 1)}` goes on with a small panel"
