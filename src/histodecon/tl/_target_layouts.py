"""How deconvolution tools lay out their tables, brought to one form: spots × cell types, numbers only."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from histodecon._core import TargetError, first_names

_CELL2LOCATION = re.compile(
    r"^(?P<statistic>means?|stds?|sd|q\d\d)_?"
    r"(?:cell_abundance_w_sf_(?:(?:means?|stds?|q\d\d)_)?|spot_factors_?|nUMI_factors_?)"
)
_STATISTIC = {"mean": "mean", "means": "mean", "std": "sd", "stds": "sd", "sd": "sd"}
_PREFERRED = ("q05", "mean")
_RESIDUALS = ("res_ss",)  # SPOTlight before 1.0 has it as a last column
_CLASSES = "spot_class"


def tidy(table: pd.DataFrame, spots: pd.Index) -> tuple[pd.DataFrame, list[str]]:
    """Bring a table to one form.

    Parameters
    ----------
    table
        As a tool wrote it.
    spots
        Names of the spots, to tell rows from columns.

    Returns
    -------
    Spots × cell types (names stripped), and in words what was done.

    Raises
    ------
    TargetError
        It is the summary of RCTD's doublet mode without weights.
    """
    table, done = table.set_axis([str(name).strip() for name in table.columns], axis=1), []
    known = set(map(str, spots))
    rows_known = any(str(name) in known for name in table.index)
    named = next((name for name in table if not _numeric(table[name]) and known & set(map(str, table[name]))), None)
    if not rows_known and named is not None:
        table, rows_known = table.set_index(named), True
        done.append(f"barcodes from column {named}")
    if not rows_known and known & set(table.columns):
        table = table.T
        table.columns = [str(name).strip() for name in table.columns]
        done.append("transposed")
    if {"first_type", "second_type"} <= set(table.columns):
        table = _of_doublets(table)
        done.append("RCTD doublet mode")
    left_out = [name for name in _RESIDUALS if name in table.columns]
    if left_out:
        table = table.drop(columns=left_out)
        done.append(f"without {', '.join(left_out)}")
    return table, done


def statistics_of(table: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, pd.DataFrame], str]:
    """Take the prefix of cell2location off the names, and its statistics apart.

    Parameters
    ----------
    table
        Spots × columns.

    Returns
    -------
    The table to learn from (the 5 % quantile where several statistics stand side by side, else the mean), all
    statistics by name where there are several, and the prefix, ``""`` where there is none.

    Raises
    ------
    TargetError
        Only some columns have the prefix.
    """
    matches = [_CELL2LOCATION.match(name) for name in table.columns]
    if not any(matches):
        return table, {}, ""
    others = [name for name, match in zip(table.columns, matches, strict=True) if match is None]
    if others:
        msg = "Some columns beside those of cell2location are not cell types"
        fix = '`targets.filter(like="cell_abundance_w_sf")` takes those of cell2location'
        raise TargetError(msg, where=f"{len(others)}: {first_names(others)}", fix=fix, code="BI-63")
    found: dict[str, dict[str, pd.Series]] = {}
    prefixes: dict[str, str] = {}
    for position, match in enumerate(filter(None, matches)):
        statistic = _STATISTIC.get(match["statistic"], match["statistic"])
        prefixes[statistic] = match[0]
        found.setdefault(statistic, {})[str(table.columns[position])[match.end() :]] = table.iloc[:, position]
    tables = {name: pd.DataFrame(columns, index=table.index) for name, columns in found.items()}
    first = next((name for name in _PREFERRED if name in tables), next(iter(tables)))
    return tables[first], tables if len(tables) > 1 else {}, prefixes[first]


def cell2location_companions(key: str) -> dict[str, str]:
    """Name the keys that cell2location writes together.

    Parameters
    ----------
    key
        Key of ``obsm``.

    Returns
    -------
    From statistic to key; empty where ``key`` is not of cell2location.
    """
    match = re.match(r"^(means|stds|q\d\d)(_cell_abundance_w_sf)$", key)
    if match is None:
        return {}
    return {
        name: f"{start}{match[2]}"
        for name, start in (("mean", "means"), ("sd", "stds"), ("q05", "q05"), ("q95", "q95"))
    }


def _numeric(column: pd.Series | pd.DataFrame) -> bool:
    return isinstance(column, pd.DataFrame) or bool(pd.api.types.is_numeric_dtype(column))


def _of_doublets(table: pd.DataFrame) -> pd.DataFrame:
    """RCTD's ``results_df`` beside ``weights_doublet``: two names and two weights a spot; rejected spots have none."""
    names = table[["first_type", "second_type"]].iloc[:, :2].astype(object).to_numpy()
    columns = next((pair for pair in _WEIGHTS if set(pair) <= set(table.columns)), None)
    if columns is None:
        msg = "The table names the cell types of RCTD's doublet mode but holds no weights"
        why = "`results_df` says which types a spot has, not how much of each"
        fix = "write `as.matrix(normalize_weights(rctd@results$weights))`, or `cbind(results_df, weights_doublet)`"
        raise TargetError(msg, where=first_names(table.columns, 8), why=why, fix=fix, code="BI-61")
    weights = table[list(columns)].to_numpy(dtype=np.float64)
    classes = table[_CLASSES].astype(str).to_numpy() if _CLASSES in table else np.full(len(table), "")
    single = classes == "singlet"
    weights[single] = [1.0, 0.0]
    types = sorted({str(name) for name, weight in zip(names.ravel(), weights.ravel(), strict=True) if weight > 0})
    out = pd.DataFrame(0.0, index=table.index, columns=types)
    for side in (0, 1):
        for name in types:
            out[name] += np.where(names[:, side].astype(str) == name, np.nan_to_num(weights[:, side]), 0.0)
    out = out[classes != "reject"]
    return out.div(out.sum(axis=1), axis=0)


_WEIGHTS = (
    ("first_type.1", "second_type.1"),  # as pandas reads two columns of one name
    ("first_type_weight", "second_type_weight"),
    ("weight_first_type", "weight_second_type"),
)
