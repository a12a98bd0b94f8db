"""Open a store in napari and photograph the window: docs/_static/napari.png.

    pip install "napari[pyqt6]==0.9.2" napari-spatialdata==0.7.2
    python docs/make_napari_picture.py

Without a screen: `xvfb-run -s "-screen 0 1600x1000x24" python docs/make_napari_picture.py` draws in software. napari is no
dependency of histodecon.
"""

import tempfile
import time
from pathlib import Path

import napari
import numpy as np
import spatialdata
from matplotlib import colormaps
from napari_spatialdata import Interactive
from PIL import Image
from qtpy.QtWidgets import QApplication

import histodecon as hd

OUT = Path(__file__).parent / "_static" / "napari.png"
SLIDE = "toy_4"
CELL_TYPE = "Cancer Epithelial"
LAYER = "crossval"
PATIENCE_S = 60.0


def write_store(path: Path) -> None:
    """Four drawn patients, each predicted by a ridge regression that learned on the other three."""
    sdata = hd.datasets.toy_slide(n_patients=4, n_rows=14, n_cols=14, mpp=0.5)
    hd.pp.tile_spots(sdata)
    hd.pp.embed_tiles(sdata, "color_stats", device="cpu")
    hd.tl.set_targets(sdata["table"], "true_abundance")
    hd.tl.cross_validate(sdata["table"], use_rep="X_color_stats", learner="ridge")
    sdata["cell_types"] = hd.get.abundance(sdata["table"])
    hd.write(sdata, path)


def settle(seconds: float = 1.0) -> None:
    """Let the window answer for a while."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.02)


def add(window: Interactive, element: str) -> None:
    window.add_element(element, SLIDE)  # it is read in a thread
    end = time.monotonic() + PATIENCE_S
    while window.get_layer(element) is None and time.monotonic() < end:
        settle(0.1)
    settle()


def color_spots(viewer: napari.Viewer) -> None:
    """What a hand does in the panel at the right: the table, its layer, a double click on the cell type."""
    panel = viewer.window.dock_widgets["View (napari-spatialdata)"]
    panel.table_name_widget.setCurrentText("cell_types")
    panel.adata_layer_widget.setCurrentText(LAYER)
    row = [panel.var_widget.item(i).text() for i in range(panel.var_widget.count())].index(CELL_TYPE)
    panel.var_widget.setCurrentRow(row)
    panel.var_widget.itemDoubleClicked.emit(panel.var_widget.item(row))
    settle()


def check_colors(sdata: spatialdata.SpatialData, layer: napari.layers.Points) -> None:
    """The colors in the window are those of the numbers in the store, spot by spot."""
    cells = sdata["cell_types"]
    values = cells[cells.obs["library_id"] == SLIDE, CELL_TYPE].layers[LAYER].ravel()
    expected = colormaps["viridis"]((values - values.min()) / np.ptp(values))
    np.testing.assert_allclose(layer.face_color, expected, atol=1e-5)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_store(Path(folder) / "cohort.zarr")
        sdata = spatialdata.read_zarr(Path(folder) / "cohort.zarr")
        window = Interactive(sdata, headless=True)
        viewer = napari.current_viewer()
        viewer.window.resize(1300, 860)
        window.switch_coordinate_system(SLIDE)
        add(window, f"{SLIDE}_image")
        add(window, f"{SLIDE}_spots")
        spots = window.get_layer(f"{SLIDE}_spots")
        viewer.layers.selection.active = spots
        settle()
        color_spots(viewer)
        check_colors(sdata, spots)
        viewer.reset_view(margin=0.02)
        settle()
        shot = Image.fromarray(window.screenshot()).convert("RGB")
        viewer.close()
    shot = shot.resize((shot.width * 4 // 5, shot.height * 4 // 5), Image.Resampling.LANCZOS)
    shot.quantize(128, kmeans=1, dither=Image.Dither.NONE).save(OUT, optimize=True)
    print(f"{OUT.name}: {shot.width} x {shot.height}, {OUT.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
