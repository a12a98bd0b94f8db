"""Measured cell-type abundances, from any tool."""

from __future__ import annotations

import os
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from histodecon._core import (
    KINDS,
    AlignmentError,
    DroppedSpotsWarning,
    HistodeconError,
    InputError,
    Key,
    MissingKeyError,
    TargetError,
    detect_kind,
    doc,
    first_names,
    raise_together,
    read_table,
    require_spots,
    require_unique_names,
    safe_columns,
    table_keys,
    table_of,
    table_record,
    write_table,
)
from histodecon.tl._checks import require_safe_key

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray

_CELL2LOCATION = re.compile(r"^(?:means|stds|q05|q95)_?cell_abundance_w_sf_(?:means_|stds_|q05_|q95_)?")
SUM_TOLERANCE = 1e-2


@doc
def set_targets(
    adata: AnnData,
    targets: str | os.PathLike[str] | pd.DataFrame,
    *,
    kind: str | None = None,
    key_added: str = Key.obsm.TARGETS,
    nan: Literal["raise", "mask"] = "raise",
    assume_aligned: bool = False,
    copy: bool = False,
) -> AnnData | None:
    """Take cell-type abundances of any tool as what shall be learned.

    Rows are matched by barcode, never by position unless you insist. Spots without a row get NaN and take no part in training.

    Parameters
    ----------
    %(adata)s
    targets
        Key of ``obsm`` with a DataFrame, a DataFrame, or a csv or tsv file whose first column holds the barcodes; one
        column a cell type.
    kind
        ``"abundance"`` (cells per spot) or ``"proportion"``. By default a table whose rows all sum to 1 within 0.001
        holds proportions, any other abundances.
    %(key_added)s
    nan
        ``"raise"`` refuses values that are not finite; ``"mask"`` leaves their spots out of training.
    assume_aligned
        Take the rows by position: a table without barcodes whose rows are those of ``adata``, in the same order.
    %(copy)s

    Returns
    -------
    None, or the copy.

    Raises
    ------
    MissingKeyError
        There is no such key of ``obsm`` and no such file.
    AlignmentError
        No barcode is common to both, or barcodes stand twice.
    TargetError
        Values are negative, not finite or not numbers, or proportions do not sum to 1.
    NamingError
        Names of cell types are empty, or become the same column.

    Warns
    -----
    DroppedSpotsWarning
        Some spots have no targets.

    Notes
    -----
    Writes ``obsm[key_added]``, a DataFrame (n_obs, n_types), and its record in ``uns["histodecon"]["tables"][key_added]``:
    ``names`` (real names; the columns hold only letters, digits, ``_``, ``.`` and ``-``), ``kind``, ``unit``, ``source``,
    ``n_spots``. The prefix that cell2location puts before its column names is taken off.

    Examples
    --------
    >>> import histodecon as hd
    >>> adata = hd.datasets.toy_slide().tables["table"]
    >>> hd.tl.set_targets(adata, "true_abundance")
    >>> adata.uns["histodecon"]["tables"]["cell_abundance"]["kind"]
    'abundance'
    """
    adata = table_of(adata)
    require_spots(adata)
    require_unique_names(adata)
    require_safe_key(key_added, "key_added")
    if nan not in {"raise", "mask"} or kind not in {None, *KINDS}:
        msg = f"Unknown option nan={nan!r} or kind={kind!r}"
        raise InputError(msg, fix=f'nan is "raise" or "mask"; kind is None or one of {KINDS}', code="BI-72")
    table, source, known_kind = _read(adata, targets)
    table = _without_prefix(table)
    if assume_aligned:
        table = _by_position(adata, table)
    _check_barcodes(adata, table)
    values = _checked_values(table, nan)
    safe_columns([str(name) for name in table.columns])
    kind = kind or known_kind or detect_kind(values)
    if kind == "proportion":
        _check_sums(table, values)
    frame = pd.DataFrame(values, index=table.index.astype(str), columns=table.columns).reindex(adata.obs_names)
    measured = np.isfinite(frame.to_numpy()).all(axis=1)
    out = adata.copy() if copy else adata
    write_table(out, key_added, frame, kind=kind, record={"source": source, "n_spots": int(measured.sum())})
    if not measured.all():
        _tell_missing(adata, measured)
    return out if copy else None


