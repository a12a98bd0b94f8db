"""Counts of genes and signatures of cell types beside the embeddings of the sections, for learners that read them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata as ad
import pandas as pd

import histodecon as hd
from paper.deconvolution import JOINED


def with_counts(adata: Any, path: Path) -> Any:
    """The same spots, embeddings and targets with the counts that a deconvolution kept."""
    found = ad.read_h5ad(path)[adata.obs_names]
    return ad.AnnData(
        found.X.copy(), obs=adata.obs.copy(), var=found.var[[]].copy(), obsm=dict(adata.obsm), uns=dict(adata.uns)
    )


def signatures_of(path: Path, cell_types: list[str]) -> pd.DataFrame:
    """Signatures of a deconvolution, genes × cell types; the mean of those that count as one type where targets have fewer."""
    table = hd.get.signatures(ad.read_h5ad(path))
    if set(table.columns) != set(cell_types):
        table = table.T.groupby(lambda name: JOINED.get(name, name)).mean().T
    return table[cell_types]
