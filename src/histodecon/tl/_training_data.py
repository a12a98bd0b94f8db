"""Embeddings, targets and groups of the spots that can be learned from."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from histodecon._core import (
    FallbackWarning,
    HistodeconError,
    InputError,
    Key,
    TargetError,
    digest,
    embedding_keys,
    first_names,
    obs_column,
    raise_together,
    read_embedding,
    read_table,
    require_spots,
    require_unique_names,
    table_kind,
)
from histodecon.models import EncoderRecord, GeneCounts, posterior_weights
from histodecon.tl._companions import read_sd

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray


@dataclass(frozen=True)
class TrainingData:
    """What training reads from an AnnData.

    Parameters
    ----------
    X
        Embeddings side by side, float32, shape (n_obs, d).
    records
        Encoder of each block.
    Y
        Targets, shape (n_obs, K); NaN rows have none.
    cell_types
        Names of the columns of ``Y``.
    kind
        ``"abundance"`` or ``"proportion"``.
    measured
        Spots with targets, shape (n_obs,).
    sd
        Standard deviations of the targets, where they shall weigh them.
    """

    X: NDArray[np.float32]
    records: tuple[EncoderRecord, ...]
    Y: NDArray[np.float64]
    cell_types: tuple[str, ...]
    kind: str
    measured: NDArray[np.bool_]
    sd: NDArray[np.float64] | None = None

    def weights(self, rows: NDArray, transform: str) -> NDArray[np.float64] | None:
        """How much the targets of some spots count, from nothing but these spots.

        Parameters
        ----------
        rows
            The spots, a mask or positions.
        transform
            Scale the targets are learned on.

        Returns
        -------
        Shape (rows, K), or None where all count alike.
        """
        return None if self.sd is None else posterior_weights(self.Y[rows], self.sd[rows], transform=transform)

    def sha256(self) -> str:
        """Digest what is learned from: embeddings and targets of the spots with targets, in order."""
        rows = np.flatnonzero(self.measured)
        parts = (part for some in np.array_split(rows, len(rows) // 1024 + 1) for part in (self.X[some], self.Y[some]))
        return digest(*parts)


def read_training_data(
    adata: AnnData, use_rep: str | Sequence[str] | None, targets: str, weights: str | None = None
) -> TrainingData:
    """Read and check everything training needs; faults of embeddings and targets are told together.

    Parameters
    ----------
    adata
        Where to read.
    use_rep
        Key or keys of the embeddings; None reads no embedding.
    targets
        Key of the targets.
    weights
        ``"posterior"`` reads their standard deviations too.

    Returns
    -------
    The data.

    Raises
    ------
    MissingKeyError
        A key is absent.
    InputError
        There are no spots, or an embedding is not usable.
    TargetError
        A target is negative, or a spot has only some of its targets.
    """
    if weights not in {None, "posterior"}:
        msg = f"Unknown option weights={weights!r}"
        raise InputError(msg, fix='use `weights="posterior"`, or leave it out', code="BI-72")
    require_spots(adata)
    require_unique_names(adata)
    faults: list[HistodeconError] = []
    X, records = np.empty((adata.n_obs, 0), dtype=np.float32), tuple[EncoderRecord, ...]()
    try:
        if use_rep is not None:
            X, records = read_embeddings(adata, use_rep)
    except HistodeconError as error:
        faults.append(error)
    try:
        table = read_table(adata, targets)
        kind = table_kind(adata, targets)
        measured = _measured(adata, targets, table.to_numpy())
        sd = read_sd(adata, targets, measured, tuple(map(str, table.columns))) if weights is not None else None
    except HistodeconError as error:
        faults.append(error)
    raise_together(faults)
    return TrainingData(X, records, table.to_numpy(), tuple(map(str, table.columns)), kind, measured, sd)


def data_of_genes(adata: AnnData, use_rep: str | Sequence[str], genes: GeneCounts) -> TrainingData:
    """Read what a learner needs that genes alone teach: spots with counts, no targets.

    Parameters
    ----------
    adata
        Where to read.
    use_rep
        Key or keys of the embeddings.
    genes
        Counts of all spots, with signatures.

    Returns
    -------
    The data; targets are NaN.

    Raises
    ------
    InputError
        Fewer than two spots have counts, or an embedding is not usable.
    """
    require_spots(adata)
    require_unique_names(adata)
    X, records = read_embeddings(adata, use_rep)
    measured = genes.totals() > 0
    if measured.sum() < 2:
        msg = f"{int(measured.sum())} of {adata.n_obs} spots have counts of the genes that have signatures"
        raise InputError(msg, fix="another `layer=`, or signatures of the same genes", code="BI-58")
    nothing = np.full((adata.n_obs, len(genes.cell_types)), np.nan)
    return TrainingData(X, records, nothing, genes.cell_types, "abundance", measured)


def read_embeddings(
    adata: AnnData, use_rep: str | Sequence[str]
) -> tuple[NDArray[np.float32], tuple[EncoderRecord, ...]]:
    """Read embeddings side by side with the record of each.

    Parameters
    ----------
    adata
        Where to read.
    use_rep
        Key or keys, in order.

    Returns
    -------
    float32 of shape (n_obs, d), and the records.
    """
    pairs = [read_embedding(adata, key) for key in embedding_keys(use_rep)]
    X = pairs[0][0] if len(pairs) == 1 else np.concatenate([values for values, _ in pairs], axis=1)
    return X, tuple(EncoderRecord.from_dict(record) for _, record in pairs)


def _measured(adata: AnnData, key: str, values: NDArray[np.float64]) -> NDArray[np.bool_]:
    finite = np.isfinite(values)
    measured = np.asarray(finite.all(axis=1))
    partial = ~measured & ~np.isnan(values).all(axis=1)
    faults: list[HistodeconError] = []
    if partial.any():
        what = f"obsm[{key!r}] has no finite value for some cell types of a spot"
        where = f"{int(partial.sum())} of {len(values)} spots: {first_names(adata.obs_names[partial])}"
        why = "a spot is learned from as a whole or not at all"
        fix = f'`histodecon.tl.set_targets(adata, "{key}", key_added="{key}", nan="mask")` leaves these spots out'
        faults.append(TargetError(what, where=where, why=why, fix=fix, code="BI-60"))
    with np.errstate(invalid="ignore"):
        negative = (values < 0).any(axis=1)
    if negative.any():
        what, where = f"obsm[{key!r}] has negative values", first_names(adata.obs_names[negative])
        why, fix = "there are no fewer than 0 cells", "set targets on their own scale, not their logarithm"
        faults.append(TargetError(what, where=f"{int(negative.sum())} spots: {where}", why=why, fix=fix, code="BI-59"))
    if not faults and measured.sum() < 2:
        what, where = f"obsm[{key!r}] has targets for {int(measured.sum())} spots", f"{len(values)} spots in all"
        faults.append(InputError(what, where=where, fix="`histodecon.tl.set_targets(adata, targets)`", code="BI-31"))
    raise_together(faults)
    return measured


def training_groups(adata: AnnData, groupby: str | None) -> NDArray | None:
    """Read the independent unit of each spot; without the default column all spots are one unit, and that is said.

    Parameters
    ----------
    adata
        Where to read.
    groupby
        Column of ``obs``, or None for one unit.

    Returns
    -------
    Labels of shape (n_obs,), or None.

    Warns
    -----
    FallbackWarning
        The default column is absent.
    """
    if groupby is None:
        return None
    if groupby == Key.obs.PATIENT and groupby not in adata.obs:
        text = f"obs[{groupby!r}] is absent: held-in spots instead of held-in patients decide when training stops."
        fix = f'Add `adata.obs["{groupby}"]`, name another column with `groupby=`, or say `groupby=None`.'
        warnings.warn(f"[HD-BI-37] {text} {fix}", FallbackWarning, stacklevel=3)
        return None
    return obs_column(adata, groupby)
