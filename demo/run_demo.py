"""The whole journey on drawn slides: H&E and spots in, cell types, scores and maps out.

    python demo/run_demo.py --out demo_output

Four patients are drawn, with stains of their own. Three of them teach a network to read cell types out of the picture;
the fourth is held out, predicted and compared with the cells that were really drawn.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

# the network takes many small steps: on a busy machine, threads that wait for each other make them many times slower
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")

import matplotlib as mpl

mpl.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import histodecon as hd

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

ENCODER = "color_stats"
USE_REP = f"X_{ENCODER}"
LEARNERS = ("mlp", "ridge", "mean")
STEPS = 9
FILES = {
    "slides.png": "H&E of every patient, spots and a tile",
    "tiles.png": "the tiles that the encoder sees",
    "abundance.png": "drawn, predicted and difference on the held-out patient",
    "scores.png": "scores of every cell type",
    "colocalization.png": "which cells share places: drawn and predicted",
    "scores.csv": "scores of every patient, cell type and learner",
    "model.safetensors": "the regressor: histodecon.AbundanceRegressor.load(path)",
    "held_out_*.h5ad": "AnnData of the held-out patient with its predictions",
    "cohort.zarr": "SpatialData: images, spots, table",
}


class Progress:
    """Numbered steps with their times."""

    def __init__(self) -> None:
        self.done = 0
        self.start = time.perf_counter()

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        self.done += 1
        print(f"[{self.done}/{STEPS}] {what} ...", flush=True)
        start = time.perf_counter()
        yield
        print(f"      done in {time.perf_counter() - start:.1f} s", flush=True)

    def total(self) -> float:
        return time.perf_counter() - self.start


def cross_validated(adata: AnnData, groupby: str = "patient") -> pd.DataFrame:
    """Leave one patient out with each learner: CC and L1 of every held-out patient."""
    rows = []
    for learner in LEARNERS:
        key = f"crossval_{learner}"
        settings = {"learner": learner, "baselines": (), "groupby": groupby, "key_added": key}
        hd.tl.cross_validate(adata, use_rep=USE_REP, **settings, show_progress_bar=learner == "mlp")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", hd.UndefinedMetricWarning)  # the mean has no variance: its CC is undefined
            scores = hd.tl.evaluate(adata, predicted=key, groupby=groupby, key_added=f"scores_{learner}")
        rows.append(scores.reset_index().assign(learner=learner))
    return pd.concat(rows, ignore_index=True)


def summary_of(scores: pd.DataFrame) -> pd.DataFrame:
    """Held-out patients × (CC, L1) of each learner, mean over cell types."""
    means = scores[scores["cell_type"] == "mean"]
    wide = means.pivot_table(index="patient", columns="learner", values=["cc", "l1"], dropna=False, sort=False)
    return wide.loc[
        :, [(metric, learner) for metric in ("cc", "l1") for learner in LEARNERS if (metric, learner) in wide]
    ]


def draw_slides(sdata: SpatialData, path: Path, *, window_um: float = 330.0) -> None:
    """H&E of every patient with its spots, and a window of each with spots and one tile in their true size."""
    adata = sdata["table"]
    slides = adata.uns["histodecon"]["slides"]
    figure, axes = plt.subplots(2, len(slides), figsize=(4 * len(slides), 7.6), layout="constrained", squeeze=False)
    for column, (library, record) in enumerate(slides.items()):
        image = np.moveaxis(sdata.images[f"{library}_image"].to_numpy(), 0, 2)
        rows = (adata.obs["library_id"] == library).to_numpy()
        xy, mpp = adata.obsm["spatial"][rows], record["mpp"]
        middle = xy[np.argmin(np.hypot(*(xy - xy.mean(axis=0)).T))]
        half = window_um / mpp / 2
        whole = (np.zeros(2), np.array(image.shape[1::-1]))
        for ax, (low, high), every in (
            (axes[0, column], whole, 3),
            (axes[1, column], (middle - half, middle + half), 1),
        ):
            left, top, right, bottom = np.clip([*low, *high], 0, np.tile(whole[1], 2)).astype(int)
            part = image[top:bottom:every, left:right:every]
            ax.imshow(part, extent=(left, right, bottom, top), interpolation="antialiased")
            for center in xy:
                ax.add_patch(plt.Circle(center, record["spot_diameter_um"] / mpp / 2, fill=False, lw=0.8, ec="black"))
            ax.set(xlim=(low[0], high[0]), ylim=(high[1], low[1]), xticks=[], yticks=[])
        side = 112 / mpp
        for ax in axes[:, column]:
            ax.add_patch(plt.Rectangle(middle - side / 2, side, side, fill=False, lw=1.8, ec="#1b7837"))
        axes[0, column].set_title(f"{adata.obs['patient'][rows].iloc[0]}: {rows.sum()} spots, {mpp:g} µm per pixel")
        axes[1, column].set_title(f"{window_um:.0f} µm; circles: spots, square: a tile of 112 µm", fontsize=9)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def report(out: Path, held: AnnData, held_out: str, summary: pd.DataFrame, seconds: float) -> None:
    """Say in words what came out."""
    print(
        f"\nFinished in {seconds:.0f} s. Every patient held out in turn, mean over cell types (CC: higher is better):\n"
    )
    shown = summary.rename(index={"mean": "mean of patients"})
    shown.columns = [f"{metric.upper()} {learner}" for metric, learner in shown.columns]
    print(shown.to_string(float_format="{:.2f}".format, na_rep="-"))
    print(
        "\nCC: Pearson correlation over the spots of a patient. L1: mean |error|, cells per spot. The mean predicts the same"
    )
    print("everywhere, so it has no CC; its L1 is what a model must beat.")
    maps = [held.uns[key] for key in ("colocalization_true", "colocalization")]
    names = [str(name) for name in maps[0]["names"]]
    toy = held.uns["histodecon"]["toy"]
    print(f"\nPlanted in the tissue, found in {held_out} (bivariate Moran's R):")
    for pair in (toy["attracted"], toy["avoiding"]):
        at = tuple(names.index(str(name)) for name in pair)
        drawn, predicted = (one["pooled"]["R"][at] for one in maps)
        print(f"  {pair[0]} and {pair[1]}: drawn {drawn:+.2f}, predicted {predicted:+.2f}")
    print(f"\nIn {out}/:")
    for name, what in FILES.items():
        for path in sorted(out.glob(name)):
            print(f"  {path.name:24} {what}")


def main(out: Path, *, quick: bool) -> None:
    """Run the journey and leave its results in a folder."""
    out.mkdir(parents=True, exist_ok=True)
    size = (
        {"n_patients": 3, "n_rows": 7, "n_cols": 7, "mpp": 1.0}
        if quick
        else {"n_patients": 4, "n_rows": 12, "n_cols": 11, "mpp": 0.5}
    )
    progress = Progress()
    with progress.step(f"Draw {size['n_patients']} patients: histodecon.datasets.toy_slide"):
        sdata = hd.datasets.toy_slide(**size)
        adata = sdata["table"]
        patients = list(adata.obs["patient"].cat.categories)
        print(f"      {adata.n_obs} spots, {adata.n_vars} genes, patients {', '.join(patients)}")
    with progress.step("Cut a tile of 112 µm around every spot: pp.tile_spots"):
        hd.pp.tile_spots(sdata)
    with progress.step(f"Describe every tile with {ENCODER}: pp.embed_tiles"):
        hd.pp.embed_tiles(sdata, ENCODER)
        print(f"      obsm[{USE_REP!r}]: {adata.obsm[USE_REP].shape}")
    with progress.step("Set the cells of every spot as targets: tl.set_targets"):
        hd.tl.set_targets(adata, "true_abundance")
    with progress.step(f"Leave one patient out with {', '.join(LEARNERS)}: tl.cross_validate"):
        scores = cross_validated(adata)
        summary = summary_of(scores)
    held_out = patients[-1]
    with progress.step(
        f"Train on {', '.join(patients[:-1])}, predict {held_out}: tl.train_regressor, tl.predict_abundance"
    ):
        training = adata[(adata.obs["patient"] != held_out).to_numpy()].copy()
        held = adata[(adata.obs["patient"] == held_out).to_numpy()].copy()
        model = hd.tl.train_regressor(training, use_rep=USE_REP, show_progress_bar=False)
        hd.tl.predict_abundance(held, model)
        hd.tl.evaluate(held)
    with progress.step("Which cells share places, truth and prediction: tl.colocalization"):
        hd.tl.colocalization(held, "cell_abundance", key_added="colocalization_true")
        hd.tl.colocalization(held, "predicted_abundance")
    with progress.step("Draw figures: pl"):
        draw_slides(sdata, out / "slides.png")
        hd.pl.tiles(sdata, library_id=f"toy_{len(patients)}", save=out / "tiles.png")
        hd.pl.abundance(held, save=out / "abundance.png")
        hd.pl.evaluation(
            adata, {learner: f"scores_{learner}" for learner in LEARNERS if learner != "mean"}, save=out / "scores.png"
        )
        hd.pl.colocalization(
            held,
            ["colocalization_true", "colocalization"],
            titles=["drawn", "predicted"],
            save=out / "colocalization.png",
        )
    with progress.step("Write files"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*autosharding")  # zarr announces a new default
        scores.to_csv(out / "scores.csv", index=False)
        model.save(out / "model.safetensors")
        held.write_h5ad(out / f"held_out_{held_out}.h5ad")
        sdata.write(out / "cohort.zarr", overwrite=True)
    report(out, held, held_out, summary, progress.total())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("demo_output"), help="folder for the results")
    parser.add_argument("--quick", action="store_true", help="three small slides at 1 µm per pixel, for a test")
    arguments = parser.parse_args()
    main(arguments.out, quick=arguments.quick)
