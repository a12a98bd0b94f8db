"""The page and the figures of the deconvolutions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from PIL import Image

import histodecon as hd
from paper._cohort import SECTIONS
from paper._report import _lighten, markdown_table

COMMAND = "OMP_NUM_THREADS=1 HISTODECON_SHARED=../shared/data python -m paper.deconvolution --keep abundances --out docs/results"
GOALS = {"Epithelial": 0.8, "CAFs": 0.6, "T-cells": 0.6, "Myeloid": 0.6}
SHOWN = "C4"
LOSS = """
## Is the loss flat?

How far the mean loss of the last 100 epochs is below that of the 100 before. cell2location stops when 100 further steps lower it by
less than 0.005 %, at each of three step sizes; stereoscope runs the epochs it is given.

{table}

```{{figure}} deconvolution_loss.png
:alt: Loss of every training over its epochs.

Loss of each epoch (gray) and the mean of 100 (colored), as `pl.deconvolution` draws them.
```
"""
WINDOW = 100
LABELS = {"published": "published (Stereoscope, all cells)"}
SHRINK, MARGIN_PX = 8, 400
Image.MAX_IMAGE_PIXELS = None  # these pictures are large


def shares_of(adata: Any) -> pd.DataFrame:
    """Shares of cell types under the names of the published ones."""
    from paper.deconvolution import OWN, proportions

    return proportions(hd.get.abundance(adata, layers=OWN).to_df())


def write_figures(found: dict[str, Any], shares: dict[str, pd.DataFrame], data: Path, out: Path) -> None:
    _maps(found, shares, data, out / "deconvolution_maps.png")
    with_loss = [adata for adata in found.values() if _run(adata)["history"]]
    if with_loss:
        _losses(with_loss, out / "deconvolution_loss.png")


def _losses(found: list[Any], path: Path) -> None:
    figure, axes = plt.subplots(len(found), 2, figsize=(9, 3 * len(found)), layout="constrained", squeeze=False)
    for row, adata in zip(axes, found, strict=True):
        for ax, training in zip(row, ("cells", "spots"), strict=True):
            hd.pl.deconvolution(adata, training=training, ax=ax, show=False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _maps(found: dict[str, Any], shares: dict[str, pd.DataFrame], data: Path, path: Path) -> None:
    """Published proportions above, ours below, on the tissue they come from."""
    adata = next(iter(found.values()))
    own = (adata.obs["library_id"] == SHOWN).to_numpy()
    xy = adata.obsm["spatial"][own] / SHRINK
    low, high = xy.min(axis=0) - MARGIN_PX / SHRINK, xy.max(axis=0) + MARGIN_PX / SHRINK
    published = hd.get.abundance(adata, layers={"published": "stereoscope"}).to_df()
    picture = Image.open(next((data / "her2st/images").glob(f"{SHOWN}__*.jpg")))
    tissue = np.asarray(picture.resize((picture.width // SHRINK, picture.height // SHRINK), Image.Resampling.BOX))
    rows = {"published": published, **shares}
    figure, axes = plt.subplots(
        len(rows), len(GOALS), figsize=(3.5 * len(GOALS), 2.9 * len(rows)), layout="constrained"
    )
    for line, (method, table) in zip(axes, rows.items(), strict=True):
        for ax, name in zip(line, GOALS, strict=True):
            values = table.loc[own, name].to_numpy()
            ax.imshow(tissue, alpha=0.7)
            points = ax.scatter(*xy.T, c=values, s=75, cmap="magma_r", vmin=0, vmax=np.nanpercentile(values, 99))
            both = np.isfinite(values)
            r = np.corrcoef(values[both], published.loc[own, name].to_numpy()[both])[0, 1]
            text = "" if method == "published" else f", r = {r:.2f}"
            ax.set_title(f"{name}{text}", fontsize=10)
            ax.set_axis_off()
            ax.set(xlim=(low[0], high[0]), ylim=(high[1], low[1]))
            figure.colorbar(points, ax=ax, shrink=0.7)
        line[0].set_axis_on()
        line[0].set(xticks=[], yticks=[])
        line[0].set_ylabel(LABELS.get(method, method).replace(" (", "\n("), fontsize=11)
        line[0].spines[:].set_visible(False)
    figure.savefig(path, dpi=100)
    plt.close(figure)
    _lighten(path)


def _run(adata: Any) -> dict[str, Any]:
    return dict(adata.uns["histodecon"]["deconvolution"]["cell_abundance"])


def write_page(found: dict[str, Any], scores: pd.DataFrame, out: Path) -> None:
    pivot = scores.pivot_table(index=["method", "section"], columns="cell_type", values="r", sort=False)
    columns = list(pivot.columns)
    pivot["mean"] = pivot[columns].mean(axis=1)
    share = scores.pivot_table(index="method", columns="cell_type", values="mean_share", sort=False)
    share.loc["published"] = scores.groupby("cell_type")["published_share"].mean()
    times = pd.DataFrame([_times(name, adata) for name, adata in found.items()])
    any_run = _run(next(iter(found.values())))
    sizes = ", ".join(f"{name} {n}" for name, n in zip(any_run["cell_types"], any_run["n_cells"], strict=True))
    page = f"""# Deconvolution

