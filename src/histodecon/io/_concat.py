"""Slides of several tables in one."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from histodecon._core import (
    AlignmentError,
    HistodeconWarning,
    InputError,
    Key,
    doc,
    first_names,
    is_spatialdata,
    iter_libraries,
    require_unique_names,
    set_slide_notes,
    slide_notes,
    table_of,
    uns_branch,
)
from histodecon.io._concat_records import join_cell_types, join_embedding, join_uns

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

ELEMENTS = ("images", "labels", "points", "shapes")


@doc
def concat(
    adatas: Sequence[AnnData | SpatialData] | Mapping[str, AnnData | SpatialData],
    *,
    join: Literal["inner", "outer"] = "inner",
    index_unique: str | None = None,
    library_key: str = Key.obs.LIBRARY,
    table_key: str = Key.element.TABLE,
) -> AnnData | SpatialData:
    """Join tables, slide by slide, with all that is known about them.

    ``anndata.concat`` drops ``uns`` (pictures, size of a pixel, recipes of embeddings, models) and columns of ``obs`` that one table
    lacks, and cuts embeddings of different width to the smallest, without a word. Here records are joined, contradictions are refused,
    and what must be left out is told.

    Parameters
    ----------
    adatas
        At least two tables; or SpatialData, whose other elements are joined, too. A dict gives them names.
    join
        Genes that all tables have, or all genes, as in ``anndata.concat``.
    index_unique
        Put this and the name of the table behind every barcode, for example ``"-"``. Tables without a name are called as their
        slide, or are numbered.
    %(library_key)s
        Two tables cannot have the same slide. The same patient in two tables is one patient.
    %(table_key)s

    Returns
    -------
    A new table, or a SpatialData when SpatialData were handed in. Tables of cell types that some lack are NaN there, as are
    columns of ``obs``; training leaves such spots out.

    Raises
    ------
    AlignmentError
        Slides or barcodes are the same, cell types or widths differ.
    InputError
        Embeddings are of different recipes, or abundances meet proportions; or there are not two of one kind.

    Warns
    -----
    HistodeconWarning
        Something was left out: what not all tables have, and results about single tables.

    Examples
    --------
    >>> import histodecon as hd
    >>> both = hd.datasets.toy_slide(n_patients=2)["table"]
    >>> parts = [both[both.obs["patient"] == name].copy() for name in ("P1", "P2")]
    >>> for part in parts:
    ...     part.uns["spatial"] = {name: part.uns["spatial"][name] for name in part.obs["library_id"].unique()}
    >>> joined = hd.concat(parts)
    >>> joined.n_obs == both.n_obs
    True
    >>> sorted(joined.uns["spatial"])
    ['toy_1', 'toy_2']
    """
    parts = list(adatas.values()) if isinstance(adatas, Mapping) else list(adatas)
    if len(parts) < 2 or len({is_spatialdata(part) for part in parts}) > 1:
        msg = f"Expected at least two AnnData, or two SpatialData, got {len(parts)}"
        raise InputError(msg, fix="`histodecon.concat([one, other])`", code="BI-35")
    tables = [table_of(part, table_key) for part in parts]
    libraries = [[library for library, _ in iter_libraries(table, library_key)] for table in tables]
    names = list(adatas) if isinstance(adatas, Mapping) else _names(libraries)
    _require_different(tables, libraries, names, index_unique)
    _require_widths(tables, names)
    joined, lost = _join(tables, names, join, index_unique, library_key)
    lost += join_uns(joined, tables)
    if lost:
        text = f"[HD-BI-88] Not in the joined table, since not all tables have it, or not the same: {first_names(lost, 12)}."
        warnings.warn(text, HistodeconWarning, stacklevel=3)
    return _join_elements(parts, joined, table_key) if is_spatialdata(parts[0]) else joined


def _names(libraries: Sequence[Sequence[str]]) -> list[str]:
    return [one[0] if len(one) == 1 else str(i) for i, one in enumerate(libraries)]


def _require_different(
    tables: Sequence[AnnData], libraries: Sequence[Sequence[str]], names: Sequence[str], index_unique: str | None
) -> None:
    slides = [{*known, *table.uns.get(Key.uns.SPATIAL, {})} for known, table in zip(libraries, tables, strict=True)]
    twice = sorted({name for i, one in enumerate(slides) for other in slides[i + 1 :] for name in one & other})
    if twice:
        msg = "Tables hold slides of the same name"
        raise AlignmentError(
            msg,
            where=first_names(twice),
            why="what is known about a slide is kept under its name",
            fix='read each with its own `library_id=`; of a part of a table also cut `adata.uns["spatial"]`',
            code="BI-05",
        )
    for table in tables:
        require_unique_names(table)
    if index_unique is None:
        barcodes = tables[0].obs_names.append([table.obs_names for table in tables[1:]])
        if not barcodes.is_unique:
            msg = "Tables hold the same barcodes"
            where = first_names(barcodes[barcodes.duplicated()].unique())
            why = "rows are matched by barcode"
            fix = '`histodecon.concat(tables, index_unique="-")`'
            raise AlignmentError(msg, where=where, why=why, fix=fix, code="BI-05")
    elif len(set(names)) < len(names):
        msg = "Tables have the same name"
        raise AlignmentError(msg, where=first_names(names), fix="hand in a dict from name to table", code="BI-05")


def _require_widths(tables: Sequence[AnnData], names: Sequence[str]) -> None:
    for key in _shared(tables, "obsm"):
        kinds = [isinstance(table.obsm[key], pd.DataFrame) for table in tables]
        widths = [table.obsm[key].shape[1] for table in tables]
        if len(set(kinds)) > 1 or (not kinds[0] and len(set(widths)) > 1):
            msg = f"obsm[{key!r}] is not alike in all tables"
            where = ", ".join(f"{name}: {width} columns" for name, width in zip(names, widths, strict=True))
            why = "cutting to the smallest would mix what does not belong together"
            raise AlignmentError(msg, where=where, why=why, fix="make it anew in one way, or remove it", code="BI-89")


def _shared(tables: Sequence[AnnData], slot: str) -> list[str]:
    first, *others = (getattr(table, slot) for table in tables)
    return [key for key in first if all(key in one for one in others)]


def _join(
    tables: Sequence[AnnData],
    names: Sequence[str],
    join: Literal["inner", "outer"],
    suffix: str | None,
    library_key: str,
) -> tuple[AnnData, list[str]]:
    import anndata as ad

    bare = [
        ad.AnnData(
            X=one.X, obs=one.obs[[]], var=one.var, layers=dict(one.layers), obsp=dict(one.obsp), varm=dict(one.varm)
        )
        for one in tables
    ]
    joined = ad.concat(bare, join=join, merge="same", pairwise=True, keys=list(names), index_unique=suffix)
    joined.obs = _join_obs(tables, joined.obs_names, library_key)
    shared = {slot: set(_shared(tables, slot)) for slot in ("layers", "obsm", "obsp")}
    for key in dict.fromkeys(key for table in tables for key in table.obsm):
        having = [table for table in tables if key in table.obsm]
        if isinstance(having[0].obsm[key], pd.DataFrame):
            join_cell_types(joined, key, tables, names)
            shared["obsm"].add(key)
        elif len(having) == len(tables) and any(key in uns_branch(table, Key.uns.EMBEDDINGS) for table in tables):
            join_embedding(joined, key, tables, names)
        elif len(having) == len(tables):
            joined.obsm[key] = np.concatenate([np.asarray(table.obsm[key]) for table in tables])
    lost = [
        f"{slot}[{key!r}]"
        for slot, kept in shared.items()
        for key in dict.fromkeys(key for table in tables for key in getattr(table, slot))
        if key not in kept
    ]
    lost += [f"varm[{key!r}]" for key in dict.fromkeys(k for t in tables for k in t.varm) if key not in joined.varm]
    return joined, lost + (["raw"] if any(table.raw is not None for table in tables) else [])


def _join_obs(tables: Sequence[AnnData], barcodes: pd.Index, library_key: str) -> pd.DataFrame:
    obs = pd.DataFrame(index=barcodes)
    for column in dict.fromkeys(column for table in tables for column in table.obs):
        parts = [table.obs[column] for table in tables if column in table.obs]
        missing = len(parts) < len(tables)
        pieces = [table.obs[column] if column in table.obs else pd.Series([np.nan] * table.n_obs) for table in tables]
        values = np.concatenate([np.asarray(piece, dtype=object) for piece in pieces])
        if all(isinstance(part.dtype, pd.CategoricalDtype) for part in parts):
            known = dict.fromkeys(category for part in parts for category in part.cat.categories)
            obs[column] = pd.Categorical(values, categories=list(known))
        elif all(part.dtype.kind == "b" for part in parts):
            obs[column] = (
                pd.array(pd.Series(values).map(lambda v: pd.NA if v != v else v), "boolean")
                if missing
                else values.astype(bool)
            )
        else:
            obs[column] = pd.Series(values, index=barcodes).infer_objects()
    if library_key not in obs:
        labels = np.empty(len(barcodes), dtype=object)
        start = 0
        for table in tables:
            for library, rows in iter_libraries(table, library_key):
                labels[start + rows] = library
            start += table.n_obs
        obs[library_key] = pd.Categorical(labels)
    return obs


def _join_elements(parts: Sequence[Any], joined: AnnData, table_key: str) -> SpatialData:
    from spatialdata import SpatialData

    elements: dict[str, dict[str, Any]] = {}
    for kind in ELEMENTS:
        pairs = [(name, element) for part in parts for name, element in getattr(part, kind).items()]
        elements[kind] = dict(pairs)
        if len(elements[kind]) < len(pairs):
            twice = sorted({name for name, _ in pairs if sum(name == other for other, _ in pairs) > 1})
            msg = f"Several SpatialData hold {kind} of the same name"
            raise AlignmentError(msg, where=first_names(twice), fix="rename them in one", code="BI-05")
    data = SpatialData(**elements, tables={table_key: joined})
    notes = {library: record for part in parts for library, record in slide_notes(part).items()}
    if any(part.attrs for part in parts):
        set_slide_notes(data, notes)
    return data
