"""The command ``histodecon``."""

from __future__ import annotations

from collections.abc import Sequence

from histodecon.cli import _cohort, _demo, _lists, _maps, _models, _slides, _targets
from histodecon.cli._app import app

__all__ = ["main"]

COMMANDS = (_demo, _slides, _targets, _models, _maps, _cohort, _lists)
"""Modules whose import registers their commands, in the order of the help."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line.

    Parameters
    ----------
    arguments
        What stands after ``histodecon``; by default what was typed.

    Raises
    ------
    SystemExit
        Always; its code is one of :data:`histodecon.cli._app.EXIT_CODES`.
    """
    app(args=None if arguments is None else list(arguments), prog_name="histodecon")