```bash
{COMMAND}
```

{any_run["n_spots"]} spots of four sections of her2st ({", ".join(SECTIONS)}; two patients) in one model, and as reference the
{int(sum(any_run["n_cells"]))} cells of one other patient (Wu et al. 2021, CID4465, `celltype_major`: {sizes}), {any_run["n_genes"]} genes.
Everything else is the default of `tl.deconvolve`. What is compared with are the Stereoscope proportions that were published
with the data: another tool, **another and larger reference**, so agreement is what can be asked for and not truth. Plasmablasts
are its Plasma Cells, Cancer and Normal Epithelial together its Epithelial.

{markdown_table(times, {"minutes": 1})}

## Agreement with the published proportions

Pearson's r over the spots of a section, of proportions within the spot. Everything was computed on a CPU.

{markdown_table(pivot.reset_index(), dict.fromkeys([*columns, "mean"], 2))}

{_goals(scores)}

{_by_depth(found)}

```{{figure}} deconvolution_maps.png
:alt: Maps of four cell types on section {SHOWN}: published proportions, and those of each method.

Section {SHOWN}; each map from 0 to its 99th percentile.
```

Mean proportion of each cell type:

{markdown_table(share.reset_index(), dict.fromkeys(columns, 3))}
"""
    flat = _flatness(found)
    page += LOSS.format(table=markdown_table(flat, {"last fall, %": 3})) if len(flat) else ""
    (out / "deconvolution.md").write_text(page)


def _times(name: str, adata: Any) -> dict[str, Any]:
    run = _run(adata)
    epochs = ", ".join(f"{training} {len(losses)}" for training, losses in run["history"].items())
    versions = ", ".join(
        f"{package} {version}" for package, version in run["versions"].items() if package != "histodecon"
    )
    return {
        "method": name,
        "minutes": adata.uns["seconds"] / 60,
        "epochs": epochs or "–",
        "kind": run["kind"],
        "packages": versions or "–",
    }


def _flatness(found: dict[str, Any]) -> pd.DataFrame:
    rows = []
    for name, adata in found.items():
        for training, losses in _run(adata)["history"].items():
            before, last = np.mean(losses[-2 * WINDOW : -WINDOW]), np.mean(losses[-WINDOW:])
            rows.append({"method": name, "training": training, "last fall, %": 100 * (before - last) / abs(last)})
    return pd.DataFrame(rows)


def _by_depth(found: dict[str, Any]) -> str:
    """Epithelial in the spots with more and with fewer counts: shallow spots say little, whoever reads them."""
    rows = []
    for method, adata in found.items():
        truth = hd.get.abundance(adata, layers={"published": "stereoscope"}).to_df()["Epithelial"].to_numpy()
        own = shares_of(adata)["Epithelial"].to_numpy()
        counts = np.asarray(adata.X.sum(axis=1)).ravel()
        for section in SECTIONS:
            rows_of = (adata.obs["library_id"] == section).to_numpy() & np.isfinite(own)
            middle = np.median(counts[rows_of])
            halves = {"more": rows_of & (counts > middle), "fewer": rows_of & (counts <= middle)}
            row = {"method": method, "section": section, "median counts": middle}
            rows.append(row | {name: np.corrcoef(own[half], truth[half])[0, 1] for name, half in halves.items()})
    table = markdown_table(pd.DataFrame(rows), {"median counts": 0, "more": 2, "fewer": 2})
    return (
        "Depth decides: r of Epithelial over the half of a section's spots with more and the half with fewer counts than its "
        f"median. B4 was sequenced an order of magnitude less than the others.\n\n{table}"
    )


def _goals(scores: pd.DataFrame) -> str:
    """What was asked of cell2location before it was run, and what it reached in its worst section."""
    own = scores.query("method == 'cell2location'")
    if own.empty:
        return ""
    lines = []
    for name, goal in GOALS.items():
        values = own[own["cell_type"] == name].set_index("section")["r"]
        word = "reached" if values.min() >= goal else f"missed in {', '.join(values.index[values < goal])}"
        lines.append({"cell type": name, "asked": goal, "worst section": values.min(), "": word})
    table = pd.DataFrame(lines)
    return "Asked of cell2location in every section:\n\n" + markdown_table(table, {"asked": 1, "worst section": 2})
