"""Files of one legacy ST slide to arrays: spots joined by their id, never by their order."""

from __future__ import annotations

import gzip
import os
import re
import warnings
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from histodecon._core import (
    AlignmentError,
    DroppedSpotsWarning,
    GeometryError,
    InputError,
    Key,
    TargetError,
    first_names,
)
from histodecon.images import LEGACY_PITCH_UM, open_image
from histodecon.images._placement import require_inside
from histodecon.images._scale import USER, choose_mpp, measured_mpp
from histodecon.io._assemble import Section

_ID = re.compile(r"^\s*(\d+)(?:\.0*)?\s*[xX_]\s*(\d+)(?:\.0*)?\s*$")
_PIXELS = (("pixel_x", "pixel_y"), ("X", "Y"))
ENOUGH_OVERLAP = 0.9
LEGACY_SPOT_UM = 100.0


def read_section(
    counts: str | os.PathLike[str] | pd.DataFrame,
    spots: str | os.PathLike[str] | pd.DataFrame,
    image: Any,
    *,
    library_id: str,
    mpp: float | None = None,
    pitch_um: float = LEGACY_PITCH_UM,
    spot_diameter_um: float = LEGACY_SPOT_UM,
    drop_unplaced: bool = False,
    patient: str | None = None,
    whole_array: bool = False,
) -> tuple[Section, int]:
    """Read one slide.

    Parameters
    ----------
    counts, spots, image, library_id, mpp, pitch_um, spot_diameter_um, drop_unplaced, patient
        As in :func:`histodecon.io.read_st`.
    whole_array
        The counts are those of the whole array and the spots only those under tissue: the rest of the counts is left out.

    Returns
    -------
    The slide, and how many selected spots have no counts.
    """
    table = _read_counts(counts)
    places = _read_spots(spots)
    selected = places[places["selected"]]
    if whole_array and places.index.isin(table.index).mean() >= ENOUGH_OVERLAP:
        table = table.loc[table.index.isin(places.index)]
    found = table.index.isin(places.index)
    if not found.all():
        _unplaced(table.index, places.index, found, drop_unplaced=drop_unplaced)
    kept = table.index[found & table.index.isin(selected.index)]
    if int(found.sum()) > len(kept):
        left_out = table.index[found & ~table.index.isin(selected.index)]
        _warn_dropped(library_id, left_out, "the spot file does not select them")
    matrix = _integer_matrix(table.loc[kept])
    xy = places.loc[kept, ["pixel_x", "pixel_y"]].to_numpy()
    read_off = measured_mpp(
        places[["pixel_x", "pixel_y"]].to_numpy(),
        array_row=places["row"],
        array_col=places["column"],
        pitch_um=pitch_um,
    )
    value, source = choose_mpp([] if mpp is None else [(float(mpp), USER)], read_off, slide=library_id)
    with open_image(image) as opened:
        require_inside(opened, xy, kept.to_numpy(), library=library_id, hires_factor=None)
        pixels = opened.read(0, 0, opened.width, opened.height)
    section = Section(
        library_id=library_id,
        image=pixels,
        counts=matrix,
        obs_names=list(kept),
        var_names=list(table.columns),
        xy=xy,
        mpp=value,
        mpp_source=source,
        spot_diameter_um=spot_diameter_um,
        obs={
            **({} if patient is None else {Key.obs.PATIENT: str(patient)}),
            "array_row": places.loc[kept, "row"].to_numpy(),
            "array_col": places.loc[kept, "column"].to_numpy(),
        },
    )
    return section, int((~selected.index.isin(table.index)).sum())


def normal_ids(names: Sequence[object], what: str) -> list[str]:
    """Write spot ids in one way.

    Parameters
    ----------
    names
        Ids such as ``"10x14"``, ``"10.0x14.0"``, ``"10_14"``.
    what
        Where they stand, for the message.

    Returns
    -------
    Ids such as ``"10x14"``, in the same order.

    Raises
    ------
    AlignmentError
        Some are of another form, or two become the same.
    """
    matches = [_ID.match(str(name)) for name in names]
    bad = [name for name, match in zip(names, matches, strict=True) if match is None]
    if bad:
        msg = f"Some names in the {what} are not ids of spots"
        where = f"{len(bad)} of {len(matches)}: {first_names(bad)}"
        fix = "ids look like '10x14': the place in the array, x then y; genes are columns, spots are rows"
        raise AlignmentError(msg, where=where, fix=fix, code="BI-07")
    ids = [f"{int(match[1])}x{int(match[2])}" for match in matches if match]
    twice = pd.Index(ids)[pd.Index(ids).duplicated()].unique()
    if len(twice):
        msg = f"Some spots stand more than once in the {what}"
        raise AlignmentError(msg, where=f"{len(twice)}: {first_names(twice)}", code="BI-04")
    return ids


def _read_counts(source: str | os.PathLike[str] | pd.DataFrame) -> pd.DataFrame:
    if isinstance(source, pd.DataFrame):
        table = source.copy()
    else:
        table, header = _table(source, "count file", index_col=0)
        _require_unique_genes(pd.Index(header[1:]))  # pandas has renamed the second one
    _require_unique_genes(table.columns)
    table.index = pd.Index(normal_ids(table.index, "counts"), dtype=object)
    table.columns = table.columns.astype(str)
    if table.shape[0] == 0 or table.shape[1] == 0:
        msg = "The counts are empty"
        raise InputError(msg, where=f"{table.shape[0]} spots, {table.shape[1]} genes", code="BI-31")
    return table


def _require_unique_genes(genes: pd.Index) -> None:
    twice = genes[genes.duplicated()].unique()
    if len(twice):
        msg = "Some genes stand more than once in the counts"
        fix = "sum or rename these columns and hand in the DataFrame"
        raise TargetError(msg, where=f"{len(twice)}: {first_names(twice)}", fix=fix, code="BI-57")


