"""Which cell types make up each spot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from histodecon._core import InputError, Key, doc, iter_libraries, read_table, table_of
from histodecon.pl._figure import MISSING, TABLE_LABELS, choose, finish, plain
from histodecon.pl._palette import OTHERS, Palette, type_colors
from histodecon.pl._pies import draw_discs, draw_pies
from histodecon.pl._tissue import Tissue, draw_scale_bar, draw_tissue, find_tissue

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.patches import Patch

KINDS = ("pies", "dominant")
MOST_TYPES = 12


@doc
def composition(
    data: Any,
    abundance: str | None = None,
    *,
    kind: Literal["pies", "dominant"] = "pies",
    cell_types: str | Sequence[str] | None = None,
    max_types: int = MOST_TYPES,
    library_id: str | Sequence[str] | None = None,
    palette: Palette | None = None,
    opacity: float = 0.45,
    size: float = 1.4,
    n_columns: int = 3,
    table_key: str = Key.element.TABLE,
    library_key: str = Key.obs.LIBRARY,
    ax: Axes | None = None,
    show: bool | None = None,
    save: str | Path | None = None,
) -> np.ndarray | None:
    """Draw what each spot is made of, on the tissue: a pie of all cell types, or the color of the most frequent one.

    One panel a slide, one legend for all. Pies show proportions and not how many cells there are: see :func:`abundance` for these.
    They begin at the top and run clockwise in the order of the legend. A spot without cells or without values is a gray ring.

    Parameters
    ----------
    %(data)s
    abundance
        Key of ``obsm``. Default: ``"predicted_abundance"``, else ``"crossval_abundance"``, else ``"cell_abundance"``.
    kind
        ``"pies"``, or ``"dominant"``: the type with the largest part of a spot; of equals the first column.
    cell_types
        Types with a color of their own; by default the most frequent. The others are drawn as one, in gray.
    max_types
        How many types get a color of their own when ``cell_types`` are not given.
    library_id
        Slide or slides; by default all.
    palette
        Colors by name, colors in the order of the columns, or the name of a colormap. They are kept for later pictures.
    opacity
        Of the tissue below the spots; 0 draws on white and needs no picture.
    size
        Diameter of a disc in diameters of a spot; 1 is true to scale.
    n_columns
        Panels beside each other.
    %(table_key)s
    %(library_key)s
    %(ax)s Only with one slide.
    %(show)s
    %(save)s

    Returns
    -------
    The axes, one a slide; None when the figure is shown.

    Raises
    ------
    MissingKeyError
        The table is absent.
    InputError
        A cell type, slide, kind or color is unknown, values are negative, or ``ax`` is given for several slides.

    Warns
    -----
    FallbackWarning
        A slide has no picture, or the colors kept do not fit the cell types.

    Notes
    -----
    Keeps the colors in ``uns[abundance + "_colors"]``, in the order of the columns, as scanpy does for categories; tables with the
    same cell types share them. A view of another AnnData is left as it is. Up to seven types get colors in the order of the columns;
    of more, the most frequent ones of the table get the colors that all common kinds of color vision tell apart best. For the same
    colors in other data, hand them in as ``palette``.

    Examples
    --------
    >>> import histodecon as hd
    >>> adata = hd.datasets.toy_slide(n_patients=2)["table"]
    >>> key = "true_abundance"
    >>> axes = hd.pl.composition(adata, key, kind="dominant", show=False)
    >>> [ax.get_title() for ax in axes]
    ['toy_1', 'toy_2']
    >>> len(adata.uns[key + "_colors"])
    6
    """
    adata = table_of(data, table_key)
    if kind not in KINDS:
        msg = f"Unknown kind {kind!r}"
        raise InputError(msg, where=f"known: {', '.join(KINDS)}", fix='use `kind="pies"`', code="BI-104")
    key = abundance or _default(adata)
    shares = _shares(adata, key)
    libraries = choose(library_id, [str(name) for name, _ in iter_libraries(adata, library_key)], "slide")
    if ax is not None and len(libraries) > 1:
        msg = f"`ax` is one panel, and there are {len(libraries)} slides"
        raise InputError(msg, fix=f"name one with `library_id={libraries[0]!r}`, or leave `ax` out", code="BI-35")
    tissues = [find_tissue(adata, name, library_key, with_picture=opacity > 0) for name in libraries]
    rows = np.concatenate([tissue.rows for tissue in tissues])
    parts = _parts(shares, rows, kind, cell_types, max_types)
    colors = type_colors(adata, key, shares, palette)
    shown = [colors.get(name, OTHERS) if name in shares else OTHERS for name in parts]
    owns = ax is None
    axes = np.array([ax]) if ax is not None else _panels(tissues, n_columns)
    for panel, tissue in zip(axes, tissues, strict=True):
        _draw_slide(panel, tissue, parts.to_numpy()[tissue.rows], shown, opacity, size)
        panel.set_title(plain(tissue.library, 40), fontsize=10)
    draw_scale_bar(axes[-1], tissues[-1])
    title = f"{TABLE_LABELS.get(key, plain(key, 30))},\n" + ("mean proportion" if kind == "pies" else "dominant in")
    _draw_legend(axes, _entries(parts.iloc[rows], shown), title, outside=owns)
    return None if finish(axes[0].figure, show=show, save=save, owns=owns) else axes


def _default(adata: AnnData) -> str:
    ranked = (Key.obsm.PREDICTED, Key.obsm.CROSS_VALIDATED, Key.obsm.TARGETS)
    return next((key for key in ranked if key in adata.obsm), Key.obsm.PREDICTED)


def _shares(adata: AnnData, key: str) -> pd.DataFrame:
    """Proportions of each spot; NaN where it has no cells or lacks a value."""
    table = read_table(adata, key)
    table = table.set_axis([str(name) for name in table.columns], axis=1)
    values = table.to_numpy(dtype=np.float64)
    if (values < 0).any():
        row, column = np.argwhere(values < 0)[0]
        msg = f"obsm[{key!r}] holds negative values, of which nothing can be a part"
        where = f"spot {adata.obs_names[row]!r}, {table.columns[column]!r}: {values[row, column]:.3g}"
        raise InputError(msg, where=where, fix="clip them at 0 if they are residues of a fit", code="BI-104")
    total = values.sum(axis=1, keepdims=True)
    whole = np.isfinite(total) & (total > 0)
    return pd.DataFrame(
        np.divide(values, total, out=np.full_like(values, np.nan), where=whole), table.index, table.columns
    )


def _parts(
    shares: pd.DataFrame, rows: np.ndarray, kind: str, cell_types: str | Sequence[str] | None, max_types: int
) -> pd.DataFrame:
    """What is drawn of every spot: the types with a color, most frequent first, then all others as one."""
    whole = shares
    if kind == "dominant":
        first = np.nan_to_num(shares.to_numpy(), nan=-1.0).argmax(axis=1)
        one = np.eye(shares.shape[1])[first]
        one[shares.isna().to_numpy().any(axis=1)] = np.nan
        whole = pd.DataFrame(one, shares.index, shares.columns)
    names = choose(cell_types, list(shares.columns), "cell type")
    if cell_types is None:
        means = whole.iloc[rows].mean().fillna(0.0).sort_values(ascending=False, kind="stable")
        keep = len(means) if len(means) <= max_types + 1 else max(max_types, 1)  # one type alone is not "others"
        names = list(means.index[:keep])
    rest = [name for name in shares.columns if name not in names]
    if not rest:
        return whole[names]
    label = f"{len(rest)} other types" if len(rest) > 1 else rest[0]
    return whole[names].assign(**{label: whole[rest].sum(axis=1, skipna=False)})


def _panels(tissues: Sequence[Tissue], n_columns: int) -> np.ndarray:
    import matplotlib.pyplot as plt

    columns = max(1, min(n_columns, len(tissues)))
    rows = -(-len(tissues) // columns)
    shape = [np.ptp(tissue.xy, axis=0) + 3 * tissue.diameter for tissue in tissues]
    side = 5.0 if len(tissues) == 1 else 3.6
    height = float(np.clip(side * max(tall / wide for wide, tall in shape), 2.0, 6.0))
    size = (side * columns + 2.2, (height + 0.35) * rows)
    axes = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")[1].ravel()
    for empty in axes[len(tissues) :]:
        empty.set_axis_off()
    return np.array(axes[: len(tissues)])


def _draw_slide(
    ax: Axes, tissue: Tissue, parts: np.ndarray, colors: Sequence[str], opacity: float, size: float
) -> None:
    draw_tissue(ax, tissue, opacity=opacity)
    known = np.isfinite(parts).all(axis=1)
    draw_discs(ax, tissue.xy[~known], tissue.diameter, facecolors="none", edgecolors=MISSING, linewidths=0.6)
    draw_pies(ax, tissue.xy[known], tissue.diameter * size / 2, parts[known], colors)


def _entries(parts: pd.DataFrame, colors: Sequence[str]) -> list[Patch]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    means = parts.mean().fillna(0.0)
    found: list[Any] = [
        Patch(facecolor=color, label=f"{plain(name, 34)}  {_percent(share)}")
        for (name, share), color in zip(means.items(), colors, strict=True)
    ]
    if parts.isna().any(axis=None):
        ring: dict[str, Any] = {"marker": "o", "linestyle": "none", "markerfacecolor": "none", "markeredgecolor": "0.6"}
        found.append(Line2D([], [], label="no cells or no value", **ring))
    return found


def _percent(share: float) -> str:
    return "< 1 %" if 0 < share < 0.01 else f"{share:.0%}".replace("%", " %")


def _draw_legend(axes: np.ndarray, entries: list[Any], title: str, *, outside: bool) -> None:
    how: dict[str, Any] = {"handles": entries, "title": title, "frameon": False, "fontsize": 9, "title_fontsize": 9}
    how |= {"alignment": "left", "handlelength": 1.0, "handleheight": 1.0}
    if outside:
        axes[0].figure.legend(loc="outside right upper", **how)
    else:
        axes[0].legend(loc="upper left", bbox_to_anchor=(1.02, 1.0), borderaxespad=0.0, **how)
