"""Counts of genes for learners that learn from genes as well."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from histodecon._core import InputError, Key, TargetError, first_names, uns_branch
from histodecon._core._counts import read_counts, require_unique_genes
from histodecon.models import GeneCounts

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

    from histodecon.models import Learner

FEW_GENES = 10


def read_gene_counts(
    adata: AnnData,
    learner: Learner,
    *,
    layer: str | None = None,
    signatures: pd.DataFrame | None = None,
    targets: str = Key.obsm.TARGETS,
) -> GeneCounts | None:
    """Read what a learner wants to know of genes.

    Parameters
    ----------
    adata
        The table.
    learner
        The learner; one that reads no genes gets none.
    layer
        Layer with raw counts; None is ``X``.
    signatures
        Genes × cell types; by default those that a deconvolution left beside ``targets``.
    targets
        Key of the targets.

    Returns
    -------
    Counts of all spots; where there are signatures, of the genes they share with the table.

    Raises
    ------
    MissingKeyError
        There is no such layer.
    InputError
        Signatures are needed and there are none.
    TargetError
        Counts are none, or signatures share hardly a gene with the table.
    """
    if not learner.reads_genes:
        return None
    require_unique_genes(adata, "adata")
    counts = read_counts(adata, layer, "table of spots", "layer")
    names = adata.var_names.astype(str)
    table = _kept(adata, targets) if signatures is None else signatures
    if table is None or not learner.reads_signatures:
        return GeneCounts(counts, tuple(names))
    shared = _shared(table, names)
    columns = names.get_indexer(shared)
    own = table.set_axis(table.index.astype(str)).loc[shared]
    return GeneCounts(counts[:, columns], tuple(shared), own.to_numpy(dtype=np.float64), tuple(map(str, own.columns)))


def _kept(adata: AnnData, targets: str) -> pd.DataFrame | None:
    """Signatures of the deconvolution that made the targets, under the real names of cell types."""
    slot, runs = f"{targets}{Key.varm.SIGNATURES}", uns_branch(adata, Key.uns.DECONVOLUTION)
    if slot not in adata.varm or targets not in runs:
        return None
    table: pd.DataFrame = adata.varm[slot].dropna(how="all")
    return table.set_axis([str(name) for name in runs[targets]["cell_types"]], axis=1)


def _shared(table: pd.DataFrame, names: pd.Index) -> pd.Index:
    if not hasattr(table, "columns"):
        msg = f"signatures must be a DataFrame, genes × cell types, got {type(table).__name__}"
        raise InputError(msg, fix="`pd.DataFrame(values, index=genes, columns=cell_types)`", code="BI-64")
    genes = table.index.astype(str)
    if not genes.is_unique:
        twice = genes[genes.duplicated()]
        msg, where = "Some genes of the signatures stand twice", f"{len(twice)}: {first_names(twice)}"
        raise TargetError(msg, where=where, fix="`signatures[~signatures.index.duplicated()]`", code="BI-57")
    shared = names[names.isin(genes)]
    if len(shared) < FEW_GENES:
        msg = f"Only {len(shared)} genes are shared by signatures and spots"
        fix = "bring both to symbols, or both to Ensembl ids: `adata.var_names = adata.var[...]`"
        where = f"signatures: {len(genes)}, such as {first_names(genes, 2)}; spots: {first_names(names, 2)}"
        raise TargetError(msg, where=where, why="genes are matched by name", fix=fix, code="BI-56")
    return shared
