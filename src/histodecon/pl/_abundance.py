"""Maps of cell types on the tissue."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from histodecon._core import (
    UNITS,
    InputError,
    Key,
    doc,
    first_names,
    read_table,
    table_keys,
    table_kind,
    table_of,
    table_record,
)
from histodecon.pl._figure import TABLE_LABELS, choose, finish, plain, say
from histodecon.pl._tissue import Tissue, draw_scale_bar, draw_spots, draw_tissue, find_tissue

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.colors import Normalize

DEFAULT_TYPES = 4
DIFFERENCE = "PuOr"  # orange: too low, purple: too high
WIDTH = "Blues"
_TOP = 99  # percentile at which colors saturate


@doc
def abundance(
    data: Any,
    cell_types: str | Sequence[str] | None = None,
    *,
    tables: str | Sequence[str] | None = None,
    library_id: str | None = None,
    difference: bool = True,
    interval: bool = True,
    cmap: str = "magma_r",
    opacity: float = 0.45,
    table_key: str = Key.element.TABLE,
    library_key: str = Key.obs.LIBRARY,
    show: bool | None = None,
    save: str | Path | None = None,
) -> np.ndarray | None:
    """Draw measured and predicted abundance, their difference and how sure it is on the tissue, one row a cell type.

    Tables share the colors of a row; colors saturate at the 99th percentile. The width of the interval, where the prediction has
    one, is in the same unit and has colors of its own. Spots have their true diameter; a spot without a value is a gray ring.

    Parameters
    ----------
    %(data)s
    cell_types
        Names; by default the four with the largest mean.
    tables
        Keys of ``obsm``. Default: ``"cell_abundance"`` and ``"predicted_abundance"``, those that are there.
    library_id
        Name of the slide; may be left out when there is one.
    difference
        With two tables, also draw the second minus the first.
    interval
        Also draw the width of the interval of the last table, if ``tl.predict_abundance`` wrote one (``obsm[key + "_lower"]``
        and ``"_upper"``).
    cmap
        Colors of the tables. The difference is always orange (too low) to purple (too high).
    opacity
        Of the tissue below the spots.
    %(table_key)s
    %(library_key)s
    %(show)s
    %(save)s

    Returns
    -------
    The axes, shape (cell types, panels); None when the figure is shown.

    Raises
    ------
    MissingKeyError
        A table is absent.
    InputError
        A cell type or slide is unknown, or tables of two kinds would share colors.

    Examples
    --------
    >>> import histodecon as hd
    >>> adata = hd.datasets.toy_slide()["table"]
    >>> axes = hd.pl.abundance(adata, "T-cells", tables="true_abundance", show=False)
    >>> axes.shape
    (1, 1)
    """
    import matplotlib.pyplot as plt

    adata = table_of(data, table_key)
    keys = _choose_tables(adata, tables)
    whole = {key: read_table(adata, key) for key in keys}
    shared = [name for name in whole[keys[0]].columns if all(name in table.columns for table in whole.values())]
    names = choose(cell_types, shared, "cell type")
    tissue = find_tissue(adata, library_id, library_key)
    values = {key: table.iloc[tissue.rows] for key, table in whole.items()}
    if cell_types is None:
        means = values[keys[0]][names].mean().sort_values(ascending=False, kind="stable")
        names = list(means.index[:DEFAULT_TYPES])
    width, how = _read_width(adata, keys[-1], tissue.rows) if interval else (None, "")
    panels = len(keys) + int(difference and len(keys) == 2) + int(width is not None)
    tall = np.ptp(tissue.xy[:, 1]) + 3 * tissue.diameter
    wide = np.ptp(tissue.xy[:, 0]) + 3 * tissue.diameter
    height = float(np.clip(3.2 * tall / wide, 1.8, 5.0))
    figure, axes = plt.subplots(
        len(names), panels, figsize=(3.9 * panels, (height + 0.35) * len(names)), squeeze=False, layout="constrained"
    )
    unit = UNITS[table_kind(adata, keys[0])]
    for name, row in zip(names, axes, strict=True):
        own = {key: table[name].to_numpy() for key, table in values.items()}
        _draw_row(row if width is None else row[:-1], tissue, own, cmap, opacity, unit)
        if width is not None:
            _draw_width(row[-1], tissue, width[name].to_numpy(), opacity, unit, how)
        row[0].set_ylabel(plain(name, 30), fontsize=11)
    draw_scale_bar(axes[-1, 0], tissue)
    figure.suptitle(plain(tissue.library), fontsize=11)
    return None if finish(figure, show=show, save=save) else axes


def _draw_row(
    row: Sequence[Axes], tissue: Tissue, values: dict[str, np.ndarray], cmap: str, opacity: float, unit: str
) -> None:
    from matplotlib.colors import TwoSlopeNorm

    norm = _shared_norm(list(values.values()))
    keys = list(values)
    for ax, key in zip(row[: len(keys)], keys, strict=True):
        _draw_panel(ax, tissue, values[key], cmap, norm, opacity)
        title = TABLE_LABELS.get(key, plain(key, 30))
        if len(keys) == 2 and key == keys[1]:
            title += f"   {_correlation(values[keys[0]], values[key])}"
        ax.set_title(title, fontsize=10)
    _draw_bar(row[len(keys) - 1], cmap, norm, np.concatenate(list(values.values())), unit)
    if len(row) > len(keys):
        change = values[keys[1]] - values[keys[0]]
        far = _top(np.abs(change)) or 1.0
        balanced = TwoSlopeNorm(0.0, -far, far)
        _draw_panel(row[-1], tissue, change, DIFFERENCE, balanced, opacity)
        _draw_bar(row[-1], DIFFERENCE, balanced, change, unit)
        labels = [TABLE_LABELS.get(key, plain(key, 30)) for key in keys[::-1]]
        row[-1].set_title(" − ".join(labels), fontsize=10)


def _read_width(adata: AnnData, key: str, rows: np.ndarray) -> tuple[pd.DataFrame | None, str]:
    """Upper minus lower bound of a prediction, and what they cover; None where there are none."""
    lower, upper = f"{key}_lower", f"{key}_upper"
    if lower not in adata.obsm or upper not in adata.obsm:
        return None, ""
    record = table_record(adata, lower) or {}
    covers = f"{float(record['coverage']):.0%} " if "coverage" in record else ""
    return (read_table(adata, upper) - read_table(adata, lower)).iloc[rows], f"width of the {covers}interval"


def _draw_width(ax: Axes, tissue: Tissue, width: np.ndarray, opacity: float, unit: str, title: str) -> None:
    norm = _shared_norm([width])
    _draw_panel(ax, tissue, width, WIDTH, norm, opacity)
    _draw_bar(ax, WIDTH, norm, width, unit)
    ax.set_title(title, fontsize=10)


def _draw_panel(ax: Axes, tissue: Tissue, values: np.ndarray, cmap: str, norm: Normalize, opacity: float) -> None:
    draw_tissue(ax, tissue, opacity=opacity)
    draw_spots(ax, tissue, values, cmap=cmap, norm=norm)
    known = values[np.isfinite(values)]
    if not len(known):
        say(ax, "no values here")
    elif np.ptp(known) == 0:
        say(ax, f"{known[0]:.3g} in every spot")


def _draw_bar(ax: Axes, cmap: str, norm: Normalize, values: np.ndarray, unit: str) -> None:
    """A color bar beside the last of the panels that share it; an arrow where colors saturate."""
    from matplotlib.cm import ScalarMappable

    known = values[np.isfinite(values)]
    if not len(known):
        return
    low, high = bool(known.min() < (norm.vmin or 0)), bool(known.max() > (norm.vmax or 0))
    extend = {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}[low, high]
    bar = ax.figure.colorbar(ScalarMappable(norm, cmap), ax=ax, shrink=0.85, aspect=25, extend=extend)
    bar.set_label(unit, fontsize=8)
    bar.ax.tick_params(labelsize=8)


def _shared_norm(values: Sequence[np.ndarray]) -> Normalize:
    """One scale for all tables of a row: from 0, or below where values are, to the top percentile."""
    from matplotlib.colors import Normalize

    high = max(_top(table) for table in values)
    low = min(0.0, *(-_top(-table) for table in values))
    return Normalize(low, high if high > low else low + 1.0)


def _top(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(np.percentile(known, _TOP)) if len(known) else 0.0


def _correlation(truth: np.ndarray, predicted: np.ndarray) -> str:
    both = np.isfinite(truth) & np.isfinite(predicted)
    if both.sum() < 2 or np.ptp(truth[both]) == 0 or np.ptp(predicted[both]) == 0:
        return "CC undefined"
    return f"CC {np.corrcoef(truth[both], predicted[both])[0, 1]:.2f}"


def _choose_tables(adata: AnnData, tables: str | Sequence[str] | None) -> list[str]:
    if isinstance(tables, str):
        return [tables]
    keys = (
        [key for key in (Key.obsm.TARGETS, Key.obsm.PREDICTED) if key in adata.obsm] if tables is None else list(tables)
    )
    if not keys:
        msg = "There is no abundance table to draw"
        where = f"tables present in obsm: {first_names(table_keys(adata), 8)}"
        raise InputError(msg, where=where, fix="name one with `tables=`", code="BI-104")
    kinds = {key: table_kind(adata, key) for key in keys if key in adata.obsm}
    if len(set(kinds.values())) > 1:
        msg = "The tables hold abundances and proportions"
        where = ", ".join(f"{key}: {kind}" for key, kind in kinds.items())
        raise InputError(msg, where=where, why="they cannot share colors", fix="draw them one by one", code="BI-61")
    return keys
