"""Fine cell types rolled up to coarse ones."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from histodecon._core import (
    InputError,
    Key,
    MissingKeyError,
    NamingError,
    TargetError,
    doc,
    first_names,
    read_table,
    require_spots,
    safe_columns,
    table_kind,
    table_of,
)
from histodecon.tl._checks import require_safe_key
from histodecon.tl._companions import companions_of, write_with_companions

if TYPE_CHECKING:
    from anndata import AnnData


@doc
def aggregate_types(
    adata: AnnData,
    mapping: Mapping[str, str] | pd.Series | pd.DataFrame | str | os.PathLike[str],
    *,
    key: str = Key.obsm.TARGETS,
    key_added: str | None = None,
    unmapped: Literal["raise", "keep"] = "raise",
    copy: bool = False,
) -> AnnData | None:
    """Roll fine cell types up to coarse ones: abundances and proportions add.

    Parameters
    ----------
    %(adata)s
    mapping
        From fine to coarse name: a dict or Series, a DataFrame or csv with two columns, fine then coarse. Names that the table
        does not have are passed over, so that one mapping serves many tables;
        :func:`histodecon.datasets.cell_type_hierarchy` has some.
    key
        Key of ``obsm`` with the fine table.
    key_added
        Name under which the coarse table is stored; default ``f"{key}_coarse"``.
    unmapped
        ``"raise"`` refuses cell types without a coarse name; ``"keep"`` keeps them as they are.
    %(copy)s

    Returns
    -------
    None, or the copy.

    Raises
    ------
    MissingKeyError
        The table or the file is absent.
    InputError
        The mapping has another form, or some cell types have no coarse name.
    NamingError
        A fine name has two coarse ones, or a coarse name cannot be stored.

    Notes
    -----
    Writes ``obsm[key_added]`` and its record in ``uns["histodecon"]["tables"]``, with the real names of both levels in ``fine``
    and ``coarse``. A table of means adds too. Standard deviations become the root of the sum of their squares, which holds for
    errors that are independent: cell types that a deconvolution confuses have errors of opposite sign, and their sum is more
    certain than that. Quantiles do not add and are not carried over.

    Examples
    --------
    >>> import histodecon as hd
    >>> adata = hd.datasets.toy_slide()["table"]
    >>> immune = {"B-cells": "Lymphoid", "T-cells": "Lymphoid"}
    >>> hd.tl.aggregate_types(adata, immune, key="true_abundance", key_added="cell_abundance", unmapped="keep")
    >>> "Lymphoid" in adata.obsm["cell_abundance"], "T-cells" in adata.obsm["cell_abundance"]
    (True, False)
    """
    adata = table_of(adata)
    require_spots(adata)
    key_added = f"{key}_coarse" if key_added is None else key_added
    require_safe_key(key_added, "key_added")
    if unmapped not in {"raise", "keep"}:
        msg = f"Unknown option unmapped={unmapped!r}"
        raise InputError(msg, fix='use `unmapped="raise"` or `unmapped="keep"`', code="BI-72")
    table, kind = read_table(adata, key), table_kind(adata, key)
    coarse_of = _coarse_names(list(table.columns), _as_dict(mapping), key, keep=unmapped == "keep")
    companions = {
        name: _added(read_table(adata, other)[list(table.columns)], coarse_of, squares=name == "sd")
        for name, other in companions_of(adata, key).items()
        if name in {"mean", "sd"}
    }
    coarse = _added(table, coarse_of)
    safe_columns(list(coarse.columns))
    out = adata.copy() if copy else adata
    names = {"fine": list(coarse_of), "coarse": list(coarse_of.values())}
    record: dict[str, Any] = {level: np.array(values, dtype=object) for level, values in names.items()}
    record |= {"source": f"aggregate_types: {key}", "n_spots": int(coarse.notna().all(axis=1).sum())}
    write_with_companions(out, key_added, coarse, companions, kind=kind, record=record)
    return out if copy else None


def _added(table: pd.DataFrame, coarse_of: Mapping[str, str], *, squares: bool = False) -> pd.DataFrame:
    """Sums over the fine types of each coarse one, in order of first appearance; NaN where one is NaN."""
    groups: dict[str, list[str]] = {}
    for fine, coarse in coarse_of.items():
        groups.setdefault(coarse, []).append(fine)
    values = {
        coarse: np.sqrt((table[fine].to_numpy() ** 2).sum(axis=1)) if squares else table[fine].to_numpy().sum(axis=1)
        for coarse, fine in groups.items()
    }
    return pd.DataFrame(values, index=table.index)


def _coarse_names(names: list[str], known: Mapping[str, str], key: str, *, keep: bool) -> dict[str, str]:
    found = {name: known.get(name.strip()) for name in names}
    absent = [name for name, coarse in found.items() if coarse is None]
    if absent and not keep:
        msg = f"Some cell types of obsm[{key!r}] have no coarse name"
        where = f"{len(absent)} of {len(names)}: {first_names(absent, 20)}; the mapping has {first_names(known, 5)}"
        fix = 'add them to the mapping, or keep them as they are with `unmapped="keep"`'
        raise InputError(msg, where=where, why="their cells would be lost", fix=fix, code="BI-64")
    return {name: coarse or name for name, coarse in found.items()}


def _as_dict(mapping: Mapping[str, str] | pd.Series | pd.DataFrame | str | os.PathLike[str]) -> dict[str, str]:
    if isinstance(mapping, (Mapping, pd.Series)):
        pairs = list(mapping.items())
    else:
        table = mapping if isinstance(mapping, pd.DataFrame) else _read(mapping)
        if table.shape[1] == 1 and not isinstance(table.index, pd.RangeIndex):
            table = table.reset_index()
        if table.shape[1] != 2:
            msg = f"The mapping has {table.shape[1]} columns, not 2"
            fix = f"choose two, fine then coarse: `mapping[{[str(name) for name in table.columns[:2]]}]`"
            raise InputError(msg, where=first_names(table.columns, 8), fix=fix, code="BI-64")
        pairs = list(table.itertuples(index=False, name=None))
    known: dict[str, str] = {}
    for fine, coarse in pairs:
        if pd.isna(fine) or pd.isna(coarse):  # a level that is not known for this type
            continue
        name, target = str(fine).strip(), str(coarse).strip()
        if known.setdefault(name, target) != target:
            msg = f"The cell type {name!r} has two coarse names"
            where, fix = f"{known[name]!r} and {target!r}", "give each fine type one row"
            raise NamingError(msg, where=where, fix=fix, code="BI-66")
    return known


def _read(path: str | os.PathLike[str]) -> pd.DataFrame:
    path = Path(path)
    if not path.is_file():
        msg = f"There is no mapping {path.name!r}"
        raise MissingKeyError(msg, where=str(path), fix="pass a dict, a DataFrame or a csv file", code="BI-87")
    try:
        return pd.read_csv(path, sep="\t" if ".tsv" in path.suffixes else ",", dtype=str)
    except (ValueError, OSError) as error:
        msg = f"{path.name} cannot be read as a table"
        fix = "save it with `DataFrame.to_csv(index=False)`"
        raise TargetError(msg, where=str(error), fix=fix, code="BI-29") from error
