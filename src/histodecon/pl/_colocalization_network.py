"""Significant pairs as a network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from histodecon._core import InputError, Key, doc, table_of
from histodecon.pl._colocalization import read_map
from histodecon.pl._figure import MISSING, choose, finish, plain, say

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_EDGES = 400  # more cannot be told apart
_WIDEST = 4.0


@doc
def colocalization_network(
    data: Any,
    key: str = Key.uns.COLOCALIZATION,
    *,
    library_id: str | None = None,
    cell_types: Sequence[str] | None = None,
    alpha: float = 0.05,
    min_r: float = 0.0,
    max_edges: int = 100,
    cmap: str = "RdBu_r",
    ax: Axes | None = None,
    table_key: str = Key.element.TABLE,
    show: bool | None = None,
    save: str | Path | None = None,
) -> Axes | None:
    """Draw cell types on a circle, and a line for each significant pair.

    Red lines join types that share places, blue ones types that avoid each other; width and color are R. Types that belong together
    stand together. Types without a line are gray.

    Parameters
    ----------
    %(data)s
    key
        Name in ``uns`` under which ``tl.colocalization`` stored its maps.
    library_id
        Slide to draw; by default the map pooled over slides.
    cell_types
        Names; by default all.
    alpha
        False discovery rate of a line.
    min_r
        Draw pairs with at least this R, without its sign.
    max_edges
        Draw at most so many pairs, those with the largest R without its sign; what is left out is said below.
    cmap
        Diverging colors.
    %(ax)s
    %(table_key)s
    %(show)s
    %(save)s

    Returns
    -------
    The axes; None when the figure is shown.

    Raises
    ------
    MissingKeyError
        The map is absent.
    InputError
        A slide or cell type is unknown, or ``max_edges`` is out of range.

    Examples
    --------
    >>> import histodecon as hd
    >>> adata = hd.datasets.toy_slide()["table"]
    >>> hd.tl.colocalization(adata, "true_abundance")
    >>> ax = hd.pl.colocalization_network(adata, show=False)
    >>> len(ax.texts) >= len(adata.uns["colocalization"]["names"])
    True
    """
    import matplotlib.pyplot as plt

    if not 1 <= max_edges <= _EDGES:
        msg = f"max_edges={max_edges} is not between 1 and {_EDGES}"
        raise InputError(msg, why="more lines cannot be told apart", fix="use `max_edges=100`", code="BI-104")
    one = read_map(table_of(data, table_key), key, library_id)
    names = choose(cell_types, one.names, "cell type")
    r, q = one.ordered(names)
    order = _around(r)
    names, r, q = [names[i] for i in order], r[np.ix_(order, order)], q[np.ix_(order, order)]
    owns = ax is None
    if ax is None:
        side = float(np.clip(0.09 * len(names) + 5.0, 5.5, 12.0))
        _, ax = plt.subplots(figsize=(side + 1.2, side), layout="constrained")
    left_out = _draw(ax, names, r, q, alpha=alpha, min_r=min_r, max_edges=max_edges, cmap=cmap)
    ax.set_title(one.title, fontsize=11)
    note = f"lines: q < {alpha:g}" + (f", |R| ≥ {min_r:g}" if min_r else "")
    ax.text(
        1,
        0,
        note + (f"; {left_out} weaker pairs not drawn" if left_out else ""),
        transform=ax.transAxes,
        fontsize=8,
        ha="right",
    )
    return None if finish(ax.figure, show=show, save=save, owns=owns) else ax


def _around(r: np.ndarray) -> np.ndarray:
    """Order of the types on the circle: neighbors of a dendrogram."""
    if len(r) < 3:
        return np.arange(len(r))
    from scipy.cluster.hierarchy import leaves_list, linkage

    return leaves_list(linkage(np.nan_to_num(r), method="average", optimal_ordering=True))


def _draw(
    ax: Axes, names: list[str], r: np.ndarray, q: np.ndarray, *, alpha: float, min_r: float, max_edges: int, cmap: str
) -> int:
    """Draw lines and names; return how many pairs were too many."""
    import matplotlib as mpl
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path as Curve

    angle = np.pi / 2 - 2 * np.pi * np.arange(len(names)) / len(names)
    place = np.column_stack([np.cos(angle), np.sin(angle)])
    first, second = np.triu_indices(len(names), k=1)
    with np.errstate(invalid="ignore"):
        shown = np.flatnonzero((q[first, second] < alpha) & (np.abs(r[first, second]) >= min_r))
    strength = np.abs(r[first, second][shown])
    kept = shown[np.argsort(-strength, kind="stable")[:max_edges]][::-1]  # the strongest on top
    top = float(strength.max()) if len(strength) else 1.0
    norm, colors = Normalize(-top, top), mpl.colormaps[cmap]
    for i, j in zip(first[kept], second[kept], strict=True):
        apart = float(np.hypot(*(place[i] - place[j])))
        bend = (1 - 0.65 * min(apart, 1.0)) * (place[i] + place[j]) / 2  # far lines bow toward the middle
        curve = Curve([place[i], bend, place[j]], [Curve.MOVETO, Curve.CURVE3, Curve.CURVE3])
        width = 0.4 + (_WIDEST - 0.4) * abs(r[i, j]) / top
        ax.add_patch(PathPatch(curve, facecolor="none", edgecolor=colors(norm(r[i, j])), linewidth=width, alpha=0.85))
    joined = np.isin(np.arange(len(names)), np.r_[first[kept], second[kept]])
    ax.scatter(place[:, 0], place[:, 1], s=28, c=np.where(joined, "0.15", MISSING), zorder=3, linewidths=0)
    points = float(np.clip(420 / len(names), 5.0, 9.0))
    for name, (x, y), turn, has in zip(names, place, np.degrees(angle), joined, strict=True):
        right = x > -1e-9
        ax.text(
            1.05 * x,
            1.05 * y,
            plain(name, 28),
            rotation=turn if right else turn + 180,
            rotation_mode="anchor",
            ha="left" if right else "right",
            va="center",
            fontsize=points,
            color="black" if has else "0.6",
        )
    ax.set(xlim=(-1.6, 1.6), ylim=(-1.6, 1.6), aspect="equal")
    ax.set_axis_off()
    if len(kept):
        bar = ax.figure.colorbar(ScalarMappable(norm, cmap), ax=ax, shrink=0.5, aspect=25)
        bar.set_label("bivariate Moran's R", fontsize=9)
        bar.ax.tick_params(labelsize=8)
    else:
        say(ax, f"no pair has q < {alpha:g}")
    return len(shown) - len(kept)
