"""For other programs and other people: ``export``, ``report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from histodecon._core import InputError, StoreError
from histodecon.cli._app import Json, command, tell
from histodecon.cli._stores import Store, open_store, open_table

FORMS = (".csv", ".tsv", ".parquet", ".geojson")


@command("export")
def export(
    store: Store,
    output: Annotated[Path, typer.Option("--output", "-o", help=f"File to write, ending in {', '.join(FORMS)}.")],
    key: Annotated[str, typer.Option(help="Key of obsm.")] = "predicted_abundance",
    library_id: Annotated[str | None, typer.Option("--library-id", help="Slide, for GeoJSON.")] = None,
    *,
    as_json: Json = False,
) -> None:
    """Write the cell types of every spot, with its place, as a table, or as GeoJSON for QuPath."""
    import pandas as pd

    import histodecon as hd
    from histodecon._core import read_table

    if output.suffix not in FORMS:
        msg = f"Unknown ending {output.suffix!r}"
        raise InputError(msg, where=f"known: {', '.join(FORMS)}", fix="`-o abundances.csv`", code="BI-120")
    adata = open_table(store)
    if output.suffix == ".geojson":
        hd.io.write_geojson(adata, output, abundance=key, library_id=library_id)
        tell({"file": str(output)}, as_json=as_json)
        return
    found = read_table(adata, key)
    place = {name: adata.obs[name].to_numpy() for name in ("library_id", "patient") if name in adata.obs}
    if "spatial" in adata.obsm:
        place |= {"x_px": adata.obsm["spatial"][:, 0], "y_px": adata.obsm["spatial"][:, 1]}
    table = pd.concat([pd.DataFrame(place, index=adata.obs_names), found], axis=1).rename_axis("barcode").reset_index()
    try:
        if output.suffix == ".parquet":
            table.to_parquet(output, index=False)
        else:
            table.to_csv(output, index=False, sep="\t" if output.suffix == ".tsv" else ",")
    except OSError as error:
        msg = "The table cannot be written"
        raise StoreError(msg, where=f"{output}: {error}", code="FI-06") from error
    tell({"file": str(output), "n_spots": len(table), "cell_types": list(found.columns)}, as_json=as_json)


@command("report")
def report(
    store: Store,
    output: Annotated[Path, typer.Argument(help="File to write, ending in .html.")],
    title: Annotated[str, typer.Option(help="Heading of the page.")] = "Cell types from H&E",
    model: Annotated[Path | None, typer.Option(help="Model file, to show its reliability card.")] = None,
    max_slides: Annotated[int, typer.Option(min=0, help="Slides to draw.")] = 12,
    *,
    as_json: Json = False,
) -> None:
    """Write one HTML page: slides, maps, scores, colocalization, what not to trust."""
    import histodecon as hd

    card = None if model is None else hd.AbundanceRegressor.load(model)
    path = hd.report(open_store(store), output, title=title, model=card, max_slides=max_slides)
    tell({"file": str(path)}, as_json=as_json)
