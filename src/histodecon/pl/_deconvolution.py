"""Has a deconvolution come to rest?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from histodecon._core import InputError, Key, MissingKeyError, closest_names, doc, first_names, table_of, uns_branch
from histodecon.pl._figure import MISSING, SERIES, finish, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

WINDOW = 100
TITLES = {"cells": "signatures from cells", "spots": "cell types of spots"}


@doc
def deconvolution(
    data: Any,
    key: str = Key.obsm.TARGETS,
    *,
    training: str | None = None,
    table_key: str = Key.element.TABLE,
    ax: Axes | None = None,
    show: bool | None = None,
    save: str | Path | None = None,
) -> Axes | None:
    """Draw the loss of ``tl.deconvolve`` over its epochs: a result may be used where the line has become flat.

    The loss of each epoch is gray, the mean of 100 epochs colored. The axis begins at the first of these means, as the
    epochs before it would hide all others.

    Parameters
    ----------
    %(data)s
    key
        The ``key_added`` of the run.
    training
        ``"spots"`` or ``"cells"``; by default the last that the method had.
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
        There is no such run.
    InputError
        The method has no such training; nnls has none at all.

    Examples
    --------
    >>> import histodecon as hd
    >>> adata = hd.datasets.toy_slide()["table"]
    >>> reference = hd.datasets.toy_reference()
    >>> hd.tl.deconvolve(adata, reference, labels_key="cell_type", method="nnls")
    >>> try:
    ...     hd.pl.deconvolution(adata, show=False)
    ... except hd.InputError as error:
    ...     print(str(error).split(".")[0])
    [HD-BI-104] nnls has no training to draw
    """
    import matplotlib.pyplot as plt

    name, method, losses = _losses(table_of(data, table_key), key, training)
    owns = ax is None
    if ax is None:
        ax = plt.subplots(figsize=(5.5, 3.4), layout="constrained")[1]
    epochs, means = np.arange(1, len(losses) + 1), _running_mean(losses, min(WINDOW, len(losses)))
    ax.plot(epochs, losses, color=MISSING, linewidth=0.8)
    ax.plot(epochs[len(losses) - len(means) :], means, color=SERIES[0], linewidth=1.8)
    low, high = float(min(means.min(), np.percentile(losses, 1))), float(means[0])
    if high > low:
        ax.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))
    ax.set(xlabel="epoch", ylabel="loss", title=f"{plain(method)}: {TITLES.get(name, plain(name))}")
    ax.spines[["top", "right"]].set_visible(False)
    return None if finish(ax.figure, show=show, save=save, owns=owns) else ax


def _losses(adata: Any, key: str, training: str | None) -> tuple[str, str, NDArray[np.float64]]:
    runs = uns_branch(adata, Key.uns.DECONVOLUTION)
    if key not in runs:
        msg = f"There is no deconvolution {key!r}"
        fix = "run `histodecon.tl.deconvolve(adata, reference, labels_key=...)`"
        raise MissingKeyError(msg, where=f"kept: {first_names(runs)}", fix=fix, code="BI-104")
    method, history = str(runs[key]["method"]), runs[key].get("history", {})
    if not history:
        msg = f"{method} has no training to draw"
        raise InputError(msg, why="it solves every spot at once", fix="draw its abundances", code="BI-104")
    name = training if training is not None else "spots" if "spots" in history else next(iter(history))
    if name not in history:
        msg = f"{method} has no training {name!r}"
        fix = closest_names(name, history) or "leave `training` out"
        raise InputError(msg, where=f"it has: {first_names(history)}", fix=fix, code="BI-104")
    return name, method, np.asarray(history[name], dtype=np.float64)


def _running_mean(values: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    sums = np.concatenate([[0.0], np.cumsum(values)])
    return np.asarray((sums[width:] - sums[:-width]) / width)
