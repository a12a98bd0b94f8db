"""What tables know about themselves, joined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from histodecon._core import (
    ROWS,
    AlignmentError,
    InputError,
    Key,
    read_embedding,
    read_table,
    set_uns_branch,
    table_kind,
    table_record,
    uns_branch,
    write_embedding,
    write_table,
)

if TYPE_CHECKING:
    from anndata import AnnData

BY_SLIDE = (Key.uns.SLIDES, Key.uns.TILES)
REGIONS = "spatialdata_attrs"
_OWN = (ROWS, "names", "columns", "kind", "unit", "width", "key")
_OF_EACH_SLIDE = ("sources", "mpp")
"""Parts of an embedding's record that are dicts by slide."""


def same(one: Any, other: Any) -> bool:
    """Tell whether two nested values hold the same.

    Parameters
    ----------
    one, other
        Str, number, bool, array, DataFrame, or dict of these.

    Returns
    -------
    The answer.
    """
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return set(one) == set(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, pd.DataFrame) or isinstance(other, pd.DataFrame):
        return isinstance(one, pd.DataFrame) and one.equals(other)
    if type(one) is not type(other) and not (np.isscalar(one) and np.isscalar(other)):
        return False
    a, b = np.asarray(one), np.asarray(other)
    return np.array_equal(a, b, equal_nan=a.dtype.kind == b.dtype.kind == "f")


def common(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Keep what is the same in all records.

    Parameters
    ----------
    records
        At least one.

    Returns
    -------
    The common part of the first.
    """
    first, *others = records
    return {key: value for key, value in first.items() if all(key in one and same(value, one[key]) for one in others)}


def join_embedding(joined: AnnData, key: str, tables: Sequence[AnnData], names: Sequence[str]) -> None:
    """Join one embedding that all tables have.

    Parameters
    ----------
    joined
        Where to write.
    key
        Key of ``obsm``.
    tables
        Its parts, in order.
    names
        How to call them.

    Raises
    ------
    InputError
        They are of different recipes.
    """
    pairs = [read_embedding(table, key) for table in tables]
    records = [record for _, record in pairs]
    odd = [i for i, record in enumerate(records) if record["fingerprint"] != records[0]["fingerprint"]]
    if odd:
        msg = f"obsm[{key!r}] was made by different recipes"
        raise InputError(
            msg,
            where=f"{names[0]}: {records[0]['encoder']}; {names[odd[0]]}: {records[odd[0]]['encoder']}",
            why="the same width does not make them comparable",
            fix="embed again with one recipe, or `del adata.obsm[...]`",
            code="BI-45",
        )
    record = {name: value for name, value in common(records).items() if name not in _OWN}
    for name in _OF_EACH_SLIDE:
        of_slides = [one[name] for one in records if isinstance(one.get(name), Mapping)]
        if of_slides:
            record[name] = {slide: value for part in of_slides for slide, value in part.items()}
    write_embedding(joined, key, np.concatenate([values for values, _ in pairs]), record)


def join_cell_types(joined: AnnData, key: str, tables: Sequence[AnnData], names: Sequence[str]) -> None:
    """Join one table of cell types; spots of tables that lack it are NaN.

    Parameters
    ----------
    joined
        Where to write.
    key
        Key of ``obsm``.
    tables
        All parts, in order.
    names
        How to call them.

    Raises
    ------
    AlignmentError
        They name different cell types.
    InputError
        One holds abundances, another proportions.
    """
    having = [i for i, table in enumerate(tables) if key in table.obsm]
    parts = {i: read_table(tables[i], key) for i in having}
    columns, kinds = list(parts[having[0]].columns), {i: table_kind(tables[i], key) for i in having}
    for i in having[1:]:
        if set(parts[i].columns) != set(columns):
            odd = sorted(set(parts[i].columns) ^ set(columns))
            msg = f"obsm[{key!r}] names different cell types"
            where = f"{names[having[0]]} and {names[i]} differ in {odd[:3]}"
            raise AlignmentError(msg, where=where, fix="`histodecon.tl.aggregate_types(adata, mapping)`", code="BI-64")
        if kinds[i] != kinds[having[0]]:
            msg = f"obsm[{key!r}] holds {kinds[having[0]]}s in {names[having[0]]} and {kinds[i]}s in {names[i]}"
            raise InputError(msg, why="they have no unit in common", fix="store both as one kind", code="BI-61")
    empty = [pd.DataFrame(np.nan, index=table.obs_names, columns=columns) for table in tables]
    values = np.concatenate(
        [parts[i][columns].to_numpy() if i in parts else empty[i].to_numpy() for i in range(len(tables))]
    )
    table = pd.DataFrame(values, index=joined.obs_names.copy(), columns=columns)
    records = [table_record(tables[i], key) or {} for i in having]
    record = {name: value for name, value in common(records).items() if name not in _OWN}
    write_table(joined, key, table, kind=kinds[having[0]], record=record)


def join_uns(joined: AnnData, tables: Sequence[AnnData]) -> list[str]:
    """Join ``uns``: what is known slide by slide is united, other things are kept where all tables agree.

    Parameters
    ----------
    joined
        Where to write.
    tables
        All parts, in order.

    Returns
    -------
    What was left out.
    """
    lost = []
    for key in dict.fromkeys(key for table in tables for key in table.uns):
        having = [table.uns[key] for table in tables if key in table.uns]
        if key == Key.uns.SPATIAL:
            joined.uns[key] = {library: record for value in having for library, record in value.items()}
        elif key == REGIONS:
            _join_regions(joined, having)
        elif key != Key.uns.ROOT:
            if len(having) == len(tables) and all(same(having[0], one) for one in having[1:]):
                joined.uns[key] = having[0]
            else:
                lost.append(f"uns[{key!r}]")
    return lost + _join_root(joined, tables)


def _join_root(joined: AnnData, tables: Sequence[AnnData]) -> list[str]:
    lost = []
    roots = [table.uns.get(Key.uns.ROOT, {}) for table in tables]
    for branch in dict.fromkeys(branch for root in roots for branch in root):
        having = [uns_branch(table, branch) for table in tables if uns_branch(table, branch)]
        if branch in (Key.uns.EMBEDDINGS, Key.uns.TABLES):
            continue
        if branch in BY_SLIDE:
            set_uns_branch(joined, branch, {library: record for one in having for library, record in one.items()})
            continue
        kept = {key: value for one in having for key, value in one.items()}
        clash = [key for key, value in kept.items() if not all(same(value, one[key]) for one in having if key in one)]
        if clash and branch == Key.uns.REGRESSOR:  # a model is whole or not there
            clash, kept = [], {}
            lost.append(f"uns[{Key.uns.ROOT!r}][{branch!r}]")
        lost += [f"uns[{Key.uns.ROOT!r}][{branch!r}][{key!r}]" for key in clash]
        kept = {key: value for key, value in kept.items() if key not in clash}
        if kept:
            set_uns_branch(joined, branch, kept)
    return lost


def _join_regions(joined: AnnData, records: Sequence[Mapping[str, Any]]) -> None:
    """What a table of a SpatialData annotates."""
    first = records[0]
    if any((one["region_key"], one["instance_key"]) != (first["region_key"], first["instance_key"]) for one in records):
        return
    regions = [np.atleast_1d(np.asarray(one["region"], dtype=object)).tolist() for one in records]
    named = list(dict.fromkeys(str(region) for several in regions for region in several))
    joined.uns[REGIONS] = {**first, "region": named}
