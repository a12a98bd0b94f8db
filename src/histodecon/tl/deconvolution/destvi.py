"""DestVI, as scvi-tools has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from histodecon._core._scvi import scvi_session
from histodecon.tl._deconvolution import DeconvolutionCard, DeconvolutionResult, DeconvolutionTask
from histodecon.tl._scvi import CELL_TYPE, cells_as_anndata, spots_as_anndata, train_scvi


def run(task: DeconvolutionTask, options: Mapping[str, Any]) -> DeconvolutionResult:
    """Learn the states that cells of a type can be in, then how much of each type a spot holds.

    Parameters
    ----------
    task
        The counts.
    options
        As on the card.

    Returns
    -------
    Proportions among the cell types.
    """
    with scvi_session(task.random_state, "scvi"):
        from scvi.model import CondSCVI, DestVI

        cells = cells_as_anndata(task)
        CondSCVI.setup_anndata(cells, labels_key=CELL_TYPE)
        of_cells = CondSCVI(
            cells, weight_obs=False, prior="mog"
        )  # the prior whose hand-over to DestVI works in scvi-tools 1.4
        size = {"batch_size": options["batch_size"]}
        history = {"cells": train_scvi(of_cells, task, max_epochs=options["reference_epochs"], **size)}
        spots = spots_as_anndata(task)
        of_spots = DestVI.from_rna_model(spots, of_cells)
        history["spots"] = train_scvi(of_spots, task, max_epochs=options["max_epochs"], **size)
        found = of_spots.get_proportions()[list(task.cell_types)].to_numpy(dtype=np.float64)
    return DeconvolutionResult(found / found.sum(axis=1, keepdims=True), history=history)


CARD = DeconvolutionCard(
    name="destvi",
    summary="Variational model with states within each cell type; the implementation of scvi-tools.",
    run=run,
    kind="proportion",
    takes_signatures=False,
    packages=("scvi",),
    defaults={"max_epochs": 2000, "reference_epochs": 300, "batch_size": 128},
    citation="Lopez et al. 2022, doi:10.1038/s41587-022-01272-8",
)
