"""Measured cell-type abundances, from any tool."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from histodecon._core import (
    KINDS,
    DroppedSpotsWarning,
    HistodeconError,
    HistodeconWarning,
    InputError,
    Key,
    TargetError,
    detect_kind,
    doc,
    first_names,
    raise_together,
    require_spots,
    require_unique_names,
    safe_columns,
    table_of,
)
from histodecon.tl._checks import require_safe_key
from histodecon.tl._companions import require_same_types, write_with_companions
from histodecon.tl._parts_of_spots import is_table, own_targets, places_of_targets
from histodecon.tl._target_sources import Source, Table, read_source

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray

SUM_TOLERANCE = 1e-2
ABOUT_ONE = (0.5, 1.5)


@doc
def set_targets(
    adata: AnnData,
    targets: str | os.PathLike[str] | pd.DataFrame | AnnData | Mapping[str, str | os.PathLike[str] | pd.DataFrame],
    *,
    by: str | None = None,
    sd: str | os.PathLike[str] | pd.DataFrame | Mapping[str, str | os.PathLike[str] | pd.DataFrame] | None = None,
    kind: str | None = None,
    normalize: bool = False,
    key_added: str = Key.obsm.TARGETS,
    nan: Literal["raise", "mask"] = "raise",
    assume_aligned: bool = False,
    library_key: str = Key.obs.LIBRARY,
    copy: bool = False,
) -> AnnData | None:
    """Take cell-type abundances of any tool as what shall be learned.

    Rows are matched by barcode, never by position unless you insist. Spots without a row get NaN and take no part in training.

    Parameters
    ----------
    %(adata)s
    targets
        Key of ``obsm`` with a DataFrame, a DataFrame, or a csv or tsv file (``.gz`` too) whose first column holds the
        barcodes; one column a cell type. A dict from library id to any of these takes tables of single slides, in which
        barcodes lack the name of the slide. With ``by``, also the table of spots itself, whose own targets are taken.
    by
        For rows that are parts of spots, such as nuclei (:func:`histodecon.pp.embed_nuclei`): column of ``obs`` with the name of
        the spot, ``"spot"``. Each row gets the targets of its spot, NaN without one; the learner ``"nuclei"`` fits their sum.
    sd
        How uncertain each value is: standard deviations, in any form that ``targets`` may have. Tables of cell2location and
        of ``histodecon.tl.deconvolve`` bring them along.
    kind
        ``"abundance"`` (cells per spot) or ``"proportion"``. By default a table whose rows all sum to 1 within 0.001
        holds proportions, any other abundances.
    normalize
        Divide every row by its sum, which makes proportions: for weights of RCTD and Tangram, whose rows sum to anything.
    %(key_added)s
    nan
        ``"raise"`` refuses values that are not finite; ``"mask"`` leaves their spots out of training.
    assume_aligned
        Take the rows by position: a table without barcodes whose rows are those of ``adata``, in the same order.
    %(library_key)s
    %(copy)s

    Returns
    -------
    None, or the copy.

    Raises
    ------
    MissingKeyError
        There is no such key of ``obsm`` and no such file.
    AlignmentError
        No barcode is common to both, barcodes stand twice, x and y of spot ids are swapped, or ``sd`` names other types.
    TargetError
        Values are negative, not finite or not numbers, or proportions do not sum to 1.
    NamingError
        Names of cell types are empty, or become the same column.
    InputError
        An option is unknown, or targets are given for a slide that is not there.

    Warns
    -----
    DroppedSpotsWarning
        Some spots have no targets.
    HistodeconWarning
        Rows sum to about 1, but not to 1.

    Notes
    -----
    Writes ``obsm[key_added]``, a DataFrame (n_obs, n_types), and its record in ``uns["histodecon"]["tables"][key_added]``:
    ``names`` (real names; the columns hold only letters, digits, ``_``, ``.`` and ``-``), ``kind``, ``unit``, ``source``,
    ``prefix`` (what stood before the names), ``layout`` (what else was changed), ``n_spots`` with targets, ``n_missing``
    without, ``n_extra`` rows of no spot, ``constant_types`` where there are any. Standard deviations go to
    ``obsm[f"{key_added}_sd"]``, the mean and the quantiles of cell2location to ``_mean``, ``_q05`` and ``_q95``. Those of an
    older table of the same name are taken away.

    What tools write, and what becomes of it:

    - cell2location writes ``means_``, ``stds_``, ``q05_`` and ``q95_cell_abundance_w_sf`` into ``obsm``, with columns such
      as ``q05cell_abundance_w_sf_B cell``; before 0.1 a csv with columns such as ``q05_spot_factorsB cell``. Name the one
      to learn from; the prefix goes and the others come along. A table that holds several gives the 5 %% quantile.
    - RCTD (spacexr) keeps ``results$weights``, spots × types in R, whose rows do not sum to 1: use ``normalize``. The newer
      Bioconductor version has types × spots; a table whose columns are barcodes is turned. Of doublet mode
      ``cbind(results_df, weights_doublet)`` is understood; rejected spots have no targets.
    - Stereoscope (``W`` as tsv), CARD (``Proportion_CARD``), SPOTlight (``mat``; the residual ``res_ss`` of old versions is
      left out) and DestVI (``get_proportions()``) give proportions. SpatialDWLS gives them too, through Giotto with the
      barcodes in a column ``cell_ID``.
    - Tangram's ``tangram_ct_pred`` is a score without a unit: use ``normalize``.

    Barcodes that do not agree as they stand are tried in other spellings, see the record: ``10x13`` as ``10.0x13.0``,
    ``AAAC-1`` as ``AAAC.1`` or ``AAAC``, with and without the slide's name.

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
    if nan not in {"raise", "mask"} or kind not in {None, *KINDS} or (normalize and kind == "abundance"):
        msg = f"Unknown option nan={nan!r} or kind={kind!r}, or normalize with abundances"
        fix = f'nan is "raise" or "mask"; kind is None or one of {KINDS}; normalize makes proportions'
        raise InputError(msg, fix=fix, code="BI-72")
    how: dict[str, Any] = {"library_key": library_key, "assume_aligned": assume_aligned}
    place, spread = places_of_targets(adata, by, library_key)
    if is_table(targets):
        targets, kind = own_targets(targets, kind)
    source = read_source(place, targets, **how)
    companions = {**source.companions, **({"sd": _sd_table(place, sd, source, how)} if sd is not None else {})}
    values = _checked_values(source.table, nan)
    companions = _checked_companions(companions, source.table, values)
    safe_columns(list(source.table.columns))
    if normalize:
        values, companions = _normalized(source.table, values, companions, nan)
    kind = "proportion" if normalize else kind or source.kind or detect_kind(values)
    if kind == "proportion":
        _check_sums(source.table, values)
    frame = _as_rows(place, source.table, values)
    measured = np.isfinite(frame.to_numpy()).all(axis=1)
    out = adata.copy() if copy else adata
    tables = {name: spread(_as_rows(place, source.table, table)) for name, table in companions.items()}
    record = _record(source, frame, measured) | ({} if by is None else {"by": by})
    write_with_companions(out, key_added, spread(frame), tables, kind=kind, record=record)
    if kind == "abundance" and source.kind is None:
        _tell_about_one(values)
    if not measured.all():
        _tell_missing(place, measured)
    return out if copy else None


