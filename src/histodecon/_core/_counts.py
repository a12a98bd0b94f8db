"""Counts of a table: found, read whole, every entry looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from histodecon._core._errors import (
    HistodeconError,
    MissingKeyError,
    TargetError,
    first_names,
    raise_together,
)
from histodecon._core._registry import closest_names

if TYPE_CHECKING:
    from anndata import AnnData

BLOCK = 2**22


@dataclass
class _Faults:
    """How many entries are wrong, and the first of each kind as row, column, value."""

    fractions: int = 0
    negative: int = 0
    broken: int = 0
    first_fraction: tuple[int, int, float] | None = None
    first_bad: tuple[int, int, float] | None = None


def read_counts(adata: AnnData, layer: str | None, what: str, argument: str) -> sparse.csr_matrix:
    """Read counts and look at every entry.

    Parameters
    ----------
    adata
        The table.
    layer
        Layer with the counts; None is ``X``.
    what
        What the table is, for messages.
    argument
        Name of the argument that names the layer.

    Returns
    -------
    float32, shape (n_obs, n_vars); nothing is copied that is so already.

    Raises
    ------
    MissingKeyError
        There is no such layer.
    TargetError
        Some entries are no counts; entries that are not whole and entries that cannot be are told together.
    """
    if layer is not None and layer not in adata.layers:
        msg = f"The {what} has no layer {layer!r}"
        where = f"layers: {first_names(adata.layers, 8)}"
        fix = closest_names(layer, adata.layers) or f"leave `{argument}` out to use X"
        raise MissingKeyError(msg, where=where, fix=fix, code="BI-87")
    values = adata.X if layer is None else adata.layers[layer]
    place = f"{what}, {'X' if layer is None else f'layers[{layer!r}]'}"
    if values is None:
        msg = f"The {what} has no counts in X"
        fix = f'`{argument}="{next(iter(adata.layers), "counts")}"`'
        raise MissingKeyError(msg, where=f"layers: {first_names(adata.layers, 8)}", fix=fix, code="BI-87")
    counts = _as_csr(values)
    _refuse(adata, counts, _scan(counts), place, f'{argument}="{_layer_of_counts(adata, layer)}"')
    return counts.astype(np.float32, copy=False)


def require_unique_genes(adata: AnnData, what: str) -> None:
    """Refuse gene names that stand twice.

    Parameters
    ----------
    adata
        The table.
    what
        What the table is, for the message.

    Raises
    ------
    TargetError
        Some names stand twice.
    """
    if not adata.var_names.is_unique:
        twice = adata.var_names[adata.var_names.duplicated()].unique()
        msg = f"Some genes of the {what} stand twice"
        fix = f"`{what}.var_names_make_unique()` before any genes are chosen, or sum their counts"
        raise TargetError(
            msg, where=f"{len(twice)}: {first_names(twice)}", why="genes are matched by name", fix=fix, code="BI-57"
        )


def _as_csr(values: Any) -> sparse.csr_matrix:
    if hasattr(values, "to_memory"):  # a matrix that lives in a file
        values = values.to_memory()
    if hasattr(values, "compute"):
        values = values.compute()
    return sparse.csr_matrix(values if sparse.issparse(values) else np.asarray(values))


def _scan(counts: sparse.csr_matrix) -> _Faults:
    found = _Faults()
    data = counts.data
    for start in range(0, data.size, BLOCK):
        block = data[start : start + BLOCK]
        if block.dtype.kind in "ub":
            continue
        finite = np.isfinite(block)
        negative = finite & (block < 0)
        fraction = finite & ~negative & (block != np.floor(block))
        found.broken += int((~finite).sum())
        found.negative += int(negative.sum())
        found.fractions += int(fraction.sum())
        bad = negative | ~finite
        if found.first_bad is None and bad.any():
            found.first_bad = _entry(counts, start + int(bad.argmax()))
        if found.first_fraction is None and fraction.any():
            found.first_fraction = _entry(counts, start + int(fraction.argmax()))
    return found


def _entry(counts: sparse.csr_matrix, at: int) -> tuple[int, int, float]:
    row = int(np.searchsorted(counts.indptr, at, side="right")) - 1
    return row, int(counts.indices[at]), float(counts.data[at])


def _layer_of_counts(adata: AnnData, tried: str | None) -> str:
    """Name of a layer that does hold counts, "counts" first; "counts" where there is none."""
    for name in sorted(adata.layers, key=lambda name: (str(name) != "counts", str(name))):
        found = _scan(_as_csr(adata.layers[name])) if name != tried else _Faults(fractions=1)
        if not (found.fractions or found.negative or found.broken):
            return str(name)
    return "counts"


def _refuse(adata: AnnData, counts: sparse.csr_matrix, found: _Faults, place: str, argument: str) -> None:
    def example(entry: tuple[int, int, float] | None) -> str:
        row, column, value = entry or (0, 0, 0.0)
        return f"first {value:g} of {str(adata.var_names[column])!r} in {str(adata.obs_names[row])!r}"

    faults: list[HistodeconError] = []
    n = f"{counts.nnz} entries of the {place}"
    if found.fractions:
        why = "the likelihood of counts is that of whole numbers: other values train to an answer that means nothing"
        where = f"{found.fractions} of {n}, {example(found.first_fraction)}"
        faults.append(
            TargetError("Counts are not whole numbers", where=where, why=why, fix=f"`{argument}`", code="BI-54")
        )
    if found.negative or found.broken:
        where = f"{found.negative} negative, {found.broken} not finite of {n}, {example(found.first_bad)}"
        msg, fix = "Some counts cannot be", f"`{argument}`, or look at how the table was made"
        faults.append(TargetError(msg, where=where, why="counts are whole numbers from 0 on", fix=fix, code="BI-55"))
    raise_together(faults)