def _read_spots(source: str | os.PathLike[str] | pd.DataFrame) -> pd.DataFrame:
    """Read ids, places in the array, pixels and selection; index = ids."""
    if isinstance(source, pd.DataFrame):
        table = source.reset_index() if {"x", "y"} - set(source.columns) else source
    else:
        table, _ = _table(source, "spot file", index_col=None)
    pair = next((names for names in _PIXELS if set(names) <= set(table.columns)), None)
    if pair is None:
        msg = "The spot file has no columns with the pixels of the spots"
        where = f"columns: {first_names(table.columns, 8)}"
        raise InputError(msg, where=where, fix="`pixel_x` and `pixel_y`, or `X` and `Y`, are read", code="BI-06")
    if {"x", "y"} <= set(table.columns):
        names = [f"{x}x{y}" for x, y in zip(table["x"], table["y"], strict=True)]
    else:
        names = [str(name) for name in table[table.columns[0]]]
    ids = normal_ids(names, "spot file")
    places = pd.DataFrame(index=pd.Index(ids, dtype=object))
    for name, column in zip(("pixel_x", "pixel_y"), pair, strict=True):
        places[name] = pd.to_numeric(table[column], errors="coerce").to_numpy(dtype=np.float64)
    array = np.array([[int(part) for part in name.split("x")] for name in ids]).reshape(-1, 2)
    places["column"], places["row"] = array[:, 0], array[:, 1]
    places["selected"] = table["selected"].to_numpy() != 0 if "selected" in table.columns else True
    bad = ~np.isfinite(places[["pixel_x", "pixel_y"]].to_numpy()).all(axis=1)
    if bad.any():
        msg = "Some spots have no pixels in the spot file"
        raise GeometryError(
            msg, where=f"{int(bad.sum())} of {len(bad)}: {first_names(places.index[bad])}", code="BI-98"
        )
    return places


def _table(source: str | os.PathLike[str], what: str, *, index_col: int | None) -> tuple[pd.DataFrame, list[str]]:
    path = Path(source)
    if not path.is_file():
        msg = f"The {what} {path.name} is absent"
        present = sorted(other.name for other in path.parent.glob("*")) if path.parent.is_dir() else []
        raise InputError(msg, where=f"{path.parent} holds {first_names(present, 8)}", code="BI-02")
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
        with gzip.open(path, "rt") if packed else path.open() as handle:
            line = handle.readline()
        separator = "\t" if "\t" in line else ","
        if separator not in line:
            msg = f"The {what} {path.name} is not a table"
            where = f"it begins with {line.strip()[:40]!r}"
            raise InputError(msg, where=where, why="columns are separated by tabs or commas", code="BI-29")
        compression = "gzip" if packed else None
        table = pd.read_csv(path, sep=separator, index_col=index_col, low_memory=False, compression=compression)
    except (
        OSError,
        EOFError,
        UnicodeDecodeError,
        zlib.error,
        pd.errors.ParserError,
        pd.errors.EmptyDataError,
    ) as error:
        msg = f"The {what} {path.name} cannot be read"
        raise InputError(msg, where=f"{type(error).__name__}: {error}", fix="fetch it again", code="BI-29") from error
    return table, line.rstrip("\r\n").split(separator)


def _unplaced(counted: pd.Index, placed: pd.Index, found: np.ndarray, *, drop_unplaced: bool) -> None:
    missing = counted[~found]
    where = f"{len(missing)} of {len(counted)}: {first_names(missing)}; the spot file has {first_names(placed)}"
    if found.mean() < ENOUGH_OVERLAP:
        turned = ["x".join(reversed(name.split("x"))) for name in counted]
        if np.isin(turned, placed).mean() >= ENOUGH_OVERLAP:
            msg = "The ids of counts and spots have x and y exchanged"
            raise AlignmentError(msg, where=where, fix="rename the rows of the counts to 'x' then 'y'", code="BI-07")
        msg = "Counts and spots are hardly of one slide"
        raise AlignmentError(msg, where=where, fix="check that both files belong to one section", code="BI-07")
    if not drop_unplaced:
        msg = "Some spots with counts have no position"
        why = "their tile cannot be cut"
        raise AlignmentError(msg, where=where, why=why, fix="leave them out with `drop_unplaced=True`", code="BI-03")
    _warn_dropped("", missing, "they have no position")


def _warn_dropped(library_id: str, names: pd.Index, why: str) -> None:
    slide = f"Slide {library_id!r}: " if library_id else ""
    text = f"{slide}{len(names)} spots with counts are left out because {why}: {first_names(names)}."
    warnings.warn(text, DroppedSpotsWarning, stacklevel=5)


def _integer_matrix(table: pd.DataFrame) -> sp.csr_matrix:
    try:
        values = table.to_numpy(dtype=np.float64)
    except (TypeError, ValueError) as error:
        msg = "Some counts are not numbers"
        raise TargetError(msg, where=str(error), code="BI-55") from error
    bad = ~np.isfinite(values) | (values < 0) | (values != np.floor(values))
    if bad.any():
        rows, columns = np.nonzero(bad)
        example = f"{table.index[rows[0]]!r}, {table.columns[columns[0]]!r}: {values[rows[0], columns[0]]}"
        msg = "Some counts are not whole numbers of 0 or more"
        why = "this looks like normalized data; deconvolution models counts"
        fix = "read the raw counts"
        raise TargetError(msg, where=f"{int(bad.sum())} of {bad.size}, first {example}", why=why, fix=fix, code="BI-54")
    return sp.csr_matrix(values)
