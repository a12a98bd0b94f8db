"""Tables of cell types from wherever users keep them: obsm, a DataFrame, a file, one for each slide."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pandas as pd

from histodecon._core import (
    AlignmentError,
    InputError,
    MissingKeyError,
    TargetError,
    first_names,
    obs_column,
    read_table,
    safe_columns,
    table_keys,
    table_record,
)
from histodecon.tl._barcodes import match_barcodes
from histodecon.tl._companions import companions_of, require_same_types
from histodecon.tl._target_layouts import cell2location_companions, statistics_of, tidy

if TYPE_CHECKING:
    from anndata import AnnData

Table: TypeAlias = "str | os.PathLike[str] | pd.DataFrame"


@dataclass(frozen=True)
class Source:
    """A table whose rows are named like the spots.

    Parameters
    ----------
    table
        Spots × cell types; values as they were given.
    companions
        Tables that stand beside it, by statistic.
    origin
        ``"DataFrame"``, ``"file"``, ``"obsm[...]"``.
    kind
        Kind where we wrote the table ourselves.
    prefix
        What stood before the names.
    done
        What was changed, in words.
    n_extra
        Rows that belong to no spot.
    """

    table: pd.DataFrame
    companions: dict[str, pd.DataFrame] = field(default_factory=dict)
    origin: str = "DataFrame"
    kind: str | None = None
    prefix: str = ""
    done: tuple[str, ...] = ()
    n_extra: int = 0


def read_source(
    adata: AnnData, targets: Table | Mapping[str, Table], *, library_key: str, assume_aligned: bool = False
) -> Source:
    """Read a table and match its rows.

    Parameters
    ----------
    adata
        Whose spots are meant.
    targets
        Key of ``obsm``, DataFrame, file, or a dict from library id to these.
    library_key
        Column of ``obs`` that tells slides apart.
    assume_aligned
        Take the rows by position.

    Returns
    -------
    The table with what is known of it.
    """
    if not isinstance(targets, Mapping):
        return _read_one(adata, adata.obs_names, targets, None, assume_aligned=assume_aligned)
    libraries = obs_column(adata, library_key).astype(str)
    unknown = [name for name in targets if str(name) not in set(libraries)]
    if unknown or not targets:
        msg = "Targets are given for slides that are not there" if unknown else "The dict of targets is empty"
        where = f"{first_names(unknown)}; obs[{library_key!r}] has {first_names(sorted(set(libraries)), 8)}"
        raise InputError(msg, where=where, fix="name the slides as the table does", code="BI-104")
    parts = []
    for name, one in targets.items():
        own = adata.obs_names[libraries == str(name)]
        parts.append(_read_one(adata, own, one, str(name), assume_aligned=assume_aligned))
    return _joined(parts, [str(name) for name in targets])


def _read_one(adata: AnnData, spots: pd.Index, targets: Table, library: str | None, *, assume_aligned: bool) -> Source:
    table, origin, kind = _load(adata, targets)
    done: list[str] = []
    if assume_aligned:
        table = _by_position(spots, table)
    else:
        table, done = tidy(table, spots)
    safe_columns([str(name) for name in table.columns])
    table, statistics, prefix = statistics_of(table.set_axis([str(name) for name in table.columns], axis=1))
    if origin.startswith("obsm"):
        statistics = statistics or _beside(adata, str(targets))
    table, how, n_extra = _of_spots(table, spots, library)
    companions = {name: _of_spots(values, spots, library)[0] for name, values in statistics.items()}
    done += [f"barcodes matched by {how}"] if how else []
    return Source(table, companions, origin, kind, prefix, tuple(done), n_extra)


def _of_spots(table: pd.DataFrame, spots: pd.Index, library: str | None) -> tuple[pd.DataFrame, str, int]:
    """Rows that belong to a spot, how they were matched, and how many do not."""
    index, how = match_barcodes(table.index, spots, library=library)
    own = index.isin(spots)
    return table.set_axis(index)[own], how, int((~own).sum())


def _load(adata: AnnData, targets: Table) -> tuple[pd.DataFrame, str, str | None]:
    """The table as given, where it came from, and its kind where we wrote it ourselves."""
    if isinstance(targets, pd.DataFrame):
        return targets, "DataFrame", None
    if isinstance(targets, str) and targets in adata.obsm:
        record = table_record(adata, targets)
        return read_table(adata, targets), f"obsm[{targets}]", str(record["kind"]) if record is not None else None
    if not isinstance(targets, (str, os.PathLike)):
        msg = f"targets must be a key of obsm, a DataFrame or a file, got {type(targets).__name__}"
        raise InputError(msg, fix="`pd.DataFrame(values, index=barcodes, columns=cell_types)`", code="BI-64")
    path = Path(targets)
    if not path.is_file():
        msg = f"There is neither obsm[{str(targets)!r}] nor a file of this name"
        where = f"tables present: {first_names(table_keys(adata), 8)}"
        fix = "pass a key of obsm, a DataFrame, or a csv or tsv file"
        raise MissingKeyError(msg, where=where, fix=fix, code="BI-87")
    return _read_file(path), "file", None


def _read_file(path: Path) -> pd.DataFrame:
    tabs = ".tsv" in path.suffixes or ".txt" in path.suffixes
    try:
        table = pd.read_csv(path, sep="\t" if tabs else ",", converters={0: str})
    except (ValueError, OSError) as error:
        msg = f"{path.name} cannot be read as a table"
        raise TargetError(msg, where=str(error), fix="save it with `DataFrame.to_csv`", code="BI-29") from error
    if not isinstance(table.index, pd.RangeIndex):  # R's write.table names one column less than there are
        table.index = table.index.astype(str)
    else:
        table = table.set_index(table.columns[0])
    if table.shape[1] == 0:
        msg = f"{path.name} has no column but its first"
        fix = "separate the columns of a csv file with commas, those of a tsv file with tabs"
        raise TargetError(msg, where=f"{len(table)} rows", fix=fix, code="BI-29")
    return table


def _beside(adata: AnnData, key: str) -> dict[str, pd.DataFrame]:
    """Companions of a table of ``obsm``, of cell2location or of our own."""
    foreign = {name: other for name, other in cell2location_companions(key).items() if other in adata.obsm}
    own = {} if foreign else companions_of(adata, key)
    tables = {name: read_table(adata, other) for name, other in (foreign or own).items()}
    return {name: statistics_of(table)[0] for name, table in tables.items()}


def _by_position(spots: pd.Index, table: pd.DataFrame) -> pd.DataFrame:
    if len(table) != len(spots):
        msg = f"Targets of {len(table)} rows cannot be aligned with {len(spots)} spots by position"
        why = "one missing spot would shift all rows after it"
        fix = "give the targets the barcodes of obs_names as index, and leave `assume_aligned` out"
        raise AlignmentError(msg, why=why, fix=fix, code="BI-09")
    return table.set_axis(spots)


def _joined(parts: list[Source], names: list[str]) -> Source:
    first = parts[0]
    for part, name in zip(parts[1:], names[1:], strict=True):
        one, other = (f"the targets of {title!r}" for title in (names[0], name))
        require_same_types(set(first.table.columns), set(part.table.columns), one, other)
    statistics = set.intersection(*(set(part.companions) for part in parts))
    kinds = {part.kind for part in parts}
    return Source(
        pd.concat([part.table[first.table.columns] for part in parts]),
        {name: pd.concat([part.companions[name] for part in parts]) for name in sorted(statistics)},
        first.origin if len({part.origin for part in parts}) == 1 else "several",
        first.kind if len(kinds) == 1 else None,
        first.prefix,
        tuple(dict.fromkeys(text for part in parts for text in part.done)),
        sum(part.n_extra for part in parts),
    )
