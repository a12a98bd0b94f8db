"""The journey on her2st once more, with cells per spot as targets instead of proportions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd

import histodecon as hd


def with_abundances(adata: Any, path: Path) -> Any:
    """The same spots and embeddings with the table of a deconvolution; spots without one take no part."""
    found = hd.get.abundance(ad.read_h5ad(path), layers={"found": "cell_abundance"}).to_df()
    out = adata.copy()
    hd.tl.set_targets(out, found.loc[found.notna().all(axis=1)], kind="abundance")
    return out


def on_proportions(test: Any) -> float:
    """L1 of the shares of cell types, after both tables were divided by their rows' sums."""
    tables = hd.get.abundance(test)
    truth, predicted = (tables.layers[name] for name in ("target", "predicted"))
    predicted = np.clip(predicted, 0, None)
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.abs(truth / truth.sum(axis=1, keepdims=True) - predicted / predicted.sum(axis=1, keepdims=True))
    return float(np.nanmean(error))


def shared_total(adata: Any) -> pd.DataFrame:
    """How much of each section's targets is nothing but the number of cells, which all types share."""
    cells = hd.get.abundance(adata).to_df(layer="target")
    rows = []
    for name in sorted(set(adata.obs["library_id"].astype(str))):
        own = cells[((adata.obs["library_id"] == name) & cells.notna().all(axis=1)).to_numpy()]
        total = own.sum(axis=1)
        with_total = np.mean([np.corrcoef(own[one], total)[0, 1] for one in own])
        rows.append(
            {"section": name, "r of a type with all cells": with_total, "sd / mean": total.std() / total.mean()}
        )
    return pd.DataFrame(rows)


def section(scores: pd.DataFrame, published: pd.DataFrame, totals: pd.DataFrame, markdown: Any) -> str:
    """Part of the page; empty without such a run."""
    if scores.empty:
        return ""
    keys = ["split", "encoder", "learner"]
    table = scores.groupby(keys, sort=False)[["cc", "l1", "l1_proportion"]].mean()
    table.insert(0, "cc, Stereoscope", published.set_index(keys)["cc"].reindex(table.index))
    table.insert(1, "L1, Stereoscope", published.set_index(keys)["l1"].reindex(table.index))
    table = table.rename(columns={"cc": "cc, cell2location", "l1": "L1, cells", "l1_proportion": "L1, proportions"})
    digits = {
        "cc, Stereoscope": 3,
        "L1, Stereoscope": 4,
        "cc, cell2location": 3,
        "L1, cells": 3,
        "L1, proportions": 4,
    }
    return f"""
## Cells per spot as targets

The same with abundances that cell2location found in the counts of these sections ({{doc}}`deconvolution`): cells per spot of 9
types (Cancer and Normal Epithelial apart), their 5 % quantile. L1 is given on cells and on proportions, that is after rows of
target and prediction were divided by their sums. `mean` predicts the training mean everywhere.

{markdown(table.reset_index(), digits)}

A CC on cells is not that of proportions: what all types share, the number of cells in the spot, is in it. How strongly each
section's types follow their sum (mean over types), and how much that sum varies:

{markdown(totals, {"r of a type with all cells": 2, "sd / mean": 2})}

In B4, which was sequenced least, a few spots hold most of the cells and every type follows them: a model that finds these spots
finds every type, so read its high CC there as that.
"""
