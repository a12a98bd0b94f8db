"""What all methods that stand on scvi-tools share: tables in, training on one device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from histodecon._core._scvi import accelerator_of

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray

    from histodecon.tl._deconvolution import DeconvolutionTask

LIBRARY, CELL_TYPE, BATCH = "library", "cell_type", "batch"


def train_scvi(model: Any, task: DeconvolutionTask, *, max_epochs: int, **options: Any) -> NDArray[np.float64]:
    """Train a model of scvi-tools on one device; nothing is written to disk.

    Parameters
    ----------
    model
        The model.
    task
        Device and progress bar.
    max_epochs
        Passes through the data.
    **options
        Further arguments of its ``train``.

    Returns
    -------
    Loss of each epoch.
    """
    device = accelerator_of(task.device)
    accelerator = {"cuda": "gpu"}.get(device.type, device.type)
    model.train(
        max_epochs=max_epochs,
        accelerator=accelerator,
        devices=[device.index or 0] if accelerator != "cpu" else 1,
        enable_progress_bar=task.show_progress_bar,
        enable_checkpointing=False,
        **options,
    )
    history: Mapping[str, Any] = model.history
    name = next(name for name in ("elbo_train", "train_loss_epoch", "reconstruction_loss_train") if name in history)
    return np.asarray(history[name], dtype=np.float64).ravel()


def spots_as_anndata(task: DeconvolutionTask) -> AnnData:
    """Put the counts of the spots into a table of their own.

    Parameters
    ----------
    task
        The counts.

    Returns
    -------
    AnnData with the column ``library`` of ``obs``.
    """
    return _table(task.counts, task.genes, **{LIBRARY: task.libraries})


def cells_as_anndata(task: DeconvolutionTask) -> AnnData:
    """Put the counts of the cells into a table of their own.

    Parameters
    ----------
    task
        The counts.

    Returns
    -------
    AnnData with the columns ``cell_type`` and ``batch`` of ``obs``.
    """
    return _table(task.reference, task.genes, **{CELL_TYPE: task.labels, BATCH: task.batches})


def _table(counts: Any, genes: Any, **columns: NDArray[np.object_]) -> AnnData:
    import pandas as pd
    from anndata import AnnData

    names = [f"row_{i}" for i in range(counts.shape[0])]
    obs = pd.DataFrame({name: pd.Categorical(values) for name, values in columns.items()}, index=names)
    return AnnData(counts.copy(), obs=obs, var=pd.DataFrame(index=genes.copy()))
