"""What stands beside predictions: bounds, and which spots are unlike those of training."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from histodecon._core import HistodeconWarning, Key, first_names, set_uns_branch, table_record, uns_branch, write_table

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray

    from histodecon.models import AbundanceRegressor

MANY = 0.5
BOUNDS = ("lower", "upper")


@dataclass(frozen=True)
class Trust:
    """What a model says of its own predictions.

    Parameters
    ----------
    novelty
        Shape (n,), above 1 out of distribution; None where the model does not know its training spots.
    false_alarm
        Share of held-out training spots above 1.
    bounds
        Lower and upper, shape (n, K) each; None where the model is not calibrated.
    coverage
        What they aim at.
    read
        Spots whose prediction is meant to be read, shape (n,).
    """

    novelty: NDArray[np.float64] | None
    false_alarm: float
    bounds: tuple[NDArray[np.float64], NDArray[np.float64]] | None
    coverage: float
    read: NDArray[np.bool_]

    @classmethod
    def of(
        cls,
        model: AbundanceRegressor,
        X: NDArray,
        predicted: NDArray[np.float64],
        read: NDArray[np.bool_],
        coverage: float,
    ) -> Trust:
        """Ask a model.

        Parameters
        ----------
        model
            The regressor.
        X
            Embeddings, shape (n, d).
        predicted
            What it predicted for them, shape (n, K).
        read
            Spots whose prediction is meant to be read.
        coverage
            What bounds aim at.

        Returns
        -------
        The answer; bounds are NaN where nothing is read.
        """
        bounds = None
        if model.calibration_ is not None:
            bounds = model.calibration_.interval(np.where(read[:, None], predicted, np.nan), coverage)
        if model.novelty_ is None:
            return cls(None, np.nan, bounds, coverage, read)
        return cls(model.novelty_.score(X), model.novelty_.facts_["false_alarm"], bounds, coverage, read)

    @property
    def beyond(self) -> NDArray[np.bool_]:
        """Spots out of distribution."""
        return np.zeros(len(self.read), dtype=bool) if self.novelty is None else self.novelty > 1

    def record(self) -> dict[str, Any]:
        """Facts for the record of the table."""
        facts: dict[str, Any] = {"calibrated": self.bounds is not None}
        return facts | ({} if self.novelty is None else {"n_out_of_distribution": int(self.beyond.sum())})


def columns_of(key: str) -> tuple[str, str]:
    """Name the columns of ``obs`` that belong to a table of predictions.

    Parameters
    ----------
    key
        Key of the table.

    Returns
    -------
    The columns for novelty and for spots out of distribution.
    """
    names = (Key.obs.NOVELTY, Key.obs.OUT_OF_DISTRIBUTION)
    return names if key == Key.obsm.PREDICTED else (f"{key}_{names[0]}", f"{key}_{names[1]}")


def write_trust(adata: AnnData, key: str, trust: Trust, table: pd.DataFrame, *, kind: str) -> None:
    """Write what stands beside a table of predictions; what an older model left there goes away.

    Parameters
    ----------
    adata
        Where to write.
    key
        Key of the table.
    trust
        What the model says.
    table
        The table, for the names of rows and columns.
    kind
        Its kind.
    """
    if trust.bounds is None:
        _forget(adata, key)
    else:
        for name, values in zip(BOUNDS, trust.bounds, strict=True):
            bound = pd.DataFrame(values, index=table.index, columns=table.columns)
            record = {"bound_of": key, "bound": name, "coverage": float(trust.coverage)}
            write_table(adata, f"{key}_{name}", bound, kind=kind, record=record)
    novelty, beyond = columns_of(key)
    if trust.novelty is not None:
        adata.obs[novelty], adata.obs[beyond] = trust.novelty, trust.beyond
    else:
        for column in (novelty, beyond):
            if column in adata.obs:
                del adata.obs[column]


def _forget(adata: AnnData, key: str) -> None:
    own = [f"{key}_{name}" for name in BOUNDS]
    own = [one for one in own if (table_record(adata, one) or {}).get("bound_of") == key]
    if own:
        tables = {name: record for name, record in uns_branch(adata, Key.uns.TABLES).items() if name not in own}
        set_uns_branch(adata, Key.uns.TABLES, tables)
    for one in own:
        if one in adata.obsm:
            del adata.obsm[one]


def warn_novel(adata: AnnData, key: str, trust: Trust) -> None:
    """Say so when most spots are unlike those of training.

    Parameters
    ----------
    adata
        The table.
    key
        Key of the predictions.
    trust
        What the model says.

    Warns
    -----
    HistodeconWarning
        More than half of the spots that are read are out of distribution.
    """
    beyond = trust.beyond & trust.read
    if beyond.sum() <= MANY * trust.read.sum():
        return
    warnings.warn(
        f"[HD-BI-91] {int(beyond.sum())} of {int(trust.read.sum())} spots are unlike the spots of training: "
        f"{first_names(adata.obs_names[beyond])}. Their novelty is above 1, which only {trust.false_alarm:.0%} of held-out "
        "training spots were, so their predictions may mean nothing. Stain, focus, scale or organ may differ: look with "
        f'`histodecon.pl.tiles(data)`; obs["{columns_of(key)[1]}"] tells these spots apart.',
        HistodeconWarning,
        stacklevel=4,
    )
