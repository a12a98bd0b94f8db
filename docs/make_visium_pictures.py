"""Draw spots over tissue for the small real Visium slides: all of it, and a window with spots and a tile in their true size.

HISTODECON_SHARED=<folder with visium/> python docs/make_visium_pictures.py
"""

import os
import warnings
from pathlib import Path

import matplotlib as mpl

mpl.use("agg")

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

import histodecon as hd

ROOT = Path(__file__).parents[1]
OUT = ROOT / "docs" / "_static" / "visium_spots.png"
SLIDES = {
    "squidpy_100spots_v1": "Space Ranger 1, 100 spots (squidpy)",
    "scanpy_100spots_v1": "Space Ranger 1, 100 spots (scanpy)",
    "mouse_embryo_spaceranger3": "Space Ranger 3, CytAssist",
}
WINDOW_UM = 1600


def draw(ax, sdata, library: str, *, window_um: float | None, linewidth: float) -> None:
    """Draw the image in full-resolution pixels, the spots that hold counts, and one tile."""
    slide = sdata["table"].uns["histodecon"]["slides"][library]
    width, height = slide["width_px"], slide["height_px"]
    ax.imshow(sdata.images[f"{library}_image"].transpose("y", "x", "c").to_numpy(), extent=(0, width, height, 0))
    xy, radii = sdata["table"].obsm["spatial"], sdata.shapes[f"{library}_spots"]["radius"]
    rings = [plt.Circle(center, radius) for center, radius in zip(xy, radii, strict=True)]
    ax.add_collection(
        mpl.collections.PatchCollection(rings, facecolor="none", edgecolor="#004d1f", linewidth=linewidth)
    )
    middle = xy[np.argmin(np.hypot(*(xy - np.median(xy, axis=0)).T))]
    tile = sdata.shapes[f"{library}_tiles"].geometry
    box = tile.iloc[int(np.argmin(np.hypot(*(xy - middle).T)))].bounds
    ax.set(xticks=[], yticks=[])
    if window_um is None:
        low, high = xy.min(axis=0), xy.max(axis=0)
        edge = 0.06 * (high - low).max()
        ax.set(xlim=(low[0] - edge, high[0] + edge), ylim=(high[1] + edge, low[1] - edge))
        ax.set_title(f"{SLIDES[library]}\n{slide['mpp']:.3f} µm per pixel, from: {slide['mpp_source']}", fontsize=10)
        return
    ax.add_patch(plt.Rectangle(box[:2], box[2] - box[0], box[3] - box[1], fill=False, linewidth=1.8))
    half = window_um / slide["mpp"] / 2
    ax.set(xlim=(middle[0] - half, middle[0] + half), ylim=(middle[1] + half, middle[1] - half))
    bar = 500 / slide["mpp"]
    ax.plot(middle[0] - 0.9 * half + np.array([0, bar]), np.full(2, middle[1] + 0.9 * half), color="black", linewidth=3)
    ax.set_xlabel("spots of 65 µm, a tile of 112 µm; bar 500 µm", fontsize=9)


def main() -> None:
    folder = Path(os.environ.get("HISTODECON_SHARED", ROOT.parent / "shared" / "data")) / "visium"
    figure, axes = plt.subplots(2, len(SLIDES), figsize=(12, 8.4), layout="constrained")
    for (above, below), library in zip(axes.T, SLIDES, strict=True):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", hd.HistodeconWarning)  # black pictures, small pictures, spot diameters
            sdata = hd.io.read_visium(folder / library)
            hd.pp.tile_spots(sdata)
        draw(above, sdata, library, window_um=None, linewidth=0.5)
        draw(below, sdata, library, window_um=WINDOW_UM, linewidth=1.2)
    figure.savefig(OUT, dpi=72)
    Image.open(OUT).convert("RGB").quantize(96, kmeans=2, dither=Image.Dither.NONE).save(OUT, optimize=True)
    print(f"{OUT.name}: {OUT.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
