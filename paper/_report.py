"""The page and the figure of the her2st runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from histodecon._core import read_table
from paper._abundance_targets import section
from paper._cohort import ENCODERS, SPLITS

COMMAND = "HISTODECON_SHARED=../shared/data python -m paper.her2st --abundances abundances/cell2location.h5ad --out docs/results"
COLORS = {"ridge": "#9a9a9a", "mlp": "#1b6ca8"}
SHOWN_TYPES = ("Epithelial", "CAFs", "T-cells")
LABELS = {"color_stats": "color_stats", "mobilenetv2": "MobileNetV2", "both": "both"}


def by_patient(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Mean over seeds of the scores of each test patient."""
    scores = tables["scores"].query("unit == 'patient'")
    keys = ["split", "encoder", "learner"]
    return scores.groupby(keys, sort=False)[
        ["cc", "l1", "cosine_rows", "pearson_rows", "cosine_pairs", "pearson_pairs", "seconds"]
    ].mean()


def write_figure(tables: dict[str, pd.DataFrame], shown: dict[str, Any], out: Path) -> None:
    means = by_patient(tables)
    figure, axes = plt.subplots(2, 3, figsize=(13, 7.2), layout="constrained")
    for ax, split in zip(axes[0], SPLITS, strict=True):
        for i, learner in enumerate(COLORS):
            values = [means.loc[(split, encoder, learner), "cc"] for encoder in ENCODERS]
            bars = ax.bar(
                np.arange(len(ENCODERS)) + (i - 0.5) * 0.38, values, 0.36, color=COLORS[learner], label=learner
            )
            ax.bar_label(bars, fmt="%.2f", fontsize=8, padding=2)
        ax.set_xticks(range(len(ENCODERS)), [LABELS[name] for name in ENCODERS])
        ax.set(title=split, ylim=(0, 0.62))
        ax.spines[["top", "right"]].set_visible(False)
    axes[0, 0].set_ylabel("CC, mean over 8 cell types")
    axes[0, 0].legend(frameon=False)
    types = tables["types"].query("encoder == 'mobilenetv2' and learner != 'mean'")
    types = types.groupby(["split", "learner", "cell_type"], sort=False)["cc"].mean()
    for ax, split in zip(axes[1], SPLITS, strict=True):
        names = types[split, "mlp"].sort_values().index
        y = np.arange(len(names))
        for i, learner in enumerate(COLORS):
            ax.barh(y + (0.5 - i) * 0.38, types[split, learner][names], 0.36, color=COLORS[learner])
        ax.axvline(0, color="black", lw=0.6)
        ax.set_yticks(y, names)
        ax.set(xlabel="CC with MobileNetV2", xlim=(-0.15, 0.85))
        ax.spines[["top", "right"]].set_visible(False)
    figure.savefig(out / "her2st_scores.png", dpi=130)
    plt.close(figure)
    _maps(shown, out)


def _maps(shown: dict[str, Any], out: Path) -> None:
    """Truth above prediction on the test section of the first split."""
    test = next(iter(shown.values()))
    truth, predicted = read_table(test, "cell_abundance"), read_table(test, "predicted_abundance")
    figure, axes = plt.subplots(2, len(SHOWN_TYPES), figsize=(4.2 * len(SHOWN_TYPES), 6.2), layout="constrained")
    xy = test.obsm["spatial"]
    for column, name in enumerate(SHOWN_TYPES):
        r = np.corrcoef(truth[name], predicted[name])[0, 1]
        for ax, table, label in (
            (axes[0, column], truth, "Stereoscope"),
            (axes[1, column], predicted, f"predicted, r = {r:.2f}"),
        ):
            low, high = np.percentile(table[name], [1, 99])
            points = ax.scatter(*xy.T, c=table[name], s=70, cmap="viridis", vmin=low, vmax=high)
            ax.set_title(f"{name}: {label}", fontsize=10)
            ax.set_aspect("equal")
            ax.invert_yaxis()
            ax.set_axis_off()
            figure.colorbar(points, ax=ax, shrink=0.7)
    figure.savefig(out / "her2st_maps.png", dpi=130)
    plt.close(figure)
    _lighten(out / "her2st_maps.png")


def _lighten(path: Path) -> None:
    """Keep 256 colors: a third of the size, and no difference to be seen."""
    from PIL import Image

    Image.open(path).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


