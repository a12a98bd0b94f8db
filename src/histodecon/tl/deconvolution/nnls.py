"""Non-negative least squares: the quick look."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from histodecon.models import nnls_abundance
from histodecon.tl._deconvolution import DeconvolutionCard, DeconvolutionResult, DeconvolutionTask


def mean_counts(task: DeconvolutionTask) -> pd.DataFrame:
    """Mean counts of the cells of each type, batches weighing by their cells.

    Parameters
    ----------
    task
        Holds the reference.

    Returns
    -------
    Genes × types.
    """
    means = [
        np.asarray(task.reference[np.flatnonzero(task.labels == name)].mean(axis=0)).ravel() for name in task.cell_types
    ]
    return pd.DataFrame(np.stack(means, axis=1), index=task.genes, columns=list(task.cell_types), dtype=np.float64)


def run(task: DeconvolutionTask, options: Mapping[str, Any]) -> DeconvolutionResult:
    """Solve every spot, then say for each slide how many cells there are in a spot on average.

    Parameters
    ----------
    task
        The counts.
    options
        As on the card.

    Returns
    -------
    Abundances and signatures. Counts alone do not tell many cells from cells that are counted well: the mean of a slide
    is ``n_cells_per_location`` by construction, the differences between its spots are found.
    """
    signatures = task.signatures if task.signatures is not None else mean_counts(task)
    cells = nnls_abundance(task.counts, signatures.to_numpy(), dispersion=options["dispersion"])
    for library in dict.fromkeys(task.libraries):
        rows = task.libraries == library
        mean = cells[rows].sum(axis=1).mean()
        cells[rows] *= options["n_cells_per_location"] / mean if mean > 0 else 1.0
    return DeconvolutionResult(cells, signatures=signatures)


CARD = DeconvolutionCard(
    name="nnls",
    summary="Non-negative least squares on mean counts of each type, with one factor for each gene; seconds, no training.",
    run=run,
    kind="abundance",
    takes_signatures=True,
    packages=(),
    defaults={"n_cells_per_location": 30.0, "dispersion": 0.3},
    citation="none",
)
