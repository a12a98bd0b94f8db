"""Genes of the drawn cells, and counts drawn from them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import sparse

from histodecon.datasets._toy_plan import CELL_TYPES

MARKERS = {
    "Cancer Epithelial": ("EPCAM", "KRT8", "KRT18", "KRT19", "ERBB2", "MUC1", "CDH1", "ESR1"),
    "CAFs MSC/iCAF-like": ("COL1A1", "COL1A2", "COL3A1", "DCN", "LUM", "PDGFRA", "CXCL12", "FAP"),
    "T-cells": ("CD3D", "CD3E", "CD2", "TRAC", "IL7R", "CD8A", "GZMK", "CCL5"),
    "B-cells": ("MS4A1", "CD79A", "CD79B", "CD19", "BANK1", "CXCR5", "FCRL1", "TNFRSF13C"),
    "Macrophage": ("CD68", "CD163", "LYZ", "C1QA", "C1QB", "APOE", "MRC1", "CSF1R"),
    "Endothelial": ("PECAM1", "VWF", "CDH5", "CLDN5", "KDR", "ENG", "EMCN", "PLVAP"),
}
"""Genes that one cell type makes and the others hardly do."""

EVERYWHERE = ("ACTB", "B2M", "EEF1A1", "FTL", "GAPDH", "MALAT1", "PTMA", "RPL13", "RPLP0", "RPS18", "TMSB4X", "TPT1")
"""Genes that every cell makes."""


def signatures() -> pd.DataFrame:
    """Mean counts that one cell of each type leaves in a spot.

    Returns
    -------
    Genes × cell types: 3 for the strongest marker of a type down to 1, 0.03 for the markers of the others, and 0.5 to
    1.6 for the genes of every cell, which differ a little between types.
    """
    genes = [gene for name in CELL_TYPES for gene in MARKERS[name]] + list(EVERYWHERE)
    table = pd.DataFrame(0.03, index=genes, columns=list(CELL_TYPES))
    for name in CELL_TYPES:
        table.loc[list(MARKERS[name]), name] = np.linspace(3.0, 1.0, len(MARKERS[name]))
    level = np.linspace(1.6, 0.5, len(EVERYWHERE))[:, None]
    table.loc[list(EVERYWHERE)] = level * np.linspace(1.2, 0.8, len(CELL_TYPES))[None]
    return table


def draw_counts(rng: np.random.Generator, cells: np.ndarray) -> sparse.csr_matrix:
    """Draw counts: Poisson around signatures × cells × the yield of each spot.

    Parameters
    ----------
    rng
        Source of randomness.
    cells
        Cells in each spot, shape (n_spots, n_types).

    Returns
    -------
    Integers, shape (n_spots, n_genes).
    """
    captured = rng.gamma(25.0, 1 / 25.0, (len(cells), 1))
    ambient = 0.05 * cells.mean(axis=0)
    mean = (cells + ambient) @ signatures().to_numpy().T * captured
    return sparse.csr_matrix(rng.poisson(mean).astype(np.int32))
