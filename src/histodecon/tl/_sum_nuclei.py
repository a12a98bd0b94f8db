"""From nuclei back to spots."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from histodecon._core import (
    AlignmentError,
    DroppedSpotsWarning,
    InputError,
    Key,
    doc,
    first_names,
    read_table,
    require_spots,
    require_unique_names,
    table_kind,
    table_of,
    write_table,
)
from histodecon.tl._checks import require_safe_key
from histodecon.tl._parts_of_spots import named_spots

if TYPE_CHECKING:
    from anndata import AnnData


@doc
def sum_nuclei(
    adata: AnnData,
    spots: AnnData,
    *,
    predicted: str = Key.obsm.PREDICTED,
    by: str = Key.obs.SPOT,
    key_added: str = Key.obsm.PREDICTED,
    copy: bool = False,
) -> AnnData | None:
    """Add up what is predicted for the nuclei of every spot.

    Parameters
    ----------
    adata
        Table of nuclei with predictions.
    spots
        Table of spots; the sums are written here.
    predicted
        Key of ``adata.obsm`` with the predictions of nuclei.
    by
        Column of ``adata.obs`` with the spot of each nucleus, ``""`` for none.
    %(key_added)s
    copy
        Return a copy of ``spots`` instead of changing it.

    Returns
    -------
    None, or the copy.

    Raises
    ------
    MissingKeyError
        The predictions or the column are absent.
    InputError
        Predictions are proportions, which do not add up, or no nucleus lies in a spot.
    AlignmentError
        No spot is in both tables.

    Warns
    -----
    DroppedSpotsWarning
        Some nuclei name spots that are not there, or have no prediction: they are not counted.

    Notes
    -----
    Writes ``spots.obsm[key_added]``, a DataFrame (n_spots, n_types), cells per spot, 0 for a spot without nuclei, and its record
    in ``uns["histodecon"]["tables"][key_added]`` with ``source``, ``n_nuclei`` that were counted and ``n_spots_without_nuclei``.
    Sums are taken in float64: nothing is lost and nothing rescaled. For nuclei whose sums are what was measured, use
    :func:`histodecon.tl.super_resolve` on them.

    Examples
    --------
    >>> import histodecon as hd, pandas as pd
    >>> sdata = hd.datasets.toy_slide(n_rows=4, n_cols=4, nuclei=True)
    >>> def mean_color(crops):
    ...     return crops.mean(axis=(1, 2))
    >>> hd.pp.embed_nuclei(sdata, mean_color, nuclei="toy_1_nuclei", show_progress_bar=False)
    >>> nuclei, spots = sdata["nuclei"], sdata["table"]
    >>> truth = pd.get_dummies(sdata["toy_1_nuclei"]["cell_type"], dtype=float).set_axis(nuclei.obs_names)
    >>> hd.tl.set_targets(nuclei, truth, kind="abundance")
    >>> hd.tl.sum_nuclei(nuclei, spots, predicted="cell_abundance")
    >>> bool((spots.obsm["predicted_abundance"].to_numpy() == spots.obsm["true_abundance"].to_numpy()).all())
    True
    """
    adata, spots = table_of(adata), table_of(spots)
    for table in (adata, spots):
        require_spots(table)
        require_unique_names(table)
    require_safe_key(key_added, "key_added")
    values = read_table(adata, predicted)
    if table_kind(adata, predicted) == "proportion":
        msg = f"obsm[{predicted!r}] holds proportions, which do not add up to a spot"
        raise InputError(msg, fix="train on abundances, cells per spot", code="BI-61")
    names = named_spots(adata, by)
    place = spots.obs_names.get_indexer(names)
    counted = (place >= 0) & np.isfinite(values.to_numpy()).all(axis=1)
    if not (place >= 0).any():
        msg, fix = (
            "No spot is in both tables",
            "hand in the spots that `histodecon.pp.embed_nuclei` saw, or name another column, `by=`",
        )
        where = f"nuclei name {first_names(pd.unique(names[names != '']))}; spots are {first_names(spots.obs_names)}"
        raise AlignmentError(msg, where=where, why="rows are matched by name", fix=fix, code="BI-05")
    sums = np.zeros((spots.n_obs, values.shape[1]))
    np.add.at(sums, place[counted], values.to_numpy()[counted])
    empty = np.bincount(place[counted], minlength=spots.n_obs) == 0
    record = {
        "source": f"sum_nuclei: {predicted}",
        "n_nuclei": int(counted.sum()),
        "n_spots_without_nuclei": int(empty.sum()),
    }
    out = spots.copy() if copy else spots
    table = pd.DataFrame(sums, index=spots.obs_names, columns=list(values.columns))
    write_table(out, key_added, table, kind="abundance", record=record)
    _warn_uncounted(adata, names, counted)
    return out if copy else None


def _warn_uncounted(adata: AnnData, names: np.ndarray, counted: np.ndarray) -> None:
    lost = (names != "") & ~counted
    if lost.any():
        text = f"{int(lost.sum())} of {adata.n_obs} nuclei lie in spots that are not there, or have no prediction"
        warnings.warn(f"{text}: {first_names(adata.obs_names[lost])}.", DroppedSpotsWarning, stacklevel=3)
