"""Which tiles a gallery shows, and what is written above them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from histodecon._core import UNITS, InputError, Key, read_table, table_kind
from histodecon.pl._figure import choose, plain

if TYPE_CHECKING:
    from anndata import AnnData

ENDS = ("highest", "lowest")


@dataclass(frozen=True)
class Choice:
    """Tiles in the order they are drawn.

    Parameters
    ----------
    at
        Positions among the rows of the slide.
    captions
        First line above each tile.
    n_columns
        Tiles beside each other.
    labels
        What a row of tiles shows, one a row; empty where there is nothing to say.
    """

    at: np.ndarray
    captions: list[str]
    n_columns: int
    labels: list[str]


def choose_tiles(
    adata: AnnData,
    rows: np.ndarray,
    *,
    barcodes: str | Sequence[str] | None,
    cell_types: str | Sequence[str] | None,
    abundance: str,
    n_tiles: int,
) -> Choice:
    """Choose tiles: those named, the extremes of cell types, or evenly from least to most stained.

    Parameters
    ----------
    adata
        The table, with tissue fractions.
    rows
        Rows of the slide.
    barcodes, cell_types, abundance, n_tiles
        As for :func:`histodecon.pl.tiles`.

    Returns
    -------
    The choice.

    Raises
    ------
    InputError
        A name is unknown, both barcodes and cell types are given, or there are no values to rank.
    """
    if n_tiles < 0:
        msg = f"`n_tiles` must be 0 or more, not {n_tiles}"
        raise InputError(msg, fix="`n_tiles=12`")
    if cell_types is not None:
        if barcodes is not None:
            msg = "Tiles are chosen by `barcodes` or by `cell_types`, not by both"
            raise InputError(msg, fix="leave one of them out", code="BI-104")
        return _extremes(adata, rows, cell_types, abundance, n_tiles)
    fraction = adata.obs[Key.obs.TISSUE_FRACTION].to_numpy()[rows]
    if barcodes is not None:
        names = [str(name) for name in adata.obs_names[rows]]
        place = {name: position for position, name in enumerate(names)}
        at = np.array([place[name] for name in choose(barcodes, names, "barcode")], dtype=int)
    else:
        order = np.argsort(fraction, kind="stable")
        at = order[np.unique(np.linspace(0, len(order) - 1, min(n_tiles, len(order))).round().astype(int))]
    columns = int(np.ceil(np.sqrt(len(at)))) if len(at) else 0
    return Choice(at, [f"{fraction[row]:.0%} tissue" for row in at], columns, [])


def _extremes(
    adata: AnnData, rows: np.ndarray, cell_types: str | Sequence[str], abundance: str, n_tiles: int
) -> Choice:
    """Of each type the highest and the lowest tiles that are tissue, half of them each."""
    table = read_table(adata, abundance).iloc[rows]
    table = table.set_axis([str(name) for name in table.columns], axis=1)
    unit = UNITS[table_kind(adata, abundance)]
    tissue = adata.obs[Key.obs.IN_TISSUE_TILE].to_numpy(dtype=bool)[rows]
    at, captions, labels = [], [], []
    columns = max(1, n_tiles // 2)
    for name in choose(cell_types, list(table.columns), "cell type"):
        values = table[name].to_numpy(dtype=float)
        known = np.flatnonzero(np.isfinite(values) & tissue)
        if not len(known):
            msg = f"No spot with tissue has a value of {name!r}"
            raise InputError(msg, where=f"obsm[{abundance!r}], {len(rows)} spots of this slide", code="BI-104")
        columns = min(columns, max(1, len(known) // 2))
        order = known[np.argsort(values[known], kind="stable")]
        for end, chosen in zip(ENDS, (order[::-1][:columns], order[:columns]), strict=True):
            at += list(chosen)
            captions += [_short(values[row]) for row in chosen]
            labels.append(f"{plain(name, 26)}\n{end}, {unit}")
    return Choice(np.array(at, dtype=int), captions, columns, labels)


def _short(value: float) -> str:
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 0.005 or value <= 0 else "< 0.01"
