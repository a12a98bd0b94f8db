"""What there is: ``encoders``, ``learners``, ``methods``, ``doctor``."""

from __future__ import annotations

from typing import Annotated

import typer

from histodecon.cli._app import Json, command, tell

Names = Annotated[list[str] | None, typer.Argument(help="Only these.")]


@command("encoders")
def encoders(*, as_json: Json = False) -> None:
    """List the encoders with their recipe and license."""
    import histodecon as hd

    tell({"encoders": hd.encoders.list_encoders().reset_index()}, as_json=as_json)


@command("learners")
def learners(*, as_json: Json = False) -> None:
    """List the learners with their defaults."""
    import histodecon as hd

    tell({"learners": hd.models.list_learners().reset_index()}, as_json=as_json)


@command("methods")
def methods(*, as_json: Json = False) -> None:
    """List the methods of deconvolution with their options."""
    import histodecon as hd

    tell({"methods": hd.tl.list_deconvolution_methods().reset_index()}, as_json=as_json)


@command("doctor")
def doctor(
    names: Names = None,
    n_tiles: Annotated[int, typer.Option(help="Tiles to estimate time and memory for.")] = 5000,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, mps.")] = "auto",
    *,
    check_access: Annotated[bool, typer.Option("--check-access", help="Ask the Hub for gated weights.")] = False,
    as_json: Json = False,
) -> None:
    """Tell which encoders would run here, on what, how long and in how much memory."""
    import histodecon as hd

    found = hd.encoders.doctor(names or None, n_tiles=n_tiles, device=device, check_access=check_access)
    tell({"encoders": found.reset_index()}, as_json=as_json)
