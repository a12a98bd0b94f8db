"""Draw the picture of README and index: one strip from H&E to map, on a patient that the model never saw.

make pictures
"""

from pathlib import Path

import matplotlib as mpl

mpl.use("agg")

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

import histodecon as hd

OUT = Path(__file__).parent / "_static" / "journey.png"
CELL_TYPE = "Cancer Epithelial"
REP = "X_color_stats"


def predicted_cohort():
    """Four drawn patients; the last one is predicted by a network that learned on the others."""
    sdata = hd.datasets.toy_slide(n_patients=4, n_rows=14, n_cols=14, mpp=0.5)
    hd.pp.tile_spots(sdata)
    hd.pp.embed_tiles(sdata, "color_stats", show_progress_bar=False)
    adata = sdata["table"]
    hd.tl.set_targets(adata, "true_abundance")
    unseen = (adata.obs["patient"] == adata.obs["patient"].cat.categories[-1]).to_numpy()
    model = hd.tl.train_regressor(adata[~unseen].copy(), use_rep=REP, show_progress_bar=False)
    held = adata[unseen].copy()
    hd.tl.predict_abundance(held, model)
    hd.tl.colocalization(held)
    return sdata, held


def draw_spots(ax, adata, radius, **style):
    drawn = mpl.collections.PatchCollection([plt.Circle(center, radius) for center in adata.obsm["spatial"]], **style)
    ax.add_collection(drawn)
    return drawn


def draw_tissue(ax, image, adata, record, center=None, window_um=None) -> None:
    """H&E with spots in their true size and one tile; the whole slide or a window of it."""
    mpp = record["mpp"]
    ax.imshow(image, interpolation="antialiased")
    ring = {"facecolor": "none", "edgecolor": "black", "linewidth": 0.7}
    draw_spots(ax, adata, record["spot_diameter_um"] / mpp / 2, **ring)
    middle, side = adata.obsm["spatial"][center], 112 / mpp
    ax.add_patch(plt.Rectangle(middle - side / 2, side, side, fill=False, linewidth=1.8, edgecolor="#00702e"))
    if window_um:
        half = window_um / mpp / 2
        ax.set(xlim=middle[0] + np.array([-half, half]), ylim=middle[1] + np.array([half, -half]))


def main() -> None:
    sdata, adata = predicted_cohort()
    library = str(adata.obs["library_id"].iloc[0])
    record = adata.uns["histodecon"]["slides"][library]
    image = np.moveaxis(sdata.images[f"{library}_image"].to_numpy(), 0, 2)
    cells = hd.get.abundance(adata, layers={"drawn": "true_abundance", "predicted": "predicted_abundance"})
    values = {layer: cells.obs_vector(CELL_TYPE, layer=layer) for layer in cells.layers}
    top = float(np.quantile(values["drawn"], 0.99))

    figure = plt.figure(figsize=(12, 5.6), layout="constrained")
    axes = figure.subplot_mosaic([["slide", "drawn", "tile"], ["slide", "predicted", "map"]], width_ratios=(2, 1, 1))
    xy = adata.obsm["spatial"]
    border = int(np.argmin(np.abs(values["drawn"] - top / 2) + np.hypot(*(xy - xy.mean(axis=0)).T) / 400))
    draw_tissue(axes["slide"], image, adata, record, center=border)
    axes["slide"].set_title("H&E of a patient the model never saw, with spots")
    draw_tissue(axes["tile"], image, adata, record, center=border, window_um=260)
    axes["tile"].set_title("a tile of 112 µm", fontsize=10)
    for title, abundance in values.items():
        colors = {"cmap": "magma_r", "clim": (0, top), "edgecolor": "none"}
        spots = draw_spots(axes[title], adata, 48 / record["mpp"], **colors)
        spots.set_array(abundance)
        axes[title].set_title(f"{CELL_TYPE}: {title}", fontsize=10)
        axes[title].set(xlim=(0, image.shape[1]), ylim=(image.shape[0], 0), aspect="equal")
    figure.colorbar(spots, ax=[axes[title] for title in values], label="cells per spot", shrink=0.6)
    for name in ("slide", "tile", *values):
        axes[name].set(xticks=[], yticks=[])

    names = [str(name) for name in adata.uns["colocalization"]["names"]]
    R = adata.uns["colocalization"]["pooled"]["R"]
    limit = np.abs(R[~np.eye(len(R), dtype=bool)]).max()
    shown = axes["map"].imshow(R, cmap="RdBu_r", vmin=-limit, vmax=limit)
    axes["map"].set(xticks=[], yticks=range(len(names)))
    axes["map"].set_yticklabels(names, fontsize=8)
    axes["map"].set_title("who meets whom: Moran's R", fontsize=10)
    figure.colorbar(shown, ax=axes["map"], shrink=0.9)
    OUT.parent.mkdir(exist_ok=True)
    figure.savefig(OUT, dpi=100)
    Image.open(OUT).convert("RGB").quantize(256, kmeans=2, dither=Image.Dither.NONE).save(OUT, optimize=True)
    print(f"{OUT.name}: {OUT.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
