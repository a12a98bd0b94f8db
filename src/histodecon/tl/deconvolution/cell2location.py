"""cell2location: signatures by regression, then cells of every spot, all slides in one model."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from histodecon._core import HistodeconWarning
from histodecon._core._scvi import scvi_session
from histodecon.tl._deconvolution import DeconvolutionCard, DeconvolutionResult, DeconvolutionTask
from histodecon.tl._pyro import posterior, train_pyro
from histodecon.tl._scvi import BATCH, CELL_TYPE, LIBRARY, cells_as_anndata, spots_as_anndata


def run(task: DeconvolutionTask, options: Mapping[str, Any]) -> DeconvolutionResult:
    """Estimate signatures where they are not given, then abundances.

    Parameters
    ----------
    task
        The counts.
    options
        As on the card.

    Returns
    -------
    Cells per spot: the statistic asked for, and all three.
    """
    history = {}
    with scvi_session(task.random_state, "scvi", "cell2location"):
        if task.signatures is None:
            signatures, history["cells"] = _signatures(task, options)
        else:
            signatures = task.signatures
        found, history["spots"] = _cells(task, signatures, options)
    for name, most in (("cells", options["reference_epochs"]), ("spots", options["max_epochs"])):
        if options["tolerance"] and len(history.get(name, ())) == most:
            _tell_unrest(name, most)
    return DeconvolutionResult(found[options["statistic"]], found, signatures, history)


def _tell_unrest(name: str, epochs: int) -> None:
    argument = {"cells": "reference_epochs", "spots": "max_epochs"}[name]
    text = (
        f"[HD-BI-110] The loss of the training on {name} still falls after {epochs} epochs: abundances may change. "
        f"`{argument}={2 * epochs}` goes on; `histodecon.pl.deconvolution` draws the loss."
    )
    warnings.warn(text, HistodeconWarning, stacklevel=4)


def _signatures(task: DeconvolutionTask, options: Mapping[str, Any]) -> tuple[pd.DataFrame, np.ndarray]:
    from cell2location.models import RegressionModel

    cells = cells_as_anndata(task)
    RegressionModel.setup_anndata(cells, labels_key=CELL_TYPE, batch_key=BATCH)
    model = RegressionModel(cells)
    losses = train_pyro(
        model,
        task,
        max_epochs=options["reference_epochs"],
        learning_rate=options["reference_learning_rate"],
        tolerance=options["tolerance"],
        batch_size=options["reference_batch_size"],
        title="cells",
    )
    mean = posterior(model, "per_cluster_mu_fg")["mean"]
    return pd.DataFrame(mean.T, index=task.genes, columns=list(model.factor_names_))[list(task.cell_types)], losses


def _cells(
    task: DeconvolutionTask, signatures: pd.DataFrame, options: Mapping[str, Any]
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    from cell2location.models import Cell2location

    spots = spots_as_anndata(task)
    Cell2location.setup_anndata(spots, batch_key=LIBRARY)
    model = Cell2location(
        spots,
        cell_state_df=signatures,
        N_cells_per_location=float(options["n_cells_per_location"]),
        detection_alpha=float(options["detection_alpha"]),
    )
    losses = train_pyro(
        model,
        task,
        max_epochs=options["max_epochs"],
        learning_rate=options["learning_rate"],
        tolerance=options["tolerance"],
        batch_size=options["batch_size"],
        title="spots",
    )
    return posterior(model, "w_sf"), losses


CARD = DeconvolutionCard(
    name="cell2location",
    summary="Bayesian model of counts with factors for genes, spots and slides; cells per spot with their uncertainty.",
    run=run,
    kind="abundance",
    takes_signatures=True,
    packages=("cell2location", "scvi"),
    defaults={
        "n_cells_per_location": 30.0,
        "detection_alpha": 20.0,
        "statistic": "q05",
        "max_epochs": 30000,
        "learning_rate": 0.02,
        "batch_size": None,
        "reference_epochs": 2000,
        "reference_learning_rate": 0.01,
        "reference_batch_size": 512,
        "tolerance": 5e-5,
    },
    choices={"statistic": ("q05", "mean")},
    citation="Kleshchevnikov et al. 2022, doi:10.1038/s41587-021-01139-4",
)
