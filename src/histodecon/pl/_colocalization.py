"""Maps of Moran's R side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from histodecon._core import AlignmentError, InputError, Key, MissingKeyError, doc, first_names, safe_key, table_of
from histodecon.pl._figure import MISSING, TABLE_LABELS, choose, finish, plain, say

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

_SMALLEST_MARK = 2.2  # points across, but no more than half a cell


@dataclass(frozen=True)
class _Map:
    title: str
    names: list[str]
    r: np.ndarray
    q: np.ndarray

    def ordered(self, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        at = [self.names.index(name) for name in names]
        return self.r[np.ix_(at, at)], self.q[np.ix_(at, at)]


@doc
def colocalization(
    data: Any,
    keys: str | Sequence[str] = Key.uns.COLOCALIZATION,
    *,
    library_id: str | None = None,
    cell_types: Sequence[str] | None = None,
    cluster: bool = True,
    alpha: float = 0.05,
    titles: Sequence[str] | None = None,
    cmap: str = "RdBu_r",
    table_key: str = Key.element.TABLE,
    show: bool | None = None,
    save: str | Path | None = None,
) -> np.ndarray | None:
    """Draw colocalization maps side by side, in one order and one scale of colors.

    A dot marks pairs of different types with q below ``alpha``. Red pairs share places, blue pairs avoid each other.
    Types without variance are gray, at the end. Colors saturate at the strongest pair of different types.

    Parameters
    ----------
    %(data)s
    keys
        Names in ``uns`` under which ``tl.colocalization`` stored its maps.
    library_id
        Slide to draw; by default the map pooled over slides.
    cell_types
        Names, drawn in this order unless clustered; by default all.
    cluster
        Order the types by average-linkage clustering of the rows of the first map.
    alpha
        False discovery rate of a mark.
    titles
        One for each key; by default the table the map was made from.
    cmap
        Diverging colors.
    %(table_key)s
    %(show)s
    %(save)s

    Returns
    -------
    The axes, one a map; None when the figure is shown.

    Raises
    ------
    MissingKeyError
        A map is absent.
    AlignmentError
        The maps do not name the same cell types.
    InputError
        A slide or cell type is unknown.

    Examples
    --------
    >>> import histodecon as hd
    >>> adata = hd.datasets.toy_slide()["table"]
    >>> hd.tl.colocalization(adata, "true_abundance")
    >>> axes = hd.pl.colocalization(adata, show=False)
    >>> len(axes)
    1
    """
    import matplotlib.pyplot as plt

    adata = table_of(data, table_key)
    wanted = [keys] if isinstance(keys, str) else list(keys)
    maps = [read_map(adata, key, library_id) for key in wanted]
    _check_maps(maps, wanted, titles)
    names = _order(maps, choose(cell_types, maps[0].names, "cell type"), cluster=cluster)
    strongest = _strongest(maps, names)
    side = float(np.clip(0.22 * len(names) + 1.2, 3.0, 12.0))
    figure, axes = plt.subplots(
        1, len(maps), figsize=(side * len(maps) + 2.2, side + 1.4), squeeze=False, layout="constrained"
    )
    for i, (ax, one) in enumerate(zip(axes[0], maps, strict=True)):
        image = _draw_map(ax, one, names, strongest, cmap, alpha, size=side)
        ax.set_title(titles[i] if titles is not None else one.title, fontsize=11)
        if i:
            ax.set_yticklabels([])
    bar = figure.colorbar(image, ax=list(axes[0]), shrink=0.7, aspect=30, extend="both")
    bar.set_label("bivariate Moran's R", fontsize=9)
    bar.ax.tick_params(labelsize=8)
    figure.supxlabel(f"● q < {alpha:g}", fontsize=8, x=0.99, ha="right")
    return None if finish(figure, show=show, save=save) else axes[0]


def read_map(adata: AnnData, key: str, library_id: str | None) -> _Map:
    """Read a map that ``tl.colocalization`` stored.

    Parameters
    ----------
    adata
        Where to read.
    key
        Name in ``uns``.
    library_id
        Slide; None for the pooled map.

    Returns
    -------
    The map.

    Raises
    ------
    MissingKeyError
        It is absent.
    InputError
        The slide is unknown.
    """
    record = adata.uns.get(key)
    if not (isinstance(record, Mapping) and "pooled" in record):
        present = [name for name, value in adata.uns.items() if isinstance(value, Mapping) and "pooled" in value]
        msg = f"uns[{key!r}] holds no colocalization map"
        fix = f'`histodecon.tl.colocalization(adata, key_added="{safe_key(key)}")`'
        raise MissingKeyError(msg, where=f"maps present: {first_names(present)}", fix=fix, code="BI-104")
    part, title = record["pooled"], TABLE_LABELS.get(record["params"]["abundance"], record["params"]["abundance"])
    if library_id is not None:
        libraries = {str(one["library_id"]): one for one in record["libraries"].values()}
        library = choose(library_id, list(libraries), "slide")[0]
        part, title = libraries[library], f"{title}, {library}"
    names = [str(name) for name in record["names"]]
    return _Map(plain(title), names, np.asarray(part["R"], dtype=float), np.asarray(part["q"], dtype=float))


def _check_maps(maps: Sequence[_Map], keys: Sequence[str], titles: Sequence[str] | None) -> None:
    if not maps or (titles is not None and len(titles) != len(maps)):
        msg = f"{len(maps)} maps and {0 if titles is None else len(titles)} titles"
        raise InputError(msg, fix="name at least one map, and one title for each", code="BI-104")
    for key, one in zip(keys[1:], maps[1:], strict=True):
        odd = set(one.names) ^ set(maps[0].names)
        if odd:
            msg = f"uns[{keys[0]!r}] and uns[{key!r}] do not name the same cell types"
            why = "maps are compared type by type"
            fix = "make both from tables with the same columns"
            raise AlignmentError(msg, where=first_names(sorted(odd)), why=why, fix=fix, code="BI-102")


def _order(maps: Sequence[_Map], names: list[str], *, cluster: bool) -> list[str]:
    """Types with variance in the first map first, clustered by its rows; the others after them."""
    r, _ = maps[0].ordered(names)
    defined = np.isfinite(r).any(axis=1)
    kept = np.flatnonzero(defined)
    if cluster and len(kept) > 2:
        from scipy.cluster.hierarchy import leaves_list, linkage

        rows = np.nan_to_num(r[np.ix_(kept, kept)])
        kept = kept[leaves_list(linkage(rows, method="average", optimal_ordering=True))]
    elif not cluster:
        return names
    return [names[i] for i in (*kept, *np.flatnonzero(~defined))]


def _strongest(maps: Sequence[_Map], names: Sequence[str]) -> float:
    pairs = [np.abs(one.ordered(names)[0][~np.eye(len(names), dtype=bool)]) for one in maps]
    known = np.concatenate([values[np.isfinite(values)] for values in pairs])
    return float(known.max()) if len(known) and known.max() > 0 else 1.0


def _draw_map(
    ax: Axes, one: _Map, names: Sequence[str], strongest: float, cmap: str, alpha: float, *, size: float
) -> AxesImage:
    r, q = one.ordered(names)
    image = ax.imshow(r, cmap=cmap, vmin=-strongest, vmax=strongest, interpolation="nearest")
    ax.set_facecolor(MISSING)
    points = float(np.clip(72 * size / len(names) * 0.55, 2.5, 9.0))
    labels = [plain(name, 28) for name in names]
    ax.set_xticks(range(len(names)), labels, rotation=90, fontsize=points)
    ax.set_yticks(range(len(names)), labels, fontsize=points)
    ax.tick_params(length=0)
    with np.errstate(invalid="ignore"):
        marked = (q < alpha) & ~np.eye(len(names), dtype=bool)
    rows, columns = np.nonzero(marked)
    shade = np.where(np.abs(r[rows, columns]) > 0.6 * strongest, "white", "black")
    cell = 72 * size / len(names)
    across = min(max(0.16 * cell, _SMALLEST_MARK), 0.5 * cell)
    ax.scatter(columns, rows, s=across**2, c=list(shade), linewidths=0)
    if not np.isfinite(r).any():
        say(ax, "no pair of types has variance")
    return image