def _read(adata: AnnData, targets: str | os.PathLike[str] | pd.DataFrame) -> tuple[pd.DataFrame, str, str | None]:
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
    tabs = ".tsv" in path.suffixes or ".txt" in path.suffixes
    try:
        table = pd.read_csv(path, sep="\t" if tabs else ",", converters={0: str})
    except (ValueError, OSError) as error:
        msg = f"{path.name} cannot be read as a table"
        raise TargetError(msg, where=str(error), fix="save it with `DataFrame.to_csv`", code="BI-29") from error
    table = table.set_index(table.columns[0])
    if table.shape[1] == 0:
        msg = f"{path.name} has no column but its first"
        fix = "separate the columns of a csv file with commas, those of a tsv file with tabs"
        raise TargetError(msg, where=f"{len(table)} rows", fix=fix, code="BI-29")
    return table, "file", None


def _without_prefix(table: pd.DataFrame) -> pd.DataFrame:
    names = [str(name) for name in table.columns]
    if names and all(_CELL2LOCATION.match(name) for name in names):
        names = [_CELL2LOCATION.sub("", name) for name in names]
    return table.set_axis(names, axis=1)


def _by_position(adata: AnnData, table: pd.DataFrame) -> pd.DataFrame:
    if len(table) != adata.n_obs:
        msg = f"Targets of {len(table)} rows cannot be aligned with {adata.n_obs} spots by position"
        why = "one missing spot would shift all rows after it"
        fix = "give the targets the barcodes of obs_names as index, and leave `assume_aligned` out"
        raise AlignmentError(msg, why=why, fix=fix, code="BI-09")
    return table.set_axis(adata.obs_names)


def _check_barcodes(adata: AnnData, table: pd.DataFrame) -> None:
    if not table.index.is_unique:
        twice = table.index[table.index.duplicated()].unique()
        msg = "Some barcodes stand more than once in the targets"
        where, fix = (
            f"{len(twice)}: {first_names(twice)}",
            "keep one row of each, `targets[~targets.index.duplicated()]`",
        )
        raise AlignmentError(msg, where=where, why="rows are matched by barcode", fix=fix, code="BI-04")
    if not table.index.astype(str).isin(adata.obs_names).any():
        msg = "No spot is common to the targets and the table"
        raise AlignmentError(
            msg,
            where=f"the targets have {first_names(table.index)}; obs_names has {first_names(adata.obs_names)}",
            why="rows are matched by barcode, never by position",
            fix="give the targets the barcodes of obs_names as index, `targets.index = ...`",
            code="BI-08",
        )


def _checked_values(table: pd.DataFrame, nan: str) -> NDArray[np.float64]:
    """Values as float64; rows that are not finite become NaN where that is asked for."""
    try:
        values = table.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        bad = [str(name) for name in table.columns if not pd.api.types.is_numeric_dtype(table[name])]
        msg = "Some columns of the targets are not numbers"
        fix = f"leave them out, `targets.drop(columns={bad[:3]})`"
        raise TargetError(msg, where=f"{len(bad)}: {first_names(bad)}", fix=fix, code="BI-60") from error
    values = values.copy()
    faults: list[HistodeconError] = []
    broken, negative = ~np.isfinite(values), values < 0
    if broken.any() and nan == "raise":
        where = f"{_where(table, broken)}"
        why, fix = "the loss of a network would not be a number", '`nan="mask"` leaves these spots out of training'
        faults.append(TargetError("Some targets are not finite", where=where, why=why, fix=fix, code="BI-60"))
    if negative.any():
        why, fix = "there are no fewer than 0 cells", "give abundances, not their logarithm or a score"
        faults.append(
            TargetError("Some targets are negative", where=_where(table, negative), why=why, fix=fix, code="BI-59")
        )
    raise_together(faults)
    values[broken.any(axis=1)] = np.nan
    return values


def _where(table: pd.DataFrame, bad: NDArray[np.bool_]) -> str:
    rows, columns = table.index[bad.any(axis=1)], table.columns[bad.any(axis=0)]
    return f"{len(rows)} of {len(table)} spots: {first_names(rows)}; cell types {first_names(columns)}"


def _check_sums(table: pd.DataFrame, values: NDArray[np.float64]) -> None:
    with np.errstate(invalid="ignore"):
        off = np.abs(values.sum(axis=1) - 1) > SUM_TOLERANCE
    if off.any():
        msg = "Some proportions do not sum to 1"
        where = f"{int(off.sum())} of {len(table)} spots: {first_names(table.index[off])}"
        fix = '`kind="abundance"`, or divide each row by its sum'
        raise TargetError(msg, where=where, why="L1 of shares and of cells per spot differ", fix=fix, code="BI-61")


def _tell_missing(adata: AnnData, measured: NDArray[np.bool_]) -> None:
    missing = adata.obs_names[~measured]
    text = (
        f"{len(missing)} of {adata.n_obs} spots have no targets and take no part in training: {first_names(missing)}."
    )
    warnings.warn(f"[HD-BI-09] {text}", DroppedSpotsWarning, stacklevel=3)
