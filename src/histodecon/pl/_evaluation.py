"""Scores by cell type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from histodecon._core import Key, MissingKeyError, doc, first_names, table_of
from histodecon.pl._evaluation_series import METRICS, read_series
from histodecon.pl._figure import SERIES, TABLE_LABELS, finish, plain

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes

_IN_UNITS = {"l1", "rmse"}
_HIGHER = {"cc", "spearman"}


@doc
def evaluation(
    data: Any,
    keys: str | Sequence[str] | Mapping[str, str] = Key.uns.EVALUATION,
    *,
    metric: str = "cc",
    by: Literal["cell_type", "group"] = "cell_type",
    cell_types: str | Sequence[str] | None = None,
    table_key: str = Key.element.TABLE,
    ax: Axes | None = None,
    show: bool | None = None,
    save: str | Path | None = None,
) -> Axes | None:
    """Draw the scores of ``tl.evaluate`` as bars, one a cell type or one a patient, several evaluations side by side.

    Types are sorted by the first evaluation. A dashed line is the mean over the bars. Where scores were taken within groups, a
    bar is the mean over groups and each dot one group. A score without a value says so instead of showing 0. Intervals of
    ``tl.evaluate(intervals="bootstrap")`` are drawn as lines: over groups where there are enough of them, else over spots.

    Parameters
    ----------
    %(data)s
    keys
        Name or names in ``uns`` under which ``tl.evaluate`` stored scores, or a dict from label to name.
    metric
        ``"cc"``, ``"spearman"``, ``"l1"``, ``"l1_shares"``, ``"rmse"`` or ``"jsd"``.
    by
        ``"cell_type"``, or ``"group"``: one bar a group of ``tl.evaluate(groupby=...)``, its mean over cell types (of
        ``"l1_shares"`` their sum).
    cell_types
        Names; by default all. By group, the mean is over these, and has no interval.
    %(table_key)s
    %(ax)s
    %(show)s
    %(save)s

    Returns
    -------
    The axes; None when the figure is shown.

    Raises
    ------
    MissingKeyError
        An evaluation is absent.
    InputError
        A metric or cell type is unknown, or scores were not taken within groups.

    Examples
    --------
    >>> import histodecon as hd
    >>> adata = hd.datasets.toy_slide()["table"]
    >>> hd.tl.set_targets(adata, "true_abundance")
    >>> scores = hd.tl.evaluate(adata, predicted="true_abundance")
    >>> ax = hd.pl.evaluation(adata, show=False)
    >>> len(ax.containers[0])
    6
    """
    import matplotlib.pyplot as plt

    adata = table_of(data, table_key)
    series, lines = read_series(adata, _labels(adata, keys), metric, by, cell_types)
    first = next(iter(series.values()))["bar"]
    names = list(first.index)
    if by == "cell_type":
        names = list(first.sort_values(ascending=metric not in _HIGHER, kind="stable").index)
    owns = ax is None
    if ax is None:
        size = (6.5, 1.3 + len(names) * max(0.3, 0.2 * len(series)))
        ax = plt.subplots(figsize=size, layout="constrained")[1]
    thick = 0.8 / len(series)
    for i, (label, one) in enumerate(series.items()):
        at = np.arange(len(names)) + (i - (len(series) - 1) / 2) * thick
        _draw_series(ax, one.reindex(names), at, 0.9 * thick, SERIES[i % len(SERIES)], plain(label, 40))
    ax.set_yticks(range(len(names)), [plain(name, 34) for name in names])
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.axvline(0, color="0.3", linewidth=0.8)
    ax.set_xlabel("\n".join([_axis_label(adata, keys, metric), *lines]))
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False, fontsize=9, ncols=min(len(series), 3))
    return None if finish(ax.figure, show=show, save=save, owns=owns) else ax


def _draw_series(ax: Axes, one: pd.DataFrame, at: np.ndarray, thick: float, color: str, label: str) -> None:
    bars = one["bar"].to_numpy(dtype=float)
    mean = float(np.nanmean(bars)) if np.isfinite(bars).any() else float("nan")
    defined = int(np.isfinite(bars).sum())
    of = "" if defined == len(bars) else f" of {defined} types"
    ax.barh(at, np.nan_to_num(bars), height=thick, color=color, label=f"{label}: mean{of} {mean:.2f}")
    low, high = one["low"].to_numpy(dtype=float), one["high"].to_numpy(dtype=float)
    known = np.isfinite(bars) & np.isfinite(low) & np.isfinite(high)
    if known.any():
        reach = np.abs(np.stack([bars - low, high - bars]))[:, known]
        ax.errorbar(bars[known], at[known], xerr=reach, fmt="none", ecolor="0.15", elinewidth=1.1, capsize=0)
    if np.isfinite(mean):
        ax.axvline(mean, color=color, linestyle="--", linewidth=1.2, zorder=0)
    for position, dots in zip(at, one["dots"], strict=True):
        if isinstance(dots, np.ndarray) and len(dots) > 1:
            ax.plot(dots, np.full(len(dots), position), "o", color="0.15", markersize=2.8, alpha=0.8, linestyle="none")
    for position in at[~np.isfinite(bars)]:
        ax.text(0, position, " undefined", va="center", fontsize=7, color="0.4")


def _labels(adata: AnnData, keys: str | Sequence[str] | Mapping[str, str]) -> dict[str, str]:
    wanted = [keys] if isinstance(keys, str) else list(keys.values() if isinstance(keys, Mapping) else keys)
    absent = [key for key in wanted if not _is_evaluation(adata.uns.get(key))]
    if absent or not wanted:
        present = [key for key, value in adata.uns.items() if _is_evaluation(value)]
        msg = f"uns[{absent[0]!r}] holds no scores" if absent else "No evaluation was named"
        where = f"evaluations present: {first_names(present)}"
        raise MissingKeyError(msg, where=where, fix="run `histodecon.tl.evaluate(adata)`", code="BI-104")
    if isinstance(keys, Mapping):
        return {str(label): key for label, key in keys.items()}
    shown = [str(adata.uns[key]["predicted"]) for key in wanted]
    labels = [TABLE_LABELS.get(name, name) for name in shown]
    return dict(zip(labels if len(set(labels)) == len(labels) else wanted, wanted, strict=True))


def _is_evaluation(value: object) -> bool:
    return isinstance(value, Mapping) and "scores" in value and "predicted" in value


def _axis_label(adata: AnnData, keys: str | Sequence[str] | Mapping[str, str], metric: str) -> str:
    if metric not in _IN_UNITS:
        return METRICS[metric]
    units = sorted({str(adata.uns[key]["unit"]) for key in _labels(adata, keys).values()})
    return f"{METRICS[metric]}, {' / '.join(units)}"
