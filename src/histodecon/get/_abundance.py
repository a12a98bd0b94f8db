"""Abundance tables as an AnnData of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from histodecon._core import (
    UNITS,
    InputError,
    Key,
    MissingKeyError,
    doc,
    first_names,
    read_table,
    table_keys,
    table_kind,
    table_of,
)

if TYPE_CHECKING:
    from anndata import AnnData

ANNOTATES = "spatialdata_attrs"  # what SpatialData asks to find the shapes of a table
LAYERS = {
    "target": Key.obsm.TARGETS,
    "predicted": Key.obsm.PREDICTED,
    "crossval": Key.obsm.CROSS_VALIDATED,
    "lower": Key.obsm.PREDICTED_LOWER,
    "upper": Key.obsm.PREDICTED_UPPER,
}


@doc
def abundance(adata: AnnData, *, layers: Mapping[str, str] | None = None, use: str | None = None) -> AnnData:
    """Make an AnnData of spots × cell types, so that scanpy and squidpy work on cell types as on genes.

    Parameters
    ----------
    %(adata)s
    layers
        From layer name to key of ``obsm``. Default: ``target``, ``predicted``, ``crossval``, ``lower`` and ``upper`` from
        ``"cell_abundance"``, ``"predicted_abundance"``, ``"crossval_abundance"``, ``"predicted_abundance_lower"`` and
        ``"predicted_abundance_upper"``, those that are there.
    use
        Layer to put into ``X`` as well. Default: the first.

    Returns
    -------
    New AnnData, float64, ``var_names`` are the real cell-type names. It carries ``obs``, ``obsm["spatial"]`` and
    ``uns["spatial"]`` and, of a table of a SpatialData, what ties it to its spots, so that ``sdata["cell_types"] = cells`` shows up
    in spatialdata-plot and napari; ``uns["layers"]`` says for each layer its ``key``, ``kind`` and ``unit``; the column of ``var`` with
    a layer's name says which types it has. A type that a layer lacks is NaN there.

    Raises
    ------
    MissingKeyError
        A named table is absent, or none of the default ones is there.
    InputError
        ``use`` names no layer.

    Examples
    --------
    >>> import histodecon as hd
    >>> adata = hd.datasets.toy_slide()["table"]
    >>> cells = hd.get.abundance(adata, layers={"true": "true_abundance"})
    >>> list(cells.layers), "T-cells" in cells.var_names
    (['true'], True)

    Then, for example, ``squidpy.pl.spatial_scatter(cells, color="T-cells", layer="true")``.
    """
    import anndata as ad

    adata = table_of(adata)
    chosen = _choose(adata, layers)
    first = use or next(iter(chosen))
    if first not in chosen:
        msg = f"use={use!r} is no layer"
        raise InputError(
            msg, where=f"layers: {first_names(chosen)}", fix=f'use `use="{next(iter(chosen))}"`', code="BI-104"
        )
    tables = {layer: read_table(adata, key) for layer, key in chosen.items()}
    names = pd.Index(dict.fromkeys(name for table in tables.values() for name in table.columns), dtype=object)
    var = pd.DataFrame({layer: names.isin(table.columns) for layer, table in tables.items()}, index=names)
    values = {layer: table.reindex(columns=names).to_numpy() for layer, table in tables.items()}
    cells = ad.AnnData(X=values[first].copy(), obs=adata.obs.copy(), var=var, layers=values)
    if Key.obsm.SPATIAL in adata.obsm:
        cells.obsm[Key.obsm.SPATIAL] = np.array(adata.obsm[Key.obsm.SPATIAL])
    if Key.uns.SPATIAL in adata.uns:
        cells.uns[Key.uns.SPATIAL] = _slides_present(adata)
    annotates = dict(adata.uns.get(ANNOTATES, {}))
    if {annotates.get("region_key"), annotates.get("instance_key")} <= set(adata.obs.columns):
        cells.uns[ANNOTATES] = annotates
    kinds = {layer: table_kind(adata, key) for layer, key in chosen.items()}
    cells.uns["layers"] = {
        layer: {"key": key, "kind": kinds[layer], "unit": UNITS[kinds[layer]]} for layer, key in chosen.items()
    }
    return cells


def _choose(adata: AnnData, layers: Mapping[str, str] | None) -> dict[str, str]:
    chosen = dict(layers) if layers is not None else {layer: key for layer, key in LAYERS.items() if key in adata.obsm}
    if not chosen:
        msg = "There is no abundance table"
        raise MissingKeyError(
            msg,
            where=f"tables present in obsm: {first_names(table_keys(adata), 8)}",
            fix='run `histodecon.tl.predict_abundance(adata)`, or name one with `layers={"predicted": key}`',
            code="BI-87",
        )
    return chosen


def _slides_present(adata: AnnData) -> dict[str, Any]:
    """Pictures of the slides that the rows come from: squidpy asks which one is meant where there are several."""
    slides = dict(adata.uns[Key.uns.SPATIAL])
    if Key.obs.LIBRARY not in adata.obs:
        return slides
    present = {name: slide for name, slide in slides.items() if name in set(adata.obs[Key.obs.LIBRARY].astype(str))}
    return present or slides
