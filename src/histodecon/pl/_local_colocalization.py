"""Where on the tissue a pair of cell types shares places, and where it parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from histodecon._core import InputError, Key, MissingKeyError, doc, first_names, safe_key, table_of
from histodecon.pl._figure import finish, plain, say
from histodecon.pl._tissue import Tissue, draw_scale_bar, draw_spots, draw_tissue, find_tissue

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.collections import EllipseCollection

_TOP = 99  # percentile at which colors saturate


@doc
def local_colocalization(
    data: Any,
    pairs: Sequence[tuple[str, str]] | None = None,
    *,
    key: str = Key.uns.COLOCALIZATION,
    library_id: str | None = None,
    alpha: float = 0.05,
    cmap: str = "RdBu_r",
    opacity: float = 0.45,
    columns: int = 3,
    table_key: str = Key.element.TABLE,
    library_key: str = Key.obs.LIBRARY,
    show: bool | None = None,
    save: str | Path | None = None,
) -> np.ndarray | None:
    """Draw what every spot contributes to Moran's R of a pair, on the tissue.

    Red: both types are above their means around the spot, or both below. Blue: one is above and the other below. A black ring marks
    spots with q below ``alpha``. The mean over the spots is R of the slide; colors saturate at the 99th percentile.

    Parameters
    ----------
    %(data)s
    pairs
        Pairs of names; by default all that ``tl.colocalization(local=True)`` stored.
    key
        Name in ``uns`` under which the maps are stored.
    library_id
        Name of the slide; may be left out when there is one.
    alpha
        False discovery rate of a ring.
    cmap
        Diverging colors.
    opacity
        Of the tissue below the spots.
    columns
        Panels in a row.
    %(table_key)s
    %(library_key)s
    %(show)s
    %(save)s

    Returns
    -------
    The axes, one a pair; None when the figure is shown.

    Raises
    ------
    MissingKeyError
        There are no local maps.
    InputError
        A pair or slide is unknown.

    Examples
    --------
    >>> import histodecon as hd
    >>> adata = hd.datasets.toy_slide()["table"]
    >>> hd.tl.colocalization(adata, "true_abundance", pairs=[("T-cells", "B-cells")], local=True)
    >>> len(hd.pl.local_colocalization(adata, show=False))
    1
    """
    import matplotlib.pyplot as plt

    adata = table_of(data, table_key)
    stored = _stored_pairs(adata, key)
    at = _choose_pairs(stored, pairs)
    tissue = find_tissue(adata, library_id, library_key)
    r, q = (np.asarray(adata.obsm[f"local_{key}{ending}"])[tissue.rows][:, at] for ending in ("", "_q"))
    wide = min(max(columns, 1), len(at))
    rows = -(-len(at) // wide)
    size = np.ptp(tissue.xy, axis=0) + 3 * tissue.diameter
    height = float(np.clip(3.6 * size[1] / size[0], 1.8, 5.5))
    figure, grid = plt.subplots(
        rows, wide, figsize=(4.3 * wide, (height + 0.45) * rows + 0.2), squeeze=False, layout="constrained"
    )
    axes = grid.ravel()
    for ax in axes[len(at) :]:
        ax.set_axis_off()
    for ax, column, values, mark in zip(axes[: len(at)], at, r.T, q.T, strict=True):
        _draw_panel(ax, tissue, values, mark < alpha, cmap, opacity)
        first, second = stored[column]
        mean = f"R = {np.nanmean(values):.2f}" if np.isfinite(values).any() else "R undefined"
        ax.set_title(f"{plain(first, 24)} × {plain(second, 24)}   {mean}", fontsize=10)
    draw_scale_bar(axes[0], tissue)
    figure.suptitle(plain(tissue.library), fontsize=11)
    figure.supxlabel(f"○ q < {alpha:g}", fontsize=8, x=0.99, ha="right")
    return None if finish(figure, show=show, save=save) else axes[: len(at)]


def _draw_panel(
    ax: Axes, tissue: Tissue, values: np.ndarray, marked: np.ndarray, cmap: str, opacity: float
) -> EllipseCollection:
    from matplotlib.collections import EllipseCollection
    from matplotlib.colors import Normalize

    known = np.abs(values[np.isfinite(values)])
    top = float(np.percentile(known, _TOP)) if len(known) and known.max() > 0 else 1.0
    draw_tissue(ax, tissue, opacity=opacity)
    spots = draw_spots(ax, tissue, values, cmap=cmap, norm=Normalize(-top, top))
    if marked.any():
        size = np.full(int(marked.sum()), tissue.diameter)
        ax.add_collection(
            EllipseCollection(
                size,
                size,
                np.zeros_like(size),
                units="xy",
                offsets=tissue.xy[marked],
                offset_transform=ax.transData,
                facecolors="none",
                edgecolors="black",
                linewidths=0.7,
            )
        )
    bar = ax.figure.colorbar(spots, ax=ax, shrink=0.8, aspect=25, extend="both")
    bar.set_label("contribution to R", fontsize=8)
    bar.ax.tick_params(labelsize=8)
    if not len(known):
        say(ax, "no values here")
    return spots


def _stored_pairs(adata: AnnData, key: str) -> list[tuple[str, str]]:
    record = adata.uns.get(key)
    if isinstance(record, Mapping) and "local" in record and f"local_{key}" in adata.obsm:
        pairs = zip(record["local"]["first"], record["local"]["second"], strict=True)
        return [(str(first), str(second)) for first, second in pairs]
    present = [
        name
        for name, value in adata.uns.items()
        if isinstance(value, Mapping) and "pooled" in value and "local" in value
    ]
    msg = f"uns[{key!r}] holds no local maps"
    fix = (
        '`histodecon.tl.colocalization(adata, pairs=[("T-cells", "B-cells")], local=True, '
        f'key_added="{safe_key(key)}")`'
    )
    raise MissingKeyError(msg, where=f"local maps present: {first_names(present)}", fix=fix, code="BI-104")


def _choose_pairs(stored: list[tuple[str, str]], pairs: Sequence[tuple[str, str]] | None) -> list[int]:
    if pairs is None:
        return list(range(len(stored)))
    asked = [tuple(str(name) for name in pair) for pair in pairs]
    either = {pair[::order]: i for order in (-1, 1) for i, pair in enumerate(stored)}
    unknown = [pair for pair in asked if pair not in either]
    if unknown or not asked:
        msg = f"Unknown pairs: {first_names(' × '.join(pair) for pair in unknown)}" if unknown else "No pair was named"
        where = f"stored: {first_names(' × '.join(pair) for pair in stored)}"
        fix = "name them in `tl.colocalization(pairs=..., local=True)`, too"
        raise InputError(msg, where=where, fix=fix, code="BI-104")
    return [either[pair] for pair in asked]
