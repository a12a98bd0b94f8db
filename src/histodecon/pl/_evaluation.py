"""Scores by cell type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from histodecon._core import InputError, Key, MissingKeyError, doc, first_names, table_of
from histodecon.pl._figure import SERIES, TABLE_LABELS, choose, finish, plain

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes

MEAN = "mean"
METRICS = {
    "cc": "CC (Pearson over spots)",
    "spearman": "Spearman correlation",
    "l1": "L1, mean |error|",
    "rmse": "RMSE",
    "jsd": "Jensen-Shannon divergence, bits",
}
_IN_UNITS = {"l1", "rmse"}


@doc
def evaluation(
    data: Any,
    keys: str | Sequence[str] | Mapping[str, str] = Key.uns.EVALUATION,
    *,
    metric: str = "cc",
    cell_types: str | Sequence[str] | None = None,
    table_key: str = Key.element.TABLE,
    ax: Axes | None = None,
    show: bool | None = None,
    save: str | Path | None = None,
) -> Axes | None:
    """Draw the scores of ``tl.evaluate`` as bars, one a cell type, several evaluations side by side.

    Types are sorted by the first evaluation. A dashed line is the mean over types. Where scores were taken within groups, a
    bar is the mean over groups and each dot one group. A score without a value says so instead of showing 0.

    Parameters
    ----------
    %(data)s
    keys
        Name or names in ``uns`` under which ``tl.evaluate`` stored scores, or a dict from label to name.
    metric
        ``"cc"``, ``"spearman"``, ``"l1"``, ``"rmse"`` or ``"jsd"``.
    cell_types
        Names; by default all.
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
        A metric or cell type is unknown.

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
    series = _read_series(adata, keys, metric)
    names = choose(cell_types, list(dict.fromkeys(name for one in series.values() for name in one.index)), "cell type")
    first = next(iter(series.values()))["bar"].reindex(names)
    names = list(first.sort_values(ascending=metric not in {"cc", "spearman"}, kind="stable").index)
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
    ax.set_xlabel(_axis_label(adata, keys, metric))
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False, fontsize=9, ncols=min(len(series), 3))
    return None if finish(ax.figure, show=show, save=save, owns=owns) else ax


def _draw_series(ax: Axes, one: pd.DataFrame, at: np.ndarray, thick: float, color: str, label: str) -> None:
    bars = one["bar"].to_numpy(dtype=float)
    mean = float(np.nanmean(bars)) if np.isfinite(bars).any() else float("nan")
    defined = int(np.isfinite(bars).sum())
    of = "" if defined == len(bars) else f" of {defined} types"
    ax.barh(at, np.nan_to_num(bars), height=thick, color=color, label=f"{label}: mean{of} {mean:.2f}")
    if np.isfinite(mean):
        ax.axvline(mean, color=color, linestyle="--", linewidth=1.2, zorder=0)
    for position, dots in zip(at, one["dots"], strict=True):
        if isinstance(dots, np.ndarray) and len(dots) > 1:
            ax.plot(dots, np.full(len(dots), position), "o", color="0.15", markersize=2.8, alpha=0.8, linestyle="none")
    for position in at[~np.isfinite(bars)]:
        ax.text(0, position, " undefined", va="center", fontsize=7, color="0.4")


def _read_series(adata: AnnData, keys: str | Sequence[str] | Mapping[str, str], metric: str) -> dict[str, pd.DataFrame]:
    """From label to a table with the bar and the dots of each cell type."""
    if metric not in METRICS:
        msg = f"Unknown metric {metric!r}"
        raise InputError(msg, where=f"known: {first_names(METRICS, 8)}", fix='use `metric="cc"`', code="BI-104")
    series = {}
    for label, key in _labels(adata, keys).items():
        record = adata.uns[key]
        if metric not in record["scores"]:
            msg = f"uns[{key!r}] has no {metric!r}"
            where = f"{record['kind']}s have: {first_names([name for name in METRICS if name in record['scores']], 8)}"
            raise InputError(msg, where=where, fix='use `metric="cc"`', code="BI-104")
        scores = pd.DataFrame({name: np.asarray(record["scores"][name]) for name in ("group", "cell_type", metric)})
        scores = scores[(scores["cell_type"] != MEAN) & (scores["group"] != MEAN)]
        by_type = scores.groupby("cell_type", sort=False)[metric]
        series[label] = pd.DataFrame({"bar": by_type.mean(), "dots": by_type.apply(np.asarray)})
    return series


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
