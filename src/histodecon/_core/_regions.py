"""What a table of a SpatialData annotates, and where that stands."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from histodecon._core._keys import Key

if TYPE_CHECKING:
    from anndata import AnnData


def region_labels(adata: AnnData) -> np.ndarray | None:
    """Read which element every row annotates.

    Parameters
    ----------
    adata
        The table.

    Returns
    -------
    Array of str, shape (n_obs,); None when nothing is annotated, some rows annotate nothing, or there is one element and
    ``uns["spatial"]`` has a name for it.
    """
    column = adata.uns.get("spatialdata_attrs", {}).get("region_key")
    if column not in adata.obs or adata.obs[column].isna().any():
        return None
    labels = adata.obs[column].astype(str).to_numpy(dtype=object)
    one = len(set(labels)) <= 1
    return None if one and len(adata.uns.get(Key.uns.SPATIAL, {})) else labels


def spot_systems(data: Any, adata: AnnData, rows: np.ndarray) -> list[str]:
    """Find the coordinate systems whose unit is that of the spots' coordinates.

    Parameters
    ----------
    data
        SpatialData.
    adata
        Its table.
    rows
        Rows of one slide.

    Returns
    -------
    Names; empty when the rows annotate no circles or squares.
    """
    from spatialdata.transformations import get_transformation

    column = adata.uns.get("spatialdata_attrs", {}).get("region_key")
    if column not in adata.obs:
        return []
    regions: Iterable[str] = adata.obs[column].iloc[rows].dropna().astype(str).unique()
    found = []
    for region in regions:
        if region in data.shapes:
            known = get_transformation(data.shapes[region], get_all=True)
            matrices = {name: t.to_affine_matrix(("x", "y"), ("x", "y")) for name, t in known.items()}
            found += [name for name, matrix in matrices.items() if np.allclose(matrix, np.eye(3))]
    return found
