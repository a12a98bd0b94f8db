"""Which cell types of a model to trust."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from histodecon._core import InputError, MissingKeyError, doc
from histodecon.pl._figure import choose, finish, plain

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

COLORS = {"trust": "#009E73", "caution": "#E69F00", "do not use": "#D55E00"}
MARKERS = {"trust": "o", "caution": "s", "do not use": "X"}


@doc
def reliability(
    model: Any,
    *,
    cell_types: str | Sequence[str] | None = None,
    ax: Axes | None = None,
    show: bool | None = None,
    save: str | Path | None = None,
) -> Axes | None:
    """Draw the reliability card of a model: the CC of each cell type on patients that were left out, and the verdict.

    A marker is the mean over patients, its line the 95 % interval, and each dot one patient. The share of held-out spots
    inside their intervals stands at the right. Types are sorted by CC.

    Parameters
    ----------
    model
        A regressor that was trained with ``calibrate=True``, or its :class:`~histodecon.models.ReliabilityCard`.
    cell_types
        Names; by default all.
    %(ax)s
    %(show)s
    %(save)s

    Returns
    -------
    The axes; None when the figure is shown.

    Raises
    ------
    MissingKeyError
        The model was not calibrated.
    InputError
        It is no model, or a cell type is unknown.

    Examples
    --------
    >>> import histodecon as hd
    >>> adata = hd.datasets.toy_slide(n_patients=3, n_rows=6, n_cols=6)["table"]
    >>> hd.tl.set_targets(adata, "true_abundance")
    >>> adata.obsm["X_own"] = adata.obsm["true_abundance"].to_numpy()[:, :3] + 1.0
    >>> model = hd.tl.train_regressor(adata, use_rep="X_own", learner="ridge", calibrate=True)
    >>> ax = hd.pl.reliability(model, show=False)
    >>> len(ax.get_yticks())
    6
    """
    import matplotlib.pyplot as plt

    card = _card(model)
    table = card.to_frame()
    names = choose(cell_types, list(table.index), "cell type")
    table = table.loc[names].sort_values("cc", ascending=False, na_position="last", kind="stable")
    owns = ax is None
    if ax is None:
        ax = plt.subplots(figsize=(6.5, 1.5 + 0.32 * len(table)), layout="constrained")[1]
    for y, (name, row) in enumerate(table.iterrows()):
        _draw_type(ax, y, row, card.cc[:, card.cell_types.index(name)])
    ax.set_yticks(range(len(table)), [plain(name, 34) for name in table.index])
    ax.set_ylim(len(table) - 0.5, -0.9)
    ax.set_xlim(min(-0.1, ax.get_xlim()[0]), 1.0)
    ax.axvline(0, color="0.3", linewidth=0.8)
    right = ax.get_yaxis_transform()
    ax.text(1.02, -0.75, f"in {card.nominal:.0%}\nintervals", transform=right, fontsize=7, va="center", color="0.3")
    for verdict in COLORS:
        n = int((table["verdict"] == verdict).sum())
        ax.plot([], [], MARKERS[verdict], color=COLORS[verdict], label=f"{verdict} ({n})")
    ax.set_xlabel(f"CC in {len(card.n_spots)} groups left out (Pearson over spots, 95 % interval)")
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False, fontsize=9, ncols=3)
    return None if finish(ax.figure, show=show, save=save, owns=owns) else ax


def _card(model: Any) -> Any:
    card = model if hasattr(model, "to_frame") and hasattr(model, "nominal") else getattr(model, "reliability_", model)
    if card is None:
        msg = "The model has no reliability card"
        why = "which cell types to trust is learned from patients that are left out"
        fix = "`histodecon.tl.train_regressor(adata, use_rep=..., calibrate=True)`"
        raise MissingKeyError(msg, why=why, fix=fix, code="BI-91")
    if not (hasattr(card, "to_frame") and hasattr(card, "nominal")):
        msg = f"model must be an AbundanceRegressor or a ReliabilityCard, got {type(model).__name__}"
        fix = "`histodecon.pl.reliability(histodecon.models.AbundanceRegressor.load(path))`"
        raise InputError(msg, fix=fix, code="BI-104")
    return card


def _draw_type(ax: Axes, y: int, row: pd.Series, groups: np.ndarray) -> None:
    color = COLORS[row["verdict"]]
    ax.text(1.02, y, f"{row['coverage']:.0%}", transform=ax.get_yaxis_transform(), fontsize=8, va="center", color="0.3")
    if np.isnan(row["cc"]):
        ax.text(0, y, " undefined", va="center", fontsize=7, color="0.4")
        return
    ax.plot([row["cc_low"], row["cc_high"]], [y, y], color=color, linewidth=2, solid_capstyle="butt", clip_on=True)
    dots = groups[np.isfinite(groups)]
    ax.plot(dots, np.full(len(dots), y), "o", color="0.15", markersize=2.5, alpha=0.7, linestyle="none", zorder=3)
    ax.plot(row["cc"], y, MARKERS[row["verdict"]], color=color, markersize=7, markeredgecolor="white", zorder=4)
