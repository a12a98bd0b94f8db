"""What to learn: ``deconvolve``, ``targets``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from histodecon.cli._app import Json, Quiet, command, options_of, show_progress, tell
from histodecon.cli._stores import Output, Store, keep, open_store, open_table

KeyAdded = Annotated[str, typer.Option(help="Key of obsm to write.")]


@command("deconvolve")
def deconvolve(
    store: Store,
    reference: Annotated[Path, typer.Argument(help="Single cells with raw counts (.h5ad).")],
    labels_key: Annotated[str, typer.Option(help="Column of obs of the reference with the cell types.")],
    output: Output = None,
    method: Annotated[str, typer.Option(help="cell2location, stereoscope, destvi, nnls.")] = "cell2location",
    option: Annotated[list[str] | None, typer.Option(help="Option of the method, name=value; several times.")] = None,
    layer: Annotated[str | None, typer.Option(help="Layer with the raw counts of the spots.")] = None,
    reference_layer: Annotated[str | None, typer.Option(help="Layer with the raw counts of the cells.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda.")] = "auto",
    random_state: Annotated[int, typer.Option(help="Seed.")] = 0,
    key_added: KeyAdded = "cell_abundance",
    *,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Estimate the cell types of the spots from their counts and a reference of single cells."""
    import histodecon as hd
    from histodecon._core import table_of

    data = open_store(store)
    hd.tl.deconvolve(
        table_of(data),
        open_table(reference),
        labels_key=labels_key,
        method=method,
        layer=layer,
        reference_layer=reference_layer,
        device=device,
        random_state=random_state,
        key_added=key_added,
        show_progress_bar=show_progress(quiet=quiet, as_json=as_json),
        **options_of(option or [], "--option"),
    )
    _report(data, key_added, keep(data, store, output), as_json=as_json)


@command("targets")
def targets(
    store: Store,
    table: Annotated[str, typer.Argument(help="Result of another tool: csv, tsv, or a key of obsm.")],
    output: Output = None,
    kind: Annotated[str | None, typer.Option(help="abundance or proportion; by default detected.")] = None,
    key_added: KeyAdded = "cell_abundance",
    *,
    mask: Annotated[bool, typer.Option("--mask", help="Spots with missing values take no part.")] = False,
    as_json: Json = False,
) -> None:
    """Take cell types that another tool has estimated, matched by barcode."""
    import histodecon as hd
    from histodecon._core import table_of

    data = open_store(store)
    hd.tl.set_targets(table_of(data), table, kind=kind, nan="mask" if mask else "raise", key_added=key_added)
    _report(data, key_added, keep(data, store, output), as_json=as_json)


def _report(data: Any, key: str, path: Path, *, as_json: bool) -> None:
    from histodecon._core import read_table, table_kind, table_of

    adata = table_of(data)
    found = read_table(adata, key)
    measured = found.notna().all(axis=1)
    facts = {"store": str(path), "key": key, "kind": table_kind(adata, key), "n_spots": int(measured.sum())}
    tell({**facts, "means": {str(name): float(one) for name, one in found[measured].mean().items()}}, as_json=as_json)
