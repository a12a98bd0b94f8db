"""From files to embeddings: ``read``, ``tile``, ``embed``, ``join``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from histodecon._core import table_of
from histodecon.cli._app import Json, Quiet, command, show_progress, tell
from histodecon.cli._stores import Output, Store, Stores, keep, open_store, open_tables

Mpp = Annotated[float | None, typer.Option(help="µm per pixel of the full-resolution image.")]
Library = Annotated[str | None, typer.Option("--library-id", help="Name of the slide.")]
Patient = Annotated[str | None, typer.Option(help="Name of the patient.")]
New = Annotated[Path, typer.Option("--output", "-o", help="SpatialData to write, ending in .zarr.")]
Image = Annotated[Path | None, typer.Option(help="Full-resolution image, where the store has none.")]


@command("read-visium")
def read_visium(
    folder: Annotated[Path, typer.Argument(help="Folder of Space Ranger (`outs`).")],
    output: New,
    fullres_image: Annotated[Path | None, typer.Option(help="The image that Space Ranger was given.")] = None,
    library_id: Library = None,
    patient: Patient = None,
    mpp: Mpp = None,
    *,
    as_json: Json = False,
) -> None:
    """Read a slide of Visium or Visium HD into a SpatialData."""
    import histodecon as hd

    data = hd.io.read_visium(folder, fullres_image=fullres_image, library_id=library_id, patient=patient, mpp=mpp)
    _report(data, keep(data, output, None), as_json=as_json)


@command("read-st")
def read_st(
    counts: Annotated[Path, typer.Argument(help="Table of counts, spots × genes.")],
    spots: Annotated[Path, typer.Argument(help="Table of the places of the spots.")],
    image: Annotated[Path, typer.Argument(help="H&E image.")],
    output: New,
    library_id: Annotated[str, typer.Option("--library-id", help="Name of the slide.")],
    patient: Patient = None,
    mpp: Mpp = None,
    *,
    as_json: Json = False,
) -> None:
    """Read a slide of legacy Spatial Transcriptomics into a SpatialData."""
    import histodecon as hd

    data = hd.io.read_st(counts, spots, image, library_id=library_id, patient=patient, mpp=mpp)
    _report(data, keep(data, output, None), as_json=as_json)


@command("read-slide")
def read_slide(
    image: Annotated[Path, typer.Argument(help="A slide without spots: TIFF, SVS, NDPI, PNG, ...")],
    output: New,
    library_id: Library = None,
    patient: Patient = None,
    mpp: Mpp = None,
    *,
    as_json: Json = False,
) -> None:
    """Read an H&E slide without spots into a SpatialData."""
    import histodecon as hd

    data = hd.io.read_slide(image, library_id=library_id, patient=patient, mpp=mpp)
    tell({"store": str(keep(data, output, None)), "images": list(data.images)}, as_json=as_json)


@command("tile")
def tile(
    store: Store,
    output: Output = None,
    size_um: Annotated[float, typer.Option(help="Side of a tile in µm.")] = 112.0,
    size_px: Annotated[int | None, typer.Option(help="Side in native pixels instead.")] = None,
    spacing_um: Annotated[float, typer.Option(help="Distance of the tiles of a grid in µm.")] = 100.0,
    image: Image = None,
    mpp: Mpp = None,
    *,
    grid: Annotated[bool, typer.Option("--grid", help="Lay a grid over a slide without spots.")] = False,
    as_json: Json = False,
) -> None:
    """Say where the tile of every spot is, and how much tissue it holds."""
    import histodecon as hd

    data = open_store(store)
    if grid:
        hd.pp.tile_grid(data, spacing_um=spacing_um, size_um=size_um, size_px=size_px, mpp=mpp)
    else:
        hd.pp.tile_spots(data, size_um=size_um, size_px=size_px, image=_image(image), mpp=mpp)
    _report(data, keep(data, store, output), as_json=as_json)


@command("embed")
def embed(
    store: Store,
    encoder: Annotated[list[str], typer.Argument(help="Names; `histodecon encoders` lists them.")],
    output: Output = None,
    weights: Annotated[Path | None, typer.Option(help="File or folder with the weights.")] = None,
    image: Image = None,
    batch_size: Annotated[int | None, typer.Option(help="Tiles at once; by default found by trying.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, float32, bfloat16, float16.")] = "auto",
    orientations: Annotated[int, typer.Option(help="8: mean over the eight orientations of a tile.")] = 1,
    cache_dir: Annotated[Path | None, typer.Option(help="Where finished parts are kept until the end.")] = None,
    *,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Compute again what is there.")] = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Embed the tile of every spot; a run that was stopped goes on where it was."""
    import histodecon as hd

    data = open_store(store)
    hd.pp.embed_tiles(
        data,
        encoder,
        weights=weights,
        image=_image(image),
        batch_size=batch_size,
        device=device,
        precision=precision,
        orientations=orientations,  # type: ignore[arg-type]
        cache_dir=cache_dir,
        overwrite=overwrite,
        show_progress_bar=show_progress(quiet=quiet, as_json=as_json),
    )
    _report(data, keep(data, store, output), as_json=as_json)


@command("join")
def join(
    stores: Stores,
    output: Annotated[Path, typer.Option("--output", "-o", help="AnnData to write, ending in .h5ad or .zarr.")],
    *,
    as_json: Json = False,
) -> None:
    """Join the tables of several slides: one deconvolution for all of them, as those of separate runs are not comparable."""
    data = open_tables(stores)
    _report(data, keep(data, output, None), as_json=as_json)


def _image(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _report(data: Any, path: Path, *, as_json: bool) -> None:
    table = table_of(data)
    root = table.uns.get("histodecon", {})
    facts: dict[str, Any] = {"store": str(path), "n_spots": table.n_obs}
    if "library_id" in table.obs:
        facts["slides"] = {str(name): int(n) for name, n in table.obs["library_id"].value_counts(sort=False).items()}
    facts["mpp"] = {name: float(one["mpp"]) for name, one in root.get("tiles", {}).items() if "mpp" in one}
    if "in_tissue_tile" in table.obs:
        facts["in_tissue"] = int(table.obs["in_tissue_tile"].sum())
    facts["embeddings"] = {
        key: int(table.obsm[key].shape[1]) for key in root.get("embeddings", {}) if key in table.obsm
    }
    tell({name: value for name, value in facts.items() if value not in ({}, None)}, as_json=as_json)
