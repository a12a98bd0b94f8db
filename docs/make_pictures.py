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


def draw_spots(ax, adata, values, radius, **colors):
    circles = [plt.Circle(center, radius) for center in adata.obsm["spatial"]]
    drawn = mpl.collections.PatchCollection(circles, **colors)
    drawn.set_array(values)
    ax.add_collection(drawn)
    return drawn


def main() -> None:
    sdata, adata = predicted_cohort()
    library, record = next(
        iter((k, v) for k, v in adata.uns["histodecon"]["slides"].items() if k in set(adata.obs["library_id"]))
    )
    image = np.moveaxis(sdata.images[f"{library}_image"].to_numpy(), 0, 2)
    radius = record["spot_diameter_um"] / record["mpp"] / 2
    truth, predicted = adata.obsm["true_abundance"], adata.obsm["predicted_abundance"]
    top = float(np.quantile(truth[CELL_TYPE], 0.99))

    figure, axes = plt.subplots(1, 4, figsize=(15, 3.9), layout="constrained", width_ratios=(1, 1, 1, 1.15))
    axes[0].imshow(image, interpolation="antialiased")
    axes[0].set_title("H&E and spots")
    rings = [plt.Circle(center, radius) for center in adata.obsm["spatial"]]
    axes[0].add_collection(mpl.collections.PatchCollection(rings, facecolor="none", edgecolor="black", linewidth=0.6))
    for ax, table, title in ((axes[1], truth, "drawn"), (axes[2], predicted, "predicted from H&E")):
        spots = draw_spots(ax, adata, table[CELL_TYPE], radius * 1.4, cmap="magma_r", clim=(0, top), edgecolor="none")
        ax.set_title(f"{CELL_TYPE}, {title}")
    figure.colorbar(spots, ax=axes[2], label="cells per spot", shrink=0.8)
    for ax in axes[:3]:
        ax.set(xlim=(0, image.shape[1]), ylim=(image.shape[0], 0), xticks=[], yticks=[], aspect="equal")

    names = [str(name) for name in adata.uns["colocalization"]["names"]]
    R = adata.uns["colocalization"]["pooled"]["R"]
    limit = np.abs(R[~np.eye(len(R), dtype=bool)]).max()
    shown = axes[3].imshow(R, cmap="RdBu_r", vmin=-limit, vmax=limit)
    axes[3].set(
        xticks=range(len(names)), yticks=range(len(names)), yticklabels=names, title="colocalization, predicted"
    )
    axes[3].set_xticklabels(names, rotation=45, ha="right")
    figure.colorbar(shown, ax=axes[3], label="Moran's R", shrink=0.8)
    OUT.parent.mkdir(exist_ok=True)
    figure.savefig(OUT, dpi=100)
    Image.open(OUT).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(OUT, optimize=True)
    print(f"{OUT.name}: {OUT.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
