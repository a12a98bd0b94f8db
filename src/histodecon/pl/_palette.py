"""One color a cell type, the same in every picture, kept where scanpy keeps colors."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from histodecon._core import FallbackWarning, InputError, first_names, table_keys, table_record
from histodecon.pl._figure import SERIES, choose

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

OTHERS = "#B3B3B3"
TYPES = (
    *SERIES,
    *("#8700FF", "#5A4B1E", "#00F087", "#8778FF", "#960069", "#F01E5A", "#7800B4", "#B4A54B", "#D200B4"),
    *("#A5D2A5", "#A50F4B", "#964B00", "#4BE1FF", "#6996F0", "#005A78", "#C3D25A", "#874BFF", "#00C378"),
    *("#B40F2D", "#5A961E", "#D296A5", "#3C8778", "#2D2DD2", "#874BD2", "#69784B"),
)
"""Colors of cell types. The first seven are Okabe and Ito's; each further one is as far as can be from all before it, from white and
from the pink of H&E, seen with normal vision and with simulated protanopia, deuteranopia and tritanopia (Machado 2009). The two
most alike of the first 16 are 16 apart (CIE76) for the worst of these eyes, of all 32 they are 9."""

Palette = Mapping[str, str] | Sequence[str] | str


def type_colors(adata: AnnData, key: str, table: pd.DataFrame, palette: Palette | None = None) -> dict[str, str]:
    """Find the color of every cell type of a table, and keep it in ``uns[key + "_colors"]`` in the order of the columns.

    Parameters
    ----------
    adata
        The table.
    key
        Key of ``obsm``.
    table
        What is there, under its real names.
    palette
        Colors by name, in the order of the columns, or the name of a colormap. Default: those kept for this table, else for another
        one with the same cell types, else :data:`TYPES`.

    Returns
    -------
    Hexadecimal color of each type.

    Raises
    ------
    InputError
        The palette has too few colors, names another type, or something in it is no color.

    Warns
    -----
    FallbackWarning
        The colors kept do not fit the columns.
    """
    names = [str(name) for name in table.columns]
    slot = f"{key}_colors"
    found = _kept(adata, key, names)
    if palette is not None:
        found = (found or _defaults(table)) | _asked(palette, names)
    elif found is None:
        found = _defaults(table)
    if not adata.is_view and (palette is not None or slot not in adata.uns):
        adata.uns[slot] = np.array([found[name] for name in names], dtype=object)
    return found


def _kept(adata: AnnData, key: str, names: list[str]) -> dict[str, str] | None:
    from matplotlib.colors import is_color_like, to_hex

    for other in (key, *table_keys(adata)):
        if f"{other}_colors" not in adata.uns or other not in adata.obsm:
            continue
        colors = list(adata.uns[f"{other}_colors"])
        columns = names if other == key else _names(adata, other)
        if len(colors) == len(columns) and set(columns) == set(names) and all(map(is_color_like, colors)):
            return {name: to_hex(color) for name, color in zip(columns, colors, strict=True)}
        if other == key:
            warnings.warn(
                f'uns["{key}_colors"] does not hold one color for each of the {len(names)} cell types: other colors are drawn.',
                FallbackWarning,
                stacklevel=4,
            )
    return None


def _names(adata: AnnData, key: str) -> list[str]:
    record = table_record(adata, key) or {"columns": (), "names": ()}
    real = dict(zip(map(str, record["columns"]), map(str, record["names"]), strict=True))
    return [real.get(str(name), str(name)) for name in adata.obsm[key].columns]


def _defaults(table: pd.DataFrame) -> dict[str, str]:
    """In the order of the columns; of many types, the most frequent get the colors that are told apart best."""
    names = [str(name) for name in table.columns]
    if len(names) > len(SERIES):
        means = table.mean().set_axis(names)
        names = list(means.sort_values(ascending=False, kind="stable").index)
    return {name: TYPES[i % len(TYPES)].lower() for i, name in enumerate(names)}


def _asked(palette: Palette, names: list[str]) -> dict[str, str]:
    import matplotlib as mpl
    from matplotlib.colors import is_color_like, to_hex

    if isinstance(palette, str):
        cmap = mpl.colormaps[choose(palette, list(mpl.colormaps), "colormap")[0]]
        listed = getattr(cmap, "colors", None)
        at = range(cmap.N) if listed is not None and cmap.N < 256 else np.linspace(0, 1, len(names))
        palette = [to_hex(cmap(i)) for i in at]
    if not isinstance(palette, Mapping):
        colors = list(palette)
        if len(colors) < len(names):
            msg = f"The palette has {len(colors)} colors for {len(names)} cell types"
            fix = "a dict from name to color, for some of them; or leave `palette` out"
            raise InputError(msg, where=f"cell types: {first_names(names, 8)}", fix=fix, code="BI-104")
        palette = dict(zip(names, colors[: len(names)], strict=True))
    choose(list(palette), names, "cell type")
    wrong = [str(color) for color in palette.values() if not is_color_like(color)]
    if wrong:
        msg = f"matplotlib knows no color {first_names(wrong)}"
        raise InputError(msg, fix='such as `{"T-cells": "#0072B2"}`', code="BI-104")
    return {name: to_hex(color) for name, color in palette.items()}
