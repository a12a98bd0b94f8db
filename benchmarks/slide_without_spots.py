"""A real slide with its spots hidden, predicted from the picture alone; writes docs/results/slide_without_spots.md and .png.

    python benchmarks/slide_without_spots.py

Needs real data: HISTODECON_SHARED names a folder with her2st/ and weights/.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ.setdefault("MPLBACKEND", "agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.interpolate import LinearNDInterpolator
from scipy.spatial import cKDTree

import histodecon as hd

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.setdefault("HISTODECON_SHARED", str(ROOT.parent / "shared" / "data")))
REPORT = ROOT / "docs" / "results" / "slide_without_spots.md"
FIGURE = REPORT.with_suffix(".png")
TRAINING, HIDDEN = ("C2", "C3"), "C4"
SPACING_UM = 200.0
REPS = ["X_color_stats", "X_mobilenetv2"]
SHOWN = 3


def encoders() -> list[Any]:
    card = hd.encoders.timm_card(
        "mobilenetv2_100",
        name="mobilenetv2",
        weights=SHARED / "weights" / "mobilenetv2_100_keras_in1k_dequant.safetensors",
        model_kwargs={"pad_type": "same"},
        mean=[0.5] * 3,
        std=[0.5] * 3,
        input_px=224,
    )
    return ["color_stats", card]


def with_spots(sections: tuple[str, ...]) -> Any:
    sdata = hd.datasets.her2st(list(sections), show_progress_bar=False)
    hd.pp.tile_spots(sdata)
    hd.pp.embed_tiles(sdata, encoders(), device="cpu", show_progress_bar=False)
    hd.tl.set_targets(sdata["table"], "stereoscope")
    return sdata["table"]


def without_spots(mpp: float) -> Any:
    """Nothing but the picture file is read."""
    path = next(iter((SHARED / "her2st" / "images").glob(f"{HIDDEN}__*.jpg")))
    slide = hd.io.read_slide(path, library_id=HIDDEN, mpp=mpp)
    hd.pp.tile_grid(slide, spacing_um=SPACING_UM, layout="square")
    hd.pp.embed_tiles(slide, encoders(), device="cpu", show_progress_bar=False)
    return slide["table"]


def predicted(adata: Any) -> pd.DataFrame:
    table = hd.get.abundance(adata)
    return pd.DataFrame(np.asarray(table.layers["predicted"]), index=table.obs_names, columns=table.var_names)


def pearson(a: pd.DataFrame, b: pd.DataFrame) -> pd.Series:
    return pd.Series({name: np.corrcoef(a[name], b[name])[0, 1] for name in a})


def interpolated(values: pd.DataFrame, of: np.ndarray, to: np.ndarray) -> pd.DataFrame:
    """Linear between the three spots around a place; NaN outside of them."""
    return pd.DataFrame(LinearNDInterpolator(of, values.to_numpy())(to), columns=values.columns)


def left_out(values: pd.DataFrame, xy: np.ndarray, inside: np.ndarray) -> pd.DataFrame:
    """Each spot from the others, by the same interpolation."""
    rows = [
        interpolated(values.drop(index=values.index[i]), np.delete(xy, i, axis=0), xy[[i]])
        for i in np.flatnonzero(inside)
    ]
    return pd.concat(rows).set_index(values.index[inside])


def draw(grid: Any, on_grid: pd.DataFrame, spots: Any, on_spots: pd.DataFrame, r: pd.Series, mpp: float) -> None:
    names = on_spots.mean().sort_values(ascending=False).index[:SHOWN]
    figure, axes = plt.subplots(SHOWN, 2, figsize=(7, 2.7 * SHOWN), layout="constrained", sharex=True, sharey=True)
    for row, name in zip(axes, names, strict=True):
        low, high = np.percentile(on_spots[name], [2, 98])
        pairs = ((spots, on_spots, f"{spots.n_obs} spots"), (grid, on_grid, f"{grid.n_obs} places of a grid"))
        for ax, (table, values, title) in zip(row, pairs, strict=True):
            x, y = table.obsm["spatial"].T * mpp / 1000
            dots = ax.scatter(x, y, c=values[name], s=40, cmap="magma_r", vmin=low, vmax=high)
            ax.set_aspect("equal")
            ax.set_title(title if ax is row[0] else f"{title}, r = {r[name]:.2f}", fontsize=9)
        row[0].set_ylabel(f"{name}\n\nmm")
        figure.colorbar(dots, ax=row, shrink=0.8, label="proportion")
    axes[0, 0].invert_yaxis()
    for ax in axes[-1]:
        ax.set_xlabel("mm")
    figure.savefig(FIGURE, dpi=110)


def main() -> None:
    training = with_spots(TRAINING)
    records = training.uns["histodecon"]["tiles"]
    mpp = float(np.mean([records[section]["mpp"] for section in TRAINING]))
    model = hd.tl.train_regressor(
        training, use_rep=REPS, learner="ridge", groupby="library_id", show_progress_bar=False
    )
    spots, grid = with_spots((HIDDEN,)), without_spots(mpp)
    for table in (spots, grid):
        hd.tl.predict_abundance(table, model)
    on_spots, on_grid = predicted(spots), predicted(grid)
    xy, places = spots.obsm["spatial"], grid.obsm["spatial"]

    distance_um = cKDTree(xy).query(places)[0] * mpp
    expected = interpolated(on_spots, xy, places).set_index(on_grid.index)
    compared = (distance_um <= SPACING_UM) & expected.notna().all(axis=1).to_numpy()
    r, gap = pearson(on_grid[compared], expected[compared]), distance_um[compared].max() / 1000

    whole = left_out(on_spots, xy, np.ones(len(xy), dtype=bool)).dropna()
    neighbors = pearson(on_spots.loc[whole.index], whole)
    published = hd.get.abundance(spots)
    stereoscope = pd.DataFrame(
        np.asarray(published.layers["target"]), columns=published.var_names, index=on_spots.index
    )
    truth = pearson(on_spots, stereoscope)
    at_places = interpolated(stereoscope, xy, places).set_index(on_grid.index)
    truth_grid = pearson(on_grid[compared], at_places[compared])

    table = pd.DataFrame({"r": r, "neighbors": neighbors, "grid": truth_grid, "spots": truth})
    table.loc["mean"] = table.mean()
    rows = "\n".join(
        f"| {name} | " + " | ".join(f"{value:.2f}" for value in row) + " |"
        for name, row in zip(table.index, table.to_numpy(), strict=True)
    )
    draw(grid, on_grid, spots, on_spots, r, mpp)
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text(
        f"""# A slide without spots

Made by `python benchmarks/slide_without_spots.py`. Section {HIDDEN} of her2st is read as a picture only: {grid.n_obs} tiles on a
square grid of {SPACING_UM:.0f} µm, wherever there is tissue, and a ridge regression trained on {" and ".join(TRAINING)} of the same
patient ({training.n_obs} spots, Stereoscope proportions, encoders color_stats and MobileNetV2). The same model predicts at the
{spots.n_obs} measured spots of {HIDDEN}; that map is interpolated linearly to the {int(compared.sum())} places of the grid that lie
among spots. Mean correlation of the two maps: **r = {r.mean():.2f}**.

| cell type | grid and spots | neighboring spots | grid and Stereoscope | spots and Stereoscope |
|---|---|---|---|---|
{rows}

*Neighboring spots*: each spot interpolated from the others, 200 µm away, and compared with itself. It says how fast the
prediction changes over such a distance; places of the grid are at most {1000 * gap:.0f} µm from a spot, so that the two maps
should agree better than that. The last two columns compare either map with the published proportions, which are
interpolated in the same way for the grid.

![Predicted proportions at the spots and on the grid](slide_without_spots.png)
"""
    )
    print(REPORT.read_text())


if __name__ == "__main__":
    main()
