"""What each part of a method brings, patient by patient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from histodecon._core import doc
from histodecon.pl._ablation_scores import read_scores
from histodecon.pl._evaluation_series import METRICS
from histodecon.pl._figure import SERIES, choose, finish, plain
from histodecon.stats import bootstrap_groups, group_interval, least_groups

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

DRAWS = 9999
_ERRORS = {"l1", "l1_shares", "rmse", "jsd"}


@doc
def ablation(
    scores: pd.DataFrame | Mapping[str, Any],
    *,
    by: str = "encoders",
    unit: str = "test",
    series: str | None = None,
    metric: str = "cc",
    learners: str | Sequence[str] | None = None,
    reference: str | None = None,
    level: float = 0.95,
    random_state: int = 0,
    ax: Axes | None = None,
    show: bool | None = None,
    save: str | Path | None = None,
) -> Axes | None:
    """Draw scores of sets of encoders, learners or settings: each patient, their mean and its interval, and who gained.

    One row a set. Small dots are patients, thin lines join the same patient from set to set, the marker is their mean and its line
    the interval over patients. At the right stands the mean difference from the reference, and how many patients are better than
    with it: gains are read there, as patients differ more from each other than sets do.

    Parameters
    ----------
    scores
        What :func:`histodecon.tl.compare_learners` keeps in ``uns``; or a dict from the name of a set to what
        :func:`histodecon.tl.cross_validate` or :func:`histodecon.tl.evaluate` with ``groupby`` returned; or a long table, one row a set, patient and, if
        there are such, series and seed. Repeated rows are averaged, rows of the patient ``mean`` left out.
    by
        Of a long table, the column that is compared.
    unit
        Of a long table, the column with the patient.
    series
        Of a long table, a column drawn in several colors, such as ``"learner"``. What ``tl.cross_validate`` returns always has
        its learners.
    metric
        Column with the score. Errors, such as ``"l1"``, are better when small.
    learners
        Names of the series to draw; by default all that have a score.
    reference
        The set that others are compared with; by default the first.
    level
        Coverage that intervals aim at. They take six patients for 95 %%, see :func:`histodecon.stats.group_interval`; with fewer
        there are none.
    %(random_state)s
    %(ax)s
    %(show)s
    %(save)s

    Returns
    -------
    The axes; None when the figure is shown.

    Raises
    ------
    MissingKeyError
        A column is absent.
    InputError
        There are no scores of single patients, or a name is unknown.

    Examples
    --------
    >>> import histodecon as hd
    >>> adata = hd.datasets.toy_slide(n_patients=3)["table"]
    >>> hd.tl.set_targets(adata, "true_abundance")
    >>> true = adata.obsm["true_abundance"].to_numpy() + adata.obsm["spatial"][:, :1] / 1000
    >>> adata.obsm["X_two"], adata.obsm["X_four"] = true[:, :2] + 1.0, true[:, :4] + 1.0
    >>> scores = {}
    >>> for rep in ("X_two", "X_four"):
    ...     scores[rep] = hd.tl.cross_validate(adata, use_rep=rep, learner="ridge", show_progress_bar=False)
    >>> ax = hd.pl.ablation(scores, show=False)
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['X_two', 'X_four']
    """
    import matplotlib.pyplot as plt

    table = read_scores(scores, by=by, unit=unit, series=series, metric=metric)
    lines = _wide(table, learners)
    sets = list(next(iter(lines.values())).columns)
    first = choose(sets[0] if reference is None else reference, sets, "set")[0]
    owns = ax is None
    if ax is None:
        size = (7.2, 1.5 + len(sets) * max(0.5, 0.32 * len(lines)))
        ax = plt.subplots(figsize=size, layout="constrained")[1]
    step = 0.72 / len(lines)
    for i, (label, wide) in enumerate(lines.items()):
        at = np.arange(len(sets)) + (i - (len(lines) - 1) / 2) * step
        bounds = _bounds(wide.to_numpy(), level, random_state)
        _draw_series(ax, wide.to_numpy(), bounds, at, SERIES[i % len(SERIES)], label)
        _say_gains(ax, wide, first, at, SERIES[i % len(SERIES)] if len(lines) > 1 else "0.2", metric)
    ax.set_yticks(range(len(sets)), [plain(name, 34) for name in sets])
    ax.set_ylim(len(sets) - 0.4, -0.6)
    ax.set_xlabel("\n".join([METRICS.get(metric, metric), _how(lines, level)]))
    if len(sets) > 1:
        right: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points", "xytext": (0, 4)}
        ax.annotate(f"better than\n{plain(first, 24)} in", (1.02, 1.0), fontsize=8, color="0.3", va="bottom", **right)
    ax.spines[["top", "right"]].set_visible(False)
    if len(lines) > 1:
        ax.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), frameon=False, fontsize=9, ncols=min(len(lines), 4))
    return None if finish(ax.figure, show=show, save=save, owns=owns) else ax


def _wide(table: pd.DataFrame, learners: str | Sequence[str] | None) -> dict[str, pd.DataFrame]:
    """Patients × sets of every series that has a score."""
    known = table.groupby("series", sort=False)["score"].apply(lambda one: bool(np.isfinite(one).any()))
    names = [name for name in known.index if known[name]]
    units, sets = (list(dict.fromkeys(table[name])) for name in ("unit", "set"))
    return {
        name: table[table["series"] == name]
        .pivot(index="unit", columns="set", values="score")
        .reindex(units, columns=sets)
        for name in choose(learners, names, "learner")
    }


def _bounds(values: np.ndarray, level: float, random_state: int) -> tuple[np.ndarray, np.ndarray]:
    drawn = bootstrap_groups(values, n_boot=DRAWS, random_state=random_state)
    return group_interval(drawn, np.isfinite(values).sum(axis=0), level=level)


def _draw_series(
    ax: Axes, values: np.ndarray, bounds: tuple[np.ndarray, np.ndarray], at: np.ndarray, color: str, label: str
) -> None:
    ax.plot(values.T, at, color=color, linewidth=0.6, alpha=0.35, zorder=1)
    for patient in values:
        ax.plot(patient, at, "o", color=color, markersize=3.0, alpha=0.55, markeredgewidth=0, zorder=2)
    known = np.isfinite(values).any(axis=0)
    means = np.full(len(at), np.nan)
    means[known] = np.nanmean(values[:, known], axis=0)
    some = np.isfinite(bounds[0])
    ax.hlines(at[some], bounds[0][some], bounds[1][some], color=color, linewidth=2.4, zorder=3)
    ax.plot(
        means,
        at,
        "D",
        color=color,
        markersize=7,
        markeredgecolor="white",
        linestyle="none",
        zorder=4,
        label=plain(label, 30),
    )
    for place in at[~known]:
        ax.text(0.02, place, "undefined", transform=ax.get_yaxis_transform(), va="center", fontsize=7, color="0.4")


def _say_gains(ax: Axes, wide: pd.DataFrame, first: str, at: np.ndarray, color: str, metric: str) -> None:
    sign = -1 if metric in _ERRORS else 1
    for place, name in zip(at, wide.columns, strict=True):
        change = (wide[name] - wide[first]).dropna()
        text = "reference" if name == first else "–"
        if name != first and len(change):
            text = f"{int((sign * change > 0).sum())} of {len(change)}  ({change.mean():+.3f})".replace("-", "−")
        ax.text(1.02, place, text, transform=ax.get_yaxis_transform(), va="center", fontsize=8, color=color)


def _how(lines: Mapping[str, pd.DataFrame], level: float) -> str:
    n = len(next(iter(lines.values())))
    if n >= least_groups(level):
        return f"dots: {n} left out; lines: {level:.0%} interval of the mean over them"
    return f"dots: {n} left out, too few for an interval over them (it takes {least_groups(level)})"
