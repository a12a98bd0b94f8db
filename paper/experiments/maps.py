"""Appendix: abundance maps of four cell types, measured and predicted, and clustered maps of R."""

from __future__ import annotations

from typing import Any

import numpy as np

from paper._bench import OWN, PREDICTIONS, Bench, real_names
from paper._draw import pyplot, save
from paper.colocalization import PREDICTED, TRUTH
from paper.experiments.colocalization import predicted_cohort

TITLE = "Maps"


def draw_abundance(adata: Any, section: str, types: tuple[str, ...], path: Any) -> None:
    """Truth above prediction, a column a type, each on a scale of its own."""
    plt = pyplot()
    own = (adata.obs["library_id"] == section).to_numpy()
    xy = adata.obsm["spatial"][own]
    tables = {"measured": real_names(adata, OWN)[own], "predicted": real_names(adata, PREDICTIONS)[own]}
    figure, axes = plt.subplots(2, len(types), figsize=(3.4 * len(types), 6), layout="constrained", squeeze=False)
    for column, name in zip(axes.T, types, strict=True):
        r = np.corrcoef(*(table[name] for table in tables.values()))[0, 1]
        for ax, (label, table) in zip(column, tables.items(), strict=True):
            low, high = np.percentile(table[name], [1, 99])
            points = ax.scatter(*xy.T, c=table[name], s=40, cmap="viridis", vmin=low, vmax=high)
            ax.set_title(f"{name}: {label}" + (f", r = {r:.2f}" if label == "predicted" else ""), fontsize=9)
            ax.set_aspect("equal")
            ax.invert_yaxis()
            ax.set_axis_off()
            figure.colorbar(points, ax=ax, shrink=0.7)
    save(figure, path)


def draw_clustered(adata: Any, path: Any) -> None:
    """Pooled maps of truth and prediction, both in the order of the truth's clusters."""
    from scipy.cluster.hierarchy import dendrogram, linkage

    plt = pyplot()
    names = [str(name) for name in adata.uns[TRUTH]["names"]]
    other = [str(name) for name in adata.uns[PREDICTED]["names"]]
    order = [other.index(name) for name in names]
    maps = {
        "measured": adata.uns[TRUTH]["pooled"]["R"],
        "predicted": adata.uns[PREDICTED]["pooled"]["R"][np.ix_(order, order)],
    }
    tree = linkage(np.nan_to_num(maps["measured"]), method="average", optimal_ordering=True)
    off = ~np.eye(len(names), dtype=bool)
    limit = max(float(np.nanmax(np.abs(one[off]))) for one in maps.values())
    figure, axes = plt.subplots(1, 3, figsize=(11.5, 4.6), layout="constrained", width_ratios=(0.35, 1, 1))
    leaves = dendrogram(
        tree, ax=axes[0], orientation="left", labels=names, color_threshold=0, above_threshold_color="0.3"
    )
    axes[0].invert_yaxis()
    axes[0].set_axis_off()
    for ax, (label, one) in zip(axes[1:], maps.items(), strict=True):
        image = ax.imshow(one[np.ix_(leaves["leaves"], leaves["leaves"])], cmap="RdBu_r", vmin=-limit, vmax=limit)
        ax.set_xticks(range(len(names)), leaves["ivl"], rotation=90, fontsize=8)
        ax.set_yticks(range(len(names)), leaves["ivl"] if label == "measured" else [], fontsize=8)
        ax.tick_params(length=0)
        ax.set_title(label, fontsize=10)
    figure.colorbar(image, ax=axes, shrink=0.7, label="bivariate Moran's R")
    save(figure, path)


def run(bench: Bench) -> str:
    config, parts = bench.config, []
    for name, cohort in config.cohorts.items():
        adata = None
        for encoders in reversed(config.encoder_sets):  # the largest set that is there
            adata = predicted_cohort(bench, name, encoders, config.learner, config.seeds[0])
            if adata is not None:
                break
        if adata is None:
            continue
        sections = sorted(set(adata.obs["library_id"].astype(str)))
        section = cohort.shown_section if cohort.shown_section in sections else sections[0]
        known = list(real_names(adata, OWN).columns)
        types = tuple(one for one in config.shown_types if one in known) or tuple(known[:4])
        draw_abundance(adata, section, types, bench.out / f"maps_{name}.png")
        draw_clustered(adata, bench.out / f"clustered_{name}.png")
        parts.append(
            f"""```{{figure}} {bench.out.name}/maps_{name}.png
:alt: Measured and predicted abundance of some cell types on one section.

{name}, section {section}: measured above, below predicted by `{config.learner}` with {encoders} that never saw the
{config.leave_out}. Each map has its own scale (1st to 99th percentile).
```

```{{figure}} {bench.out.name}/clustered_{name}.png
:alt: Clustered maps of Moran's R, measured and predicted.

{name}: pooled map of R, types in the order of the clusters of the measured one.
```
"""
        )
    return "\n".join(parts)
