"""What every picture shares: names as text, finishing, colors."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from histodecon._core import InputError, Key, first_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

SERIES = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
"""Colors of series, told apart by all common kinds of color vision (Okabe and Ito)."""

MISSING = "0.85"
"""Gray of what has no value."""

TABLE_LABELS = {
    Key.obsm.TARGETS: "measured",
    Key.obsm.PREDICTED: "predicted",
    Key.obsm.CROSS_VALIDATED: "predicted (held out)",
}
"""What the tables of the journey are called in pictures; others keep their key."""


def plain(text: object, longest: int | None = None) -> str:
    """Make a name safe for matplotlib, which reads ``$`` as mathematics.

    Parameters
    ----------
    text
        Any name.
    longest
        Longer names lose their middle.

    Returns
    -------
    The label.
    """
    label = str(text)
    if longest is not None and len(label) > longest:
        head = (longest - 1) * 2 // 3
        label = f"{label[:head]}…{label[len(label) - (longest - 1 - head) :]}"
    return label.replace("$", r"\$")


def choose(asked: str | Sequence[str] | None, known: Sequence[str], what: str) -> list[str]:
    """Check names that a user asked for.

    Parameters
    ----------
    asked
        One name, several, or None for all.
    known
        The names there are.
    what
        What they name, for the message.

    Returns
    -------
    The names, in the order asked.

    Raises
    ------
    InputError
        Some are unknown; the closest known names are offered.
    """
    if asked is None:
        return list(known)
    names = [asked] if isinstance(asked, str) else [str(name) for name in asked]
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        close = {name: get_close_matches(name, known, n=3, cutoff=0.4) for name in unknown}
        hints = "; ".join(f"{name!r}: did you mean {first_names(found)}?" for name, found in close.items() if found)
        msg = f"Unknown {what}: {first_names(unknown)}" if unknown else f"No {what} was named"
        raise InputError(msg, where=f"known: {first_names(known, 8)}", fix=hints or "use one of these", code="BI-104")
    return names


def finish(figure: Figure | SubFigure, *, show: bool | None, save: str | Path | None, owns: bool = True) -> bool:
    """Save and show a figure.

    Parameters
    ----------
    figure
        The figure.
    show
        Show it; None shows it when matplotlib is interactive and the figure is ours and not saved.
    save
        Where to save it.
    owns
        Whether the figure was made here and not handed in.

    Returns
    -------
    Whether it was shown.
    """
    import matplotlib.pyplot as plt

    if save is not None:
        figure.get_figure(root=True).savefig(save, dpi=150, bbox_inches="tight")
    if show is None:
        show = plt.isinteractive() and owns and save is None
    if show:
        plt.show()
    elif save is not None and owns:
        plt.close(figure.get_figure(root=True))
    return show


def say(ax: Axes, text: str) -> None:
    """Write a message into the middle of a panel.

    Parameters
    ----------
    ax
        The panel.
    text
        The message.
    """
    box = {"facecolor": "white", "edgecolor": MISSING, "boxstyle": "round"}
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", fontsize=9, bbox=box)
