"""Cell types of spots from their counts and a reference of single cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from histodecon._core import (
    Key,
    doc,
    require_spots,
    require_unique_names,
    safe_columns,
    set_uns_branch,
    table_of,
    uns_branch,
)
from histodecon.tl._checks import require_safe_key
from histodecon.tl._companions import write_with_companions
from histodecon.tl._deconvolution import (
    DeconvolutionCard,
    DeconvolutionResult,
    DeconvolutionTask,
    get_deconvolution_method,
)
from histodecon.tl._deconvolution_task import DeconvolutionInput, make_task, tell_what_is_left_out

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray

MIN_CELLS = 10
DISTRIBUTIONS = {"scvi": "scvi-tools"}


@doc
def deconvolve(
    adata: AnnData,
    reference: AnnData | None = None,
    *,
    labels_key: str | None = None,
    method: str = "cell2location",
    library_key: str = Key.obs.LIBRARY,
    layer: str | None = None,
    reference_layer: str | None = None,
    batch_key: str | None = None,
    signatures: pd.DataFrame | None = None,
    genes: Sequence[str] | None = None,
    min_genes: int | None = None,
    min_cells: int = MIN_CELLS,
    key_added: str = Key.obsm.TARGETS,
    random_state: int = 0,
    device: str = "auto",
    show_progress_bar: bool = True,
    copy: bool = False,
    **options: Any,
) -> AnnData | None:
    """Estimate the cell types of every spot from its counts and a reference of single cells.

    All slides of ``adata`` go into one model, as abundances of separate runs are not comparable. Everything is checked before
    a long run begins, and nothing is written unless it ends well.

    Parameters
    ----------
    %(adata)s
    reference
        Single cells with raw counts. Not needed where ``signatures`` are given.
    labels_key
        Column of ``reference.obs`` with the cell types. Cells without one are left out.
    method
        A name from :func:`list_deconvolution_methods`.
    %(library_key)s
    layer, reference_layer
        Layer with the raw counts of ``adata`` and of ``reference``; default ``X``.
    batch_key
        Column of ``reference.obs`` with the batch of each cell, for methods that know batches (cell2location).
    signatures
        Mean counts of one cell of each type, genes × cell types, to leave out their estimation; those of an earlier run
        come from ``get.signatures(adata)``.
    genes
        Genes to use. By default those that are found in more than 3 %% of the cells, or in more than 5 cells with more than
        1.12 counts on average where they are found, without those of mitochondria.
    min_genes
        How many genes must be shared: by default 500, or half of the genes of the smaller table where that is less, so
        that small panels pass.
    min_cells
        Cell types with fewer cells are reported and left out: a mean of few cells is mostly chance.
    %(key_added)s
    %(random_state)s
    device
        ``"auto"`` (CUDA, then CPU), or a name that torch knows.
    %(show_progress_bar)s
    %(copy)s
    **options
        Options of the method; :func:`list_deconvolution_methods` shows them with their defaults. The most important:
        ``n_cells_per_location`` (cell2location, nnls; default 30): cells in a spot on average, best counted in a few tiles
        of the image, as counts alone do not tell the scale. ``detection_alpha`` (cell2location; default 20): how alike
        spots of a slide are in how well they are counted; use 200 where there are no technical differences within a
        slide. ``statistic`` (cell2location; default ``"q05"``): which of ``"q05"`` and ``"mean"`` becomes the table.
        ``max_epochs``.

    Returns
    -------
    None, or the copy.

    Raises
    ------
    MissingDependencyError
        The method needs a package that is not installed.
    MissingKeyError
        There is no such layer or column.
    AlignmentError
        Barcodes stand twice, or ``adata`` and ``reference`` have changed places.
    TargetError
        Counts are not whole, negative or not finite, genes stand twice, too few genes are shared, there are fewer than two
        cell types, or no spot has counts.
    InputError
        A method, an option or a value is unknown.
    ModelError
        Training diverged.

    Warns
    -----
    DroppedSpotsWarning
        Some spots have no counts of the genes used: their rows stay and are NaN.
    HistodeconWarning
        Cell types or cells are left out.

    Notes
    -----
    Writes ``obsm[key_added]``, a DataFrame (n_obs, n_types): cells per spot for cell2location (its 5 %% quantile, which does
    not count cells that may well be absent) and nnls, proportions for stereoscope and destvi. cell2location also
    writes ``obsm[f"{key_added}_mean"]``, ``_q05`` and ``_sd``. Signatures go to ``varm[f"{key_added}_signatures"]``, NaN for
    genes not used. ``uns["histodecon"]["deconvolution"][key_added]`` keeps the method, its options, versions of
    packages, cells of each type and the loss of each epoch, which ``pl.deconvolution`` draws.

    cell2location trains until its loss is flat, see the option ``tolerance``, and takes its posterior in closed form, so
    that memory does not grow with a number of draws.

    Examples
    --------
    >>> import histodecon as hd
    >>> adata = hd.datasets.toy_slide()["table"]
    >>> reference = hd.datasets.toy_reference()
    >>> hd.tl.deconvolve(adata, reference, labels_key="cell_type", method="nnls", n_cells_per_location=8)
    >>> adata.uns["histodecon"]["tables"]["cell_abundance"]["kind"]
    'abundance'
    >>> float(adata.obsm["cell_abundance"].sum(axis=1).mean().round(6))
    8.0
    """
    adata = table_of(adata)
    card = get_deconvolution_method(method)
    settings = card.options(options)
    card.require_packages()
    require_spots(adata)
    require_unique_names(adata)
    require_safe_key(key_added, "key_added")
    given = DeconvolutionInput(
        labels_key=labels_key,
        library_key=library_key,
        batch_key=batch_key,
        layer=layer,
        reference_layer=reference_layer,
        signatures=signatures,
        genes=genes,
        min_genes=min_genes,
        min_cells=min_cells,
    )
    how = {"random_state": random_state, "device": device, "show_progress_bar": show_progress_bar}
    task, left_out = make_task(adata, reference, card, given, **how)
    safe_columns(task.cell_types)
    result = card.run(task, settings)
    out = adata.copy() if copy else adata
    _write(out, key_added, task, result, card)
    record = _record(task, result, card, settings) | {
        "labels_key": labels_key or "",
        "n_genes_left_out": left_out.n_genes,
    }
    set_uns_branch(out, Key.uns.DECONVOLUTION, {**uns_branch(out, Key.uns.DECONVOLUTION), key_added: record})
    tell_what_is_left_out(left_out, min_cells)
    return out if copy else None


def _write(
    adata: AnnData, key: str, task: DeconvolutionTask, result: DeconvolutionResult, card: DeconvolutionCard
) -> None:
    """Rows by barcode: a spot that took no part keeps its row, with NaN."""
    record = {"source": f"deconvolve: {card.name}", "n_spots": len(task.barcodes)}

    def rows(values: NDArray[np.float64]) -> pd.DataFrame:
        return pd.DataFrame(values, index=task.barcodes, columns=list(task.cell_types)).reindex(adata.obs_names)

    companions = {name: rows(values) for name, values in result.statistics.items()}
    write_with_companions(adata, key, rows(result.abundance), companions, kind=card.kind, record=record)
    if result.signatures is not None:
        signatures = result.signatures.set_axis(safe_columns(task.cell_types), axis=1)
        adata.varm[f"{key}{Key.varm.SIGNATURES}"] = signatures.reindex(adata.var_names)


def _record(
    task: DeconvolutionTask, result: DeconvolutionResult, card: DeconvolutionCard, settings: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "method": card.name,
        "kind": card.kind,
        "citation": card.citation,
        "options": {name: "" if value is None else value for name, value in settings.items()},
        "random_state": int(task.random_state),
        "cell_types": np.array(task.cell_types, dtype=object),
        "n_cells": np.array([int((task.labels == name).sum()) for name in task.cell_types]),
        "signatures": "given"
        if task.signatures is not None
        else "estimated"
        if result.signatures is not None
        else "none",
        "n_genes": len(task.genes),
        "n_spots": len(task.barcodes),
        "libraries": np.array(list(dict.fromkeys(task.libraries)), dtype=object),
        "versions": {name: metadata.version(DISTRIBUTIONS.get(name, name)) for name in ("histodecon", *card.packages)},
        "history": {name: np.asarray(losses, dtype=np.float64) for name, losses in result.history.items()},
    }
