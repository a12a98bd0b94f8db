"""Rows that are parts of spots, such as nuclei, and the spots they name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np
import pandas as pd

from histodecon._core import InputError, Key, MissingKeyError, first_names, read_table, table_kind

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray

Spread = Callable[[pd.DataFrame], pd.DataFrame]


def named_spots(adata: AnnData, by: str) -> NDArray[np.object_]:
    """Read the spot that each row names.

    Parameters
    ----------
    adata
        Table of parts.
    by
        Column of ``obs``.

    Returns
    -------
    Names, shape (n_obs,); ``""`` for a row of no spot.

    Raises
    ------
    MissingKeyError
        The column is absent.
    InputError
        No row names a spot.
    """
    if by not in adata.obs:
        msg = f"obs[{by!r}] is absent"
        where = f"columns present: {first_names(adata.obs.columns, 8)}"
        fix = "`histodecon.pp.embed_nuclei` writes the spot of every nucleus"
        raise MissingKeyError(msg, where=where, fix=fix, code="BI-37")
    column = adata.obs[by].astype(object)
    names = np.where(column.isna(), "", column.astype(str)).astype(object)
    if not (names != "").any():
        msg = f"obs[{by!r}] names no spot"
        fix = "nuclei and spots of the same slides; `histodecon.pp.embed_nuclei` says which spot each lies in"
        raise InputError(msg, where=f"{adata.n_obs} rows", why="no row is part of a spot", fix=fix, code="BI-124")
    return names


def is_table(targets: Any) -> TypeGuard[AnnData]:
    """Tell an AnnData from other forms of targets.

    Parameters
    ----------
    targets
        Anything.

    Returns
    -------
    True for an AnnData.
    """
    return hasattr(targets, "obsm") and hasattr(targets, "obs_names")


def own_targets(spots: AnnData, kind: str | None) -> tuple[pd.DataFrame, str]:
    """Read the targets that a table of spots has.

    Parameters
    ----------
    spots
        The table.
    kind
        As stated by a user, or None.

    Returns
    -------
    Rows of spots with targets, under the real names of the cell types, and their kind.
    """
    table = read_table(spots, Key.obsm.TARGETS).dropna(how="all")
    return table, kind or table_kind(spots, Key.obsm.TARGETS)


def places_of_targets(adata: AnnData, by: str | None, library_key: str) -> tuple[AnnData, Spread]:
    """Find what targets are matched with: the rows themselves, or the spots that they name.

    Parameters
    ----------
    adata
        Table of spots, or of parts.
    by
        Column of ``obs`` with the spot of each part; None for spots.
    library_key
        Column of ``obs`` that tells slides apart, kept where it is there.

    Returns
    -------
    Table with one row a spot, and the function that gives every part the row of its spot, NaN without one.
    """
    if by is None:
        return adata, lambda table: table
    import anndata as ad

    names = named_spots(adata, by)
    inside = names != ""
    kept = [library_key] if library_key in adata.obs else []
    obs = adata.obs.loc[inside, kept].set_axis(names[inside])
    spots = ad.AnnData(obs=obs[~obs.index.duplicated()])
    return spots, lambda table: table.reindex(names).set_axis(adata.obs_names)
