"""The whole journey on drawn slides: ``demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from histodecon.cli._app import Json, command, tell

ENCODER = "color_stats"


@command("demo")
def demo(
    folder: Annotated[Path, typer.Argument(help="Folder for the results.")] = Path("histodecon_demo"),
    n_patients: Annotated[int, typer.Option(min=3, max=20, help="Slides to draw, one a patient.")] = 3,
    *,
    as_json: Json = False,
) -> None:
    """Draw H&E slides with spots, learn on all but one, predict the last, and draw what came out."""
    import histodecon as hd

    folder.mkdir(parents=True, exist_ok=True)
    sdata = hd.datasets.toy_slide(n_patients=n_patients)
    hd.pp.tile_spots(sdata)
    hd.pp.embed_tiles(sdata, ENCODER, show_progress_bar=False)
    adata = sdata["table"]
    hd.tl.set_targets(adata, "true_abundance")
    last = str(adata.obs["patient"].cat.categories[-1])
    held_out = (adata.obs["patient"] == last).to_numpy()
    training, held = adata[~held_out].copy(), adata[held_out].copy()
    model = hd.tl.train_regressor(training, use_rep=f"X_{ENCODER}", show_progress_bar=False)
    hd.tl.predict_abundance(held, model)
    scores = hd.tl.evaluate(held)
    hd.tl.colocalization(held)
    hd.pl.abundance(held, save=folder / "abundance.png", show=False)
    hd.pl.colocalization(held, save=folder / "colocalization.png", show=False)
    hd.write(held, folder / "held_out.h5ad")
    hd.write(sdata, folder / "slides.zarr")
    model.save(folder / "model.safetensors")
    scores.reset_index().to_csv(folder / "scores.csv", index=False)
    files = sorted(path.name for path in folder.iterdir())
    facts = {"folder": str(folder), "held_out": last, "cc": float(scores.loc["mean", "cc"]), "files": files}
    tell(facts, as_json=as_json)
