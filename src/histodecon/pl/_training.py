"""How a regressor learned."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from histodecon._core import InputError, Key, MissingKeyError, closest_names, doc, first_names, table_of, uns_branch
from histodecon.pl._figure import MISSING, SERIES, finish, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@doc
def training(
    model: Any,
    *,
    member: str | None = None,
    table_key: str = Key.element.TABLE,
    ax: Axes | None = None,
    show: bool | None = None,
    save: str | Path | None = None,
) -> Axes | None:
    """Draw how a regressor learned.

    Of networks the loss on held-in rows after each epoch, one line a network, with a dot at the epoch whose weights were kept
    (none where training never improved on its start); the loss on the training rows is gray. A line whose dot is at its very
    end had not stopped to improve: more epochs may help. Of ridge the error on held-in rows over the strengths that were
    compared, with a dot at the one chosen.

    Parameters
    ----------
    model
        A regressor, or the AnnData or SpatialData that it was trained on.
    member
        Of an ensemble, the member to draw, such as ``"mlp_0"``; by default the first.
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
        No regressor was trained on these data.
    InputError
        It is no regressor, its learner has nothing to draw, or there is no such member.

    Examples
    --------
    >>> import histodecon as hd
    >>> adata = hd.datasets.toy_slide(n_rows=8, n_cols=8)["table"]
    >>> hd.tl.set_targets(adata, "true_abundance")
    >>> adata.obsm["X_own"] = adata.obsm["true_abundance"].to_numpy()[:, :3] + 1.0
    >>> params = {"n_networks": 2, "max_epochs": 10, "hidden": 8}
    >>> model = hd.tl.train_regressor(adata, use_rep="X_own", params=params, show_progress_bar=False)
    >>> ax = hd.pl.training(model, show=False)
    >>> ax.get_xlabel()
    'epoch'
    """
    import matplotlib.pyplot as plt

    learner, history, facts = _facts(model, table_key)
    name, history, facts = _member(learner, history, facts, member)
    owns = ax is None
    if ax is None:
        ax = plt.subplots(figsize=(5.5, 3.4), layout="constrained")[1]
    if "strengths" in history:
        _draw_strengths(ax, history, facts)
    else:
        _draw_networks(ax, history, facts)
    ax.set_title(plain(name))
    ax.spines[["top", "right"]].set_visible(False)
    return None if finish(ax.figure, show=show, save=save, owns=owns) else ax


def _draw_networks(ax: Axes, history: dict[str, Any], facts: dict[str, Any]) -> None:
    for i, (network, kept) in enumerate(history.items()):
        color = SERIES[i % len(SERIES)]
        held_in = np.asarray(kept["held_in_loss"], dtype=np.float64)
        epochs = np.arange(1, len(held_in) + 1)
        ax.plot(epochs, kept["training_loss"], color=MISSING, linewidth=0.8, label="training rows" if not i else None)
        if np.isfinite(held_in).any():
            ax.plot(epochs, held_in, color=color, linewidth=1.5, label=f"held in, {network.replace('_', ' ')}")
        best = int(facts["best_epochs"][i])
        line = held_in if np.isfinite(held_in).any() else np.asarray(kept["training_loss"])
        if 0 <= best < len(line):
            ax.plot(best + 1, line[best], "o", color=color, markersize=5, markeredgecolor="white", zorder=4)
    stopped = facts["stopped"]
    told = [f"{stopped.count(why)} by {why}" for why in ("patience", "epochs") if why in stopped]
    told += [f"{stopped.count('diverged')} diverged"] if "diverged" in stopped else []
    unmoved = sum(best < 0 for best in facts["best_epochs"])
    told += [f"{unmoved} kept its start" if unmoved == 1 else f"{unmoved} kept their starts"] if unmoved else []
    ax.set(xlabel="epoch", ylabel="loss")
    ax.legend(frameon=False, fontsize=7, title=f"stopped: {', '.join(told)}", title_fontsize=7, loc="upper right")


def _draw_strengths(ax: Axes, history: dict[str, Any], facts: dict[str, Any]) -> None:
    strengths, errors = (np.asarray(history[name], dtype=np.float64) for name in ("strengths", "held_in_error"))
    ax.plot(strengths, errors, color=SERIES[0], linewidth=1.5, marker=".", markersize=3)
    at = int(np.abs(np.log(strengths / facts["strength"])).argmin())
    ax.plot(strengths[at], errors[at], "o", color=SERIES[0], markersize=6, markeredgecolor="white", zorder=4)
    ax.set_xscale("log")
    ax.set(xlabel=f"strength ({facts['strength_chosen_by']})", ylabel="squared error on held-in rows")


def _facts(model: Any, table_key: str) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Learner, history and facts of a regressor, or of the one that AnnData keeps as the bytes of a file."""
    if hasattr(model, "history_") and hasattr(model, "training_"):
        return str(model.learner), model.history_, model.training_
    if hasattr(model, "fit") and not hasattr(model, "obsm"):
        msg = "The regressor has not been trained"
        raise InputError(
            msg, fix="call its `fit`, or `histodecon.tl.train_regressor(adata, use_rep=...)`", code="BI-104"
        )
    if not hasattr(model, "obsm") and not hasattr(model, "tables"):
        msg = f"model must be an AbundanceRegressor or the data it was trained on, got {type(model).__name__}"
        fix = "`histodecon.pl.training(histodecon.models.AbundanceRegressor.load(path))`"
        raise InputError(msg, fix=fix, code="BI-104")
    kept = uns_branch(table_of(model, table_key), Key.uns.REGRESSOR)
    if "model" not in kept:
        msg = "No regressor was trained on these data"
        raise MissingKeyError(msg, fix="`histodecon.tl.train_regressor(adata, use_rep=...)`", code="BI-104")
    content = np.asarray(kept["model"], dtype=np.uint8).tobytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
    return str(header["learner"]), json.loads(header["history"]), json.loads(header["training"])


def _member(
    learner: str, history: dict[str, Any], facts: dict[str, Any], asked: str | None
) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Choose what is drawn: the learner, or one member of several."""
    members = {name: facts[name] for name in history if isinstance(facts.get(name), dict)}
    if asked is not None and asked not in members:
        msg = f"{learner} has no member {asked!r}"
        fix = closest_names(asked, members) or "leave `member` out"
        raise InputError(msg, where=f"it has: {first_names(members) or 'none'}", fix=fix, code="BI-104")
    if not history:
        msg = f"{learner} has no training to draw"
        raise InputError(msg, why="its solution is a formula, and nothing was chosen", code="BI-104")
    if not members:
        return learner, history, facts
    name = next(iter(members)) if asked is None else asked
    return f"{learner}: {name}", history[name], members[name]
