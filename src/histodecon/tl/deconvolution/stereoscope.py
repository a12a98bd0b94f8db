"""Stereoscope, as scvi-tools has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from histodecon._core._scvi import scvi_session
from histodecon.tl._deconvolution import DeconvolutionCard, DeconvolutionResult, DeconvolutionTask
from histodecon.tl._scvi import CELL_TYPE, cells_as_anndata, spots_as_anndata, train_scvi


def run(task: DeconvolutionTask, options: Mapping[str, Any]) -> DeconvolutionResult:
    """Learn what the cells of a type make, then how much of each type a spot holds.

    Parameters
    ----------
    task
        The counts.
    options
        As on the card.

    Returns
    -------
    Proportions among the cell types; what the noise term explains is left out.
    """
    with scvi_session(task.random_state, "scvi"):
        from scvi.external import RNAStereoscope, SpatialStereoscope

        shared = {"batch_size": options["batch_size"], "lr": options["learning_rate"]}
        cells = cells_as_anndata(task)
        RNAStereoscope.setup_anndata(cells, labels_key=CELL_TYPE)
        of_cells = RNAStereoscope(cells)
        history = {"cells": train_scvi(of_cells, task, max_epochs=options["reference_epochs"], **shared)}
        spots = spots_as_anndata(task)
        SpatialStereoscope.setup_anndata(spots)
        of_spots = SpatialStereoscope.from_rna_model(spots, of_cells)
        history["spots"] = train_scvi(of_spots, task, max_epochs=options["max_epochs"], **shared)
        found = of_spots.get_proportions()[list(task.cell_types)].to_numpy(dtype=np.float64)
    return DeconvolutionResult(found / found.sum(axis=1, keepdims=True), history=history)


CARD = DeconvolutionCard(
    name="stereoscope",
    summary="Negative binomial model of cells and spots, most likely values; the implementation of scvi-tools.",
    run=run,
    kind="proportion",
    takes_signatures=False,
    packages=("scvi",),
    defaults={"max_epochs": 2000, "reference_epochs": 400, "learning_rate": 0.01, "batch_size": 128},
    citation="Andersson et al. 2020, doi:10.1038/s42003-020-01247-y",
)
