"""From tables to what a deconvolution method is given: every check before a long run."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from histodecon._core import (
    DroppedSpotsWarning,
    HistodeconError,
    HistodeconWarning,
    InputError,
    TargetError,
    first_names,
    iter_libraries,
    obs_column,
    raise_together,
)
from histodecon._core._counts import read_counts, require_unique_genes
from histodecon.tl._deconvolution import DeconvolutionCard, DeconvolutionTask
from histodecon.tl._genes import cut_genes, share_genes
from histodecon.tl._reference import require_tables

if TYPE_CHECKING:
    from anndata import AnnData


@dataclass(frozen=True)
class DeconvolutionInput:
    """What a user handed in, besides the tables.

    Parameters
    ----------
    labels_key, library_key, batch_key
        Columns of ``obs``.
    layer, reference_layer
        Layers with counts.
    signatures
        Genes × types, in place of cells.
    genes
        Genes to use.
    min_genes, min_cells
        How many there must be.
    """

    labels_key: str | None
    library_key: str
    batch_key: str | None
    layer: str | None
    reference_layer: str | None
    signatures: pd.DataFrame | None
    genes: Sequence[str] | None
    min_genes: int | None
    min_cells: int


@dataclass(frozen=True)
class LeftOut:
    """What takes no part.

    Parameters
    ----------
    spots
        Names of the spots without counts.
    n_spots
        How many there are in all.
    n_genes
        Shared genes that are not used.
    types
        Cell types with too few cells, and how many they have.
    unlabeled
        Cells without a type.
    """

    spots: pd.Index
    n_spots: int
    n_genes: int
    types: dict[str, int]
    unlabeled: int


@dataclass(frozen=True)
class _Cells:
    """The reference: counts of cells with their types, or signatures."""

    counts: sparse.csr_matrix
    names: pd.Index
    types: tuple[str, ...]
    labels: NDArray[np.object_]
    batches: NDArray[np.object_]
    signatures: pd.DataFrame | None
    few: dict[str, int]
    unlabeled: int


def make_task(
    adata: AnnData, reference: AnnData | None, card: DeconvolutionCard, given: DeconvolutionInput, **run: Any
) -> tuple[DeconvolutionTask, LeftOut]:
    """Check everything and bring spots and cells to the same genes.

    Parameters
    ----------
    adata
        The spots.
    reference
        The cells.
    card
        The method.
    given
        What else a user handed in.
    **run
        ``random_state``, ``device``, ``show_progress_bar``.

    Returns
    -------
    The task, and what takes no part in it.

    Raises
    ------
    InputError
        Something is not usable; several faults are told together.
    """
    if given.signatures is None:
        require_tables(adata, reference, given.labels_key)
    elif not card.takes_signatures:
        msg = f"The method {card.name!r} needs the cells themselves, not signatures"
        raise InputError(msg, fix='`reference=`, or `method="cell2location"`', code="BI-72")
    faults: list[HistodeconError] = []
    with _collected(faults):
        require_unique_genes(adata, "adata")
    with _collected(faults):
        counts = read_counts(adata, given.layer, "adata", "layer")
    with _collected(faults):
        libraries = _libraries(adata, given.library_key)
    with _collected(faults):
        cells = _read_signatures(given.signatures) if given.signatures is not None else _read_cells(reference, given)
        columns = {"adata": adata.var} | ({"reference": reference.var} if reference is not None else {})
        shared = share_genes(
            adata.var_names, cells.names, columns=columns, chosen=given.genes, min_genes=given.min_genes
        )
    raise_together(faults)
    used = shared[_informative(counts, cells, adata.var_names, shared, cut=given.genes is None)]
    own = counts[:, adata.var_names.get_indexer(used)]
    kept = np.asarray(own.sum(axis=1)).ravel() > 0
    if not kept.any():
        msg = "No spot has counts of the genes used"
        raise TargetError(msg, where=f"{adata.n_obs} spots, {len(used)} genes", fix="look at `adata.X`", code="BI-58")
    task = DeconvolutionTask(
        counts=own[np.flatnonzero(kept)],
        barcodes=adata.obs_names[kept],
        genes=used,
        libraries=libraries[kept],
        cell_types=cells.types,
        reference=cells.counts[:, cells.names.get_indexer(used)],
        labels=cells.labels,
        batches=cells.batches,
        signatures=None if cells.signatures is None else cells.signatures.loc[used],
        **run,
    )
    left_out = LeftOut(adata.obs_names[~kept], adata.n_obs, len(shared) - len(used), cells.few, cells.unlabeled)
    return task, left_out


def tell_what_is_left_out(left_out: LeftOut, min_cells: int) -> None:
    """Warn of spots, cell types and cells that took no part.

    Parameters
    ----------
    left_out
        What takes no part.
    min_cells
        Cells that a type must have.

    Warns
    -----
    DroppedSpotsWarning
        Spots without counts.
    HistodeconWarning
        Cell types or cells.
    """
    spots = left_out.spots
    if len(spots):
        text = (
            f"[HD-BI-58] {len(spots)} of {left_out.n_spots} spots have no counts of the genes used; their rows stay and are "
            f"NaN: {first_names(spots)}."
        )
        warnings.warn(text, DroppedSpotsWarning, stacklevel=3)
    if left_out.types:
        named = ", ".join(f"{name!r} ({n})" for name, n in left_out.types.items())
        text = (
            f"[HD-BI-109] {len(left_out.types)} cell types have fewer than {min_cells} cells and are left out: {named}. "
            "What they leave in a spot goes to the others; `min_cells=1` keeps them."
        )
        warnings.warn(text, HistodeconWarning, stacklevel=3)
    if left_out.unlabeled:
        text = f"[HD-BI-109] {left_out.unlabeled} cells of the reference have no type and are left out."
        warnings.warn(text, HistodeconWarning, stacklevel=3)


@contextmanager
def _collected(faults: list[HistodeconError]) -> Iterator[None]:
    try:
        yield
    except HistodeconError as error:
        faults.append(error)


def _libraries(adata: AnnData, library_key: str) -> NDArray[np.object_]:
    libraries = np.empty(adata.n_obs, dtype=object)
    for library, rows in iter_libraries(adata, library_key):
        libraries[rows] = library
    return libraries


def _read_cells(reference: AnnData, given: DeconvolutionInput) -> _Cells:
    faults: list[HistodeconError] = []
    with _collected(faults):
        require_unique_genes(reference, "reference")
    with _collected(faults):
        counts = read_counts(reference, given.reference_layer, "reference", "reference_layer")
    with _collected(faults):
        batches = np.full(reference.n_obs, "all", dtype=object)
        batches = obs_column(reference, given.batch_key) if given.batch_key is not None else batches
    column = reference.obs[given.labels_key]
    labels = column.astype(str).to_numpy(dtype=object)
    labeled = column.notna().to_numpy()
    sizes = pd.Series(labels[labeled]).value_counts().sort_index()
    types = tuple(str(name) for name in sizes.index[sizes >= given.min_cells])
    with _collected(faults):
        _require_types(types, f"reference.obs[{given.labels_key!r}] has {_sizes(sizes)}")
    raise_together(faults)
    rows = np.flatnonzero(labeled & np.isin(labels, types))
    rows = rows[np.asarray(counts[rows].sum(axis=1)).ravel() > 0]
    few = {str(name): int(n) for name, n in sizes.items() if n < given.min_cells}
    names, unlabeled = reference.var_names, int((~labeled).sum())
    return _Cells(counts[rows], names, types, labels[rows], batches[rows], None, few, unlabeled)


def _read_signatures(signatures: pd.DataFrame) -> _Cells:
    if not isinstance(signatures, pd.DataFrame):
        msg = f"signatures must be a DataFrame, genes × cell types, got {type(signatures).__name__}"
        raise InputError(msg, fix="`pd.DataFrame(values, index=genes, columns=cell_types)`", code="BI-64")
    twice = signatures.index[signatures.index.duplicated()]
    if len(twice):
        msg, where = "Some genes of the signatures stand twice", f"{len(twice)}: {first_names(twice)}"
        raise TargetError(msg, where=where, fix="`signatures[~signatures.index.duplicated()]`", code="BI-57")
    table = signatures.dropna(how="all").rename(columns=str)  # genes that an earlier run did not use
    values = table.to_numpy(dtype=np.float64)
    bad = ~np.isfinite(values) | (values < 0)
    if bad.any():
        where = f"{int(bad.sum())} values of genes {first_names(table.index[bad.any(axis=1)])}"
        msg, why = "Some signatures cannot be", "they are mean counts: finite, from 0 on, not on a logarithmic scale"
        raise TargetError(msg, where=where, why=why, fix="`np.expm1` turns `log1p` back", code="BI-55")
    types = tuple(table.columns)
    _require_types(types, f"signatures have {first_names(types)}")
    none = np.empty(0, dtype=object)
    empty = sparse.csr_matrix((0, len(table)), dtype=np.float32)
    return _Cells(empty, pd.Index(table.index.astype(str)), types, none, none, table.astype(np.float64), {}, 0)


def _require_types(types: tuple[str, ...], where: str) -> None:
    if len(types) < 2:
        msg = f"{len(types)} cell types are left, at least two are needed"
        why = "with one type there is nothing to tell apart"
        fix = "name another column with `labels_key=`, or lower `min_cells`"
        raise TargetError(msg, where=where, why=why, fix=fix, code="BI-109")


def _sizes(sizes: pd.Series) -> str:
    return ", ".join(f"{name!r} ({n})" for name, n in sizes.head(5).items()) or "no labels"


def _informative(
    counts: sparse.csr_matrix, cells: _Cells, names: pd.Index, shared: pd.Index, *, cut: bool
) -> NDArray[np.bool_]:
    """Genes that have counts on both sides; by default also those that enough cells have."""
    in_spots = np.asarray(counts.sum(axis=0)).ravel()[names.get_indexer(shared)] > 0
    if cells.signatures is not None:
        return np.asarray(in_spots & (cells.signatures.loc[shared] > 0).any(axis=1).to_numpy())
    own = cells.counts[:, cells.names.get_indexer(shared)]
    if cut:
        return np.asarray(in_spots & cut_genes(own, shared))
    return np.asarray(in_spots & (np.asarray(own.sum(axis=0)).ravel() > 0))
