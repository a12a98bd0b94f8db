"""Embeddings that are made anew for every fold, without the groups that it leaves out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from histodecon._core import Key
from histodecon.tl._folds import Fold, check_leaks
from histodecon.tl._training_data import TrainingData, read_training_data

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray

FoldStep = Callable[..., "str | Sequence[str]"]
"""Called with a table and the names of the groups left out; returns the key or keys of ``obsm`` that it wrote."""


def fold_data(
    adata: AnnData,
    step: FoldStep,
    folds: Sequence[Fold],
    labels: NDArray,
    targets: str,
    weights: str | None,
    groupby: str,
) -> Iterator[tuple[Fold, TrainingData]]:
    """Make the embedding of every fold and read it.

    Parameters
    ----------
    adata
        The table; it is not written to.
    step
        What makes the embedding.
    folds
        The folds.
    labels
        Group of each spot, shape (n_obs,).
    targets
        Key of the targets.
    weights
        ``"posterior"`` reads their standard deviations too.
    groupby
        Name of the column of groups, for errors.

    Yields
    ------
    Fold and data.
    """
    for fold in folds:
        table = light_table(adata, counts=True)
        held_out = sorted({str(name) for name in labels[fold.test]})
        data = read_training_data(table, step(table, held_out), targets, weights)
        check_leaks(labels, data.X, [fold], groupby)
        yield fold, data


def light_table(adata: AnnData, *, counts: bool) -> AnnData:
    """Make a table that shares the arrays of another, to which one may write.

    Parameters
    ----------
    adata
        The table.
    counts
        Whether it also needs genes: ``X``, layers and signatures.

    Returns
    -------
    The new table.
    """
    import anndata as ad

    known = {Key.uns.ROOT: dict(adata.uns[Key.uns.ROOT])} if Key.uns.ROOT in adata.uns else {}
    root = known.get(Key.uns.ROOT, {})
    root |= {name: dict(branch) for name, branch in root.items() if isinstance(branch, Mapping)}
    parts: dict[str, Any] = {}
    if counts:
        parts = {"X": adata.X, "var": adata.var[[]].copy(), "varm": dict(adata.varm), "layers": dict(adata.layers)}
    return ad.AnnData(obs=adata.obs.copy(), obsm=dict(adata.obsm), obsp=dict(adata.obsp), uns=known, **parts)
