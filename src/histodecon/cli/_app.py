"""What all commands share: registration, exit codes, words for people and JSON for machines."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Annotated, Any

import typer

from histodecon._core import HistodeconError
from histodecon.cli._plain import plain_value

EXIT_CODES = {
    0: "done",
    1: "a fault of histodecon itself, with its traceback",
    2: "the command was typed wrong",
    3: "an input is not usable; the text says what to type",
    4: "an optional package is missing",
    5: "a file cannot be read or written, or is damaged",
    6: "a model or its weights cannot be had: offline, gated, refused",
    130: "interrupted",
}
"""Exit codes, which scripts may rely on."""

app = typer.Typer(
    name="histodecon",
    help="Cell-type abundance from an H&E image, inside AnnData and SpatialData.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else to standard output.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress bar.")]


def _show_version(asked: bool) -> None:  # noqa: FBT001 typer calls it
    if asked:
        typer.echo(version("histodecon"))
        raise typer.Exit


@app.callback()
def _root(
    *,
    show_version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Show the version and stop.")
    ] = False,
) -> None:
    pass


def command(name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a command whose errors become words and an exit code.

    Parameters
    ----------
    name
        What users type.

    Returns
    -------
    A decorator.
    """

    def register(function: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(function)
        def guarded(*args: Any, **kwargs: Any) -> None:
            try:
                function(*args, **kwargs)
            except HistodeconError as error:
                _refuse(error, as_json=bool(kwargs.get("as_json")))
            except KeyboardInterrupt:
                typer.echo("Interrupted; what was finished is kept.", err=True)
                raise typer.Exit(130) from None

        app.command(name)(guarded)
        return function

    return register


def exit_code(error: HistodeconError) -> int:
    """Choose the exit code of an error.

    Parameters
    ----------
    error
        The error.

    Returns
    -------
    A key of :data:`EXIT_CODES`.
    """
    from histodecon import _core

    if isinstance(error, _core.MissingDependencyError):
        return 4
    if isinstance(error, (_core.HubError, _core.GatedError, _core.OfflineError)):
        return 6
    if isinstance(error, (_core.StoreError, _core.IntegrityError, _core.UnsafeFileError, _core.ModelVersionError)):
        return 5
    return 3


def _refuse(error: HistodeconError, *, as_json: bool) -> None:
    code = exit_code(error)
    if as_json:
        facts = {"error": type(error).__name__, "id": error.code, "message": str(error), "exit_code": code}
        typer.echo(json.dumps(facts))
    typer.echo(f"{type(error).__name__}: {error}", err=True)
    raise typer.Exit(code) from error


def tell(facts: Mapping[str, Any], *, as_json: bool) -> None:
    """Say what a command did.

    Parameters
    ----------
    facts
        Names and values; tables are DataFrames.
    as_json
        One JSON object instead of lines for people.
    """
    import pandas as pd

    if as_json:
        typer.echo(json.dumps({name: plain_value(value) for name, value in facts.items()}, allow_nan=False))
        return
    width = max((len(name) for name in facts), default=0)
    for name, value in facts.items():
        if isinstance(value, pd.DataFrame):
            typer.echo(f"{name}:\n{value.to_string(index=False, float_format='{:.3f}'.format, na_rep='-')}")
        elif value is not None:
            typer.echo(f"{name:<{width}}  {_words(value)}")


def _words(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_words(one)}" for key, one in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_words, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def options_of(texts: list[str], flag: str) -> dict[str, Any]:
    """Read options written as ``name=value``; values are JSON where they can be, else text.

    Parameters
    ----------
    texts
        Such as ``["max_epochs=100", "statistic=q05"]``.
    flag
        Name of the option, for the text of an error.

    Returns
    -------
    The options.
    """
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            msg = f"{text!r} is not name=value"
            raise typer.BadParameter(msg, param_hint=flag)
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found


def show_progress(*, quiet: bool, as_json: bool) -> bool:
    """Tell whether to show progress bars: on a terminal, unless asked not to.

    Parameters
    ----------
    quiet, as_json
        What was asked.

    Returns
    -------
    Whether to.
    """
    return not quiet and not as_json and sys.stderr.isatty()