def _record(source: Source, frame: pd.DataFrame, measured: NDArray[np.bool_]) -> dict[str, Any]:
    record: dict[str, Any] = {
        "source": source.origin,
        "prefix": source.prefix,
        "layout": "; ".join(source.done),
        "n_spots": int(measured.sum()),
        "n_missing": int((~measured).sum()),
        "n_extra": source.n_extra,
    }
    values = frame.to_numpy()[measured]
    flat = [len(values) > 0 and bool((column == column[0]).all()) for column in values.T]
    constant = [str(name) for name, same in zip(frame.columns, flat, strict=True) if same]
    return record | ({"constant_types": np.array(constant, dtype=object)} if constant else {})


def _as_rows(adata: AnnData, table: pd.DataFrame, values: NDArray[np.float64]) -> pd.DataFrame:
    return pd.DataFrame(values, index=table.index, columns=table.columns).reindex(adata.obs_names)


def _sd_table(adata: AnnData, sd: Table | Mapping[str, Table], source: Source, how: Mapping[str, Any]) -> pd.DataFrame:
    table = read_source(adata, sd, **how).table
    require_same_types(set(source.table.columns), set(table.columns), "the targets", "`sd`")
    return table


def _checked_companions(
    companions: Mapping[str, pd.DataFrame], table: pd.DataFrame, values: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    """Tables beside the targets in their order; a spot with targets needs a value that makes sense."""
    out = {}
    measured = np.asarray(np.isfinite(values).all(axis=1))
    for name, companion in companions.items():
        require_same_types(set(table.columns), set(companion.columns), "the targets", f"their {name}")
        found = _numbers(companion.reindex(index=table.index, columns=table.columns))
        bad = (~np.isfinite(found) | (found < 0)) & measured[:, None]
        if bad.any():
            msg = f"Some values of the {name} of the targets are negative or not finite"
            why, fix = "nothing can be weighed by them", "give one value from 0 on for every target"
            raise TargetError(msg, where=_where(table, bad), why=why, fix=fix, code="BI-60")
        found[~measured] = np.nan
        out[name] = found
    return out


def _numbers(table: pd.DataFrame) -> NDArray[np.float64]:
    try:
        return np.array(table.to_numpy(dtype=np.float64, na_value=np.nan))
    except (TypeError, ValueError) as error:
        bad = [str(name) for name in table.columns if not pd.api.types.is_numeric_dtype(table[name])]
        msg = "Some columns of the targets are not numbers"
        fix = f"leave them out, `targets.drop(columns={bad[:3]})`"
        raise TargetError(msg, where=f"{len(bad)}: {first_names(bad)}", fix=fix, code="BI-60") from error


def _checked_values(table: pd.DataFrame, nan: str) -> NDArray[np.float64]:
    """Values as float64; rows that are not finite become NaN where that is asked for."""
    values = _numbers(table)
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


def _normalized(
    table: pd.DataFrame, values: NDArray[np.float64], companions: Mapping[str, NDArray[np.float64]], nan: str
) -> tuple[NDArray[np.float64], dict[str, NDArray[np.float64]]]:
    """Every row over its sum, and what stands beside it over the same sum."""
    sums = values.sum(axis=1, keepdims=True)
    empty = sums[:, 0] == 0
    if empty.any() and nan == "raise":
        where = f"{int(empty.sum())} of {len(table)} spots: {first_names(table.index[empty])}"
        msg, fix = "Some targets sum to 0 and have no proportions", '`nan="mask"` leaves these spots out of training'
        raise TargetError(msg, where=where, fix=fix, code="BI-61")
    sums[empty] = np.nan
    return values / sums, {name: found / sums for name, found in companions.items()}


def _check_sums(table: pd.DataFrame, values: NDArray[np.float64]) -> None:
    with np.errstate(invalid="ignore"):
        off = np.abs(values.sum(axis=1) - 1) > SUM_TOLERANCE
    if off.any():
        msg = "Some proportions do not sum to 1"
        where = f"{int(off.sum())} of {len(table)} spots: {first_names(table.index[off])}"
        fix = '`normalize=True` divides each row by its sum; cells per spot are `kind="abundance"`'
        raise TargetError(msg, where=where, why="L1 of shares and of cells per spot differ", fix=fix, code="BI-61")


def _tell_about_one(values: NDArray[np.float64]) -> None:
    sums = values.sum(axis=1)
    sums = sums[np.isfinite(sums)]
    if len(sums) and ABOUT_ONE[0] <= sums.min() and sums.max() <= ABOUT_ONE[1]:
        text = f"Rows of the targets sum to {sums.min():.3g} to {sums.max():.3g}: taken as cells per spot."
        fix = "Weights such as those of RCTD become proportions with `normalize=True`."
        warnings.warn(f"[HD-BI-61] {text} {fix}", HistodeconWarning, stacklevel=3)


def _tell_missing(adata: AnnData, measured: NDArray[np.bool_]) -> None:
    missing = adata.obs_names[~measured]
    text = (
        f"{len(missing)} of {adata.n_obs} spots have no targets and take no part in training: {first_names(missing)}."
    )
    warnings.warn(f"[HD-BI-09] {text}", DroppedSpotsWarning, stacklevel=3)
