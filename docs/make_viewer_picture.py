"""Draw section B4 with spatialdata-plot: docs/_static/spatialdata_plot.png.

    pip install spatialdata-plot==0.4.0
    python docs/make_viewer_picture.py

spatialdata-plot is no dependency of histodecon.
"""

from pathlib import Path

import matplotlib as mpl

mpl.use("agg")

import matplotlib.pyplot as plt
import spatialdata_plot  # noqa: F401 - adds .pl to SpatialData
from PIL import Image

import histodecon as hd

OUT = Path(__file__).parent / "_static" / "spatialdata_plot.png"


def main() -> None:
    sdata = hd.datasets.her2st("B4")
    hd.tl.set_targets(sdata["table"], "stereoscope")
    sdata["cell_types"] = hd.get.abundance(sdata["table"])
    figure, axes = plt.subplots(1, 2, figsize=(13, 4.6))
    figure.subplots_adjust(left=0.02, right=0.93, top=0.93, bottom=0.03, wspace=0.3)
    for ax, name in zip(axes, ("T-cells", "Epithelial"), strict=True):
        slide = sdata.pl.render_images("B4_image")
        slide = slide.pl.render_shapes(
            "B4_spots", color=name, table_name="cell_types", table_layer="target", cmap="magma_r"
        )
        slide.pl.show(ax=ax, title=name)
        ax.set(xlim=(800, 8500), ylim=(9300, 3000), xticks=[], yticks=[])
    figure.savefig(OUT, dpi=80)
    Image.open(OUT).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(OUT, optimize=True)
    print(f"{OUT.name}: {OUT.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