def markdown_table(table: pd.DataFrame, digits: dict[str, int]) -> str:
    shown = table.copy()
    for column, n in digits.items():
        shown[column] = [f"{value:.{n}f}" if np.isfinite(value) else "–" for value in shown[column]]
    lines = ["| " + " | ".join(map(str, shown.columns)) + " |", "|" + "---|" * shown.shape[1]]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in shown.itertuples(index=False)]
    return "\n".join(lines)


def write_page(tables: dict[str, pd.DataFrame], facts: dict[str, Any], out: Path) -> None:
    means = by_patient(tables).reset_index()
    first = means[["split", "encoder", "learner", "cc", "l1", "seconds"]]
    maps = means.loc[
        means["learner"] != "mean",
        ["split", "encoder", "learner", "cosine_rows", "pearson_rows", "cosine_pairs", "pearson_pairs"],
    ]
    sections = tables["scores"].query("unit == 'section' and encoder == 'mobilenetv2' and learner != 'mean'")
    sections = sections.groupby(["split", "test", "learner"], sort=False)[["cc", "l1"]].mean().reset_index()
    types = tables["types"].query("encoder == 'mobilenetv2' and learner != 'mean'")
    types = types.pivot_table(index="cell_type", columns=["split", "learner"], values="cc", sort=False)
    types.columns = [f"{split}, {learner}" for split, learner in types.columns]
    columns = list(types.columns)
    types = types.reset_index()
    spread = (
        tables["scores"].query("unit == 'patient' and learner == 'mlp'").groupby(["split", "encoder"], sort=False)["cc"]
    )
    spread = spread.agg(lowest="min", highest="max").reset_index()
    how = "read from a cache" if facts["cached"] else "computed"
    page = f"""# her2st

```bash
{COMMAND}
```

{facts["n_spots"]} spots of four sections (B4; C2, C3, C4), two patients. Tiles of 224 native pixels (about 154 µm). Targets are the
Stereoscope proportions (8 major types) that were published with the data: another tool's estimate, a **stand-in** for a
measured truth. What is trained on is left of the arrow, what is tested on right of it; choices inside a run see training
sections only (`groupby="library_id"`: held-in sections where there are several, else held-in spots). Defaults of the network
were chosen in {{doc}}`her2st_selection`.

CC is Pearson's correlation over the spots of the test patient, mean over cell types; L1 the mean absolute error of a
proportion, to be compared with that of `mean`, which predicts the training mean everywhere. From one patient to the other the
level of a cell type shifts more than a model can know from one patient, so L1 may not improve on `mean` where CC does. Figures of `mlp` are means over {facts["seeds"]} seeds.
Seconds are those of one training, OMP_NUM_THREADS={facts["threads"]}.
Embeddings were {how} in {facts["embed_seconds"]:.0f} s; the whole run held at most {facts["peak_gb"]:.1f} GB of memory.

```{{figure}} her2st_scores.png
:alt: Bars of CC for each split, encoder and learner, and for each cell type.

Above: ridge and the network with three embeddings. Below: each cell type with MobileNetV2.
```

{markdown_table(first, {"cc": 3, "l1": 4, "seconds": 1})}

Lowest and highest CC of `mlp` over seeds:

{markdown_table(spread, {"lowest": 3, "highest": 3})}

```{{figure}} her2st_maps.png
:alt: Maps of three cell types on C4, Stereoscope above, predicted below.

C4, predicted from C2 and C3 with the network and MobileNetV2. Each map has its own scale (1st to 99th percentile).
```

## Each section

{markdown_table(sections, {"cc": 3, "l1": 4})}

## Each cell type

CC with MobileNetV2 on the test patient.

{markdown_table(types, dict.fromkeys(columns, 3))}

## Colocalization maps

Agreement of the maps of Moran's R of truth and prediction over all test sections; length scale = spot pitch, self-weights
included. `rows`: the score of each type's row without the diagonal, mean over types. `pairs`: one score over the pairs above
the diagonal. Cosine keeps the level of a map, Pearson removes it. With 8 types a row has 7 entries: read differences below
.05 as noise.

{markdown_table(maps, dict.fromkeys(("cosine_rows", "pearson_rows", "cosine_pairs", "pearson_pairs"), 2))}

## Shuffled targets

Training targets dealt to other training spots, MobileNetV2, mean CC of {facts["shuffles"]} shuffles: what is left must be noise.

{markdown_table(tables["shuffled"], {"cc": 3})}
"""
    page += section(tables.get("cells", pd.DataFrame()), first, tables.get("totals", pd.DataFrame()), markdown_table)
    (out / "her2st.md").write_text(page)
