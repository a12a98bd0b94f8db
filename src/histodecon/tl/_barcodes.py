"""Rows of a foreign table matched to spots by their names, in whichever way a tool has spelled them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import pandas as pd

from histodecon._core import AlignmentError, first_names

_SPOT = re.compile(r"^X?(\d+)(?:\.0*)?[xX_](\d+)(?:\.0*)?$")
_NUMBER = re.compile(r"[-_.]\d+$")
ENOUGH_OVERLAP = 0.9


def match_barcodes(names: Sequence[object], spots: pd.Index, *, library: str | None = None) -> tuple[pd.Index, str]:
    """Give rows the names of the spots they belong to.

    Barcodes that agree as they stand are taken as they stand. Otherwise these differences of spelling are tried, each on both
    sides: spot ids (``10x13``, ``10.0x13.0``, ``10_13``), what R makes of names (``AAAC.1`` for ``AAAC-1``, ``X10x13``),
    the name of the slide before or behind, and a number behind (``AAAC`` for ``AAAC-1``). One is used only where it
    makes no two rows or spots the same.

    Parameters
    ----------
    names
        Names of the rows.
    spots
        Names of the spots.
    library
        The slide that all the rows are of, if they are of one.

    Returns
    -------
    Names of the rows, those that belong to a spot spelled like it; and the difference of spelling, ``""`` for none.

    Raises
    ------
    AlignmentError
        No row belongs to a spot, a barcode stands twice, or x and y of the spot ids are swapped.
    """
    rows = pd.Index([str(name).strip() for name in names], dtype=object)
    if not rows.is_unique:
        twice = rows[rows.duplicated()].unique()
        msg = "Some barcodes stand more than once in the targets"
        fix = "keep one row of each, `targets[~targets.index.duplicated()]`"
        where = f"{len(twice)}: {first_names(twice)}"
        raise AlignmentError(msg, where=where, why="rows are matched by barcode", fix=fix, code="BI-04")
    best, how, most = rows, "", int(rows.isin(spots).sum())
    for label, spell in _spellings(library).items() if most == 0 else ():
        ours, theirs = [spell(str(name)) for name in spots], [spell(name) for name in rows]
        if len(set(ours)) < len(ours) or len(set(theirs)) < len(theirs):
            continue
        real = dict(zip(ours, spots, strict=True))
        count = sum(name in real for name in theirs)
        if count > most:
            best = pd.Index([real.get(name, row) for name, row in zip(theirs, rows, strict=True)], dtype=object)
            how, most = label, count
    _refuse_swapped(rows, spots, most, library)
    if most == 0:
        raise _nothing_common(rows, spots)
    return best, how


def _spellings(library: str | None) -> dict[str, Callable[[str], str]]:
    def plain(name: str) -> str:
        return _without_library(name, library) if library is not None else name

    return {
        "slide": plain,
        "spot id": lambda name: _spot_id(plain(name)),
        "dots": lambda name: plain(name.replace(".", "-")),
        "number": lambda name: _NUMBER.sub("", plain(name)),
    }


def _without_library(name: str, library: str) -> str:
    for mark in "-_:.":
        name = name.removeprefix(f"{library}{mark}").removesuffix(f"{mark}{library}")
    return name


def _spot_id(name: str) -> str:
    match = _SPOT.match(name)
    return f"{int(match[1])}x{int(match[2])}" if match else name


def _refuse_swapped(rows: pd.Index, spots: pd.Index, matched: int, library: str | None) -> None:
    """Ids of a section read y before x still agree where the section is symmetric."""
    spell = _spellings(library)["spot id"]
    ours, theirs = [spell(str(name)) for name in spots], [spell(name) for name in rows]
    if not all(_SPOT.match(name) for name in (*ours, *theirs)):
        return
    turned = {"x".join(reversed(name.split("x"))) for name in theirs} & set(ours)
    if matched < ENOUGH_OVERLAP * min(len(ours), len(theirs)) and len(turned) > matched:
        msg = "x and y of the spot ids seem to be swapped in the targets"
        where = f"{matched} of {len(theirs)} rows are spots as they stand, {len(turned)} the other way round; "
        where += f"the targets have {first_names(rows)}; obs_names has {first_names(spots)}"
        fix = '`targets.index = ["x".join(reversed(name.split("x"))) for name in targets.index]`'
        raise AlignmentError(msg, where=where, why="ids are x then y", fix=fix, code="BI-07")


def _nothing_common(rows: pd.Index, spots: pd.Index) -> AlignmentError:
    fix = "give the targets the barcodes of obs_names as index, `targets.index = ...`; "
    fix += "tables of single slides go in as a dict, `{library_id: table}`"
    return AlignmentError(
        "No spot is common to the targets and the table",
        where=f"the targets have {first_names(rows)}; obs_names has {first_names(spots)}",
        why="rows are matched by barcode, never by position",
        fix=fix,
        code="BI-08",
    )
