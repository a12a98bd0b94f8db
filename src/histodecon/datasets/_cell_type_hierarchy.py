"""Which fine cell types belong to which coarse ones, in published data."""

from __future__ import annotations

from importlib.resources import files

import pandas as pd

from histodecon._core import InputError, closest_names

NAMES = ("her2st", "wu2021")


def cell_type_hierarchy(name: str) -> pd.DataFrame:
    """Load the levels of cell types of a published annotation.

    Parameters
    ----------
    name
        ``"wu2021"``: the single-cell atlas of breast cancer, the usual reference for breast tissue, as its table of cells
        spells them. ``"her2st"``: the same types as the published proportions of :func:`histodecon.datasets.her2st` spell
        them.

    Returns
    -------
    One row a finest type. Columns ``subset``, ``minor`` and ``major``, and for ``"wu2021"`` also ``her2st``, the major level
    in the words of her2st: its Plasma Cells are the Plasmablasts, its Epithelial cells cancer and normal ones together.

    Raises
    ------
    InputError
        There is no hierarchy of this name.

    Notes
    -----
    The subset of T cells with IFIT1 holds CD4+ and CD8+ cells, and its minor level is left open (NaN).

    References
    ----------
    Wu, S.Z. et al. A single-cell and spatially resolved atlas of human breast cancers. Nature Genetics 53, 1334-1347 (2021).

    Examples
    --------
    >>> import histodecon as hd
    >>> levels = hd.datasets.cell_type_hierarchy("wu2021")
    >>> levels[["minor", "major"]].dropna().drop_duplicates().shape
    (29, 2)

    Two of its columns are a mapping for ``histodecon.tl.aggregate_types``, such as ``levels[["major", "her2st"]]``.
    """
    if name not in NAMES:
        msg = f"There is no hierarchy of cell types {name!r}"
        fix = closest_names(name, NAMES) or f"use one of {', '.join(map(repr, NAMES))}"
        raise InputError(msg, where=f"there are {', '.join(NAMES)}", fix=fix, code="BI-104")
    with (files("histodecon.datasets") / f"cell_types_{name}.csv").open(encoding="utf-8") as handle:
        return pd.read_csv(handle, dtype=str)
