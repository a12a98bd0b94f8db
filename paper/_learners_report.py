"""The page of the comparison of learners."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from paper._draw import pyplot, save
from paper._report import markdown_table

COMMAND = "OMP_NUM_THREADS=1 HISTODECON_SHARED=../shared/data python -m paper.learners --out docs/results"
COLORS = {"ridge": "#9a9a9a", "mlp": "#1b6ca8", "context": "#2e8b57", "ensemble": "#c1440e"}
KEYS = ["targets", "split", "encoders", "learner"]
SAME_PATIENT = "C2, C3 → C4"
GAIN = 0.03
NEAR = 0.025
EXPLANATION = """No learner is best everywhere. What seems to decide, though nothing here measures it: the mean of the neighbors (`context`) takes noise
out of a single tile and tells in which compartment of the tissue it lies. That helps where targets vary smoothly, as the number of
cells does that all cell2location types of B4 share, and misleads where what surrounds a spot belongs to the patient and the slide.
The ensemble is the mean of `mlp` and `context`, and the one to take where one cannot know. Ridge costs a fraction, and is a good
first answer."""


def half_width(values: pd.Series) -> float:
    """Half of the 95 % interval of a mean over seeds (Student's t)."""
    if len(values) < 2:
        return float("nan")
    return float(stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))


def over_seeds(table: pd.DataFrame) -> pd.DataFrame:
    grouped = table.groupby(KEYS, sort=False)
    means = grouped[["cc", "l1", "l1_shares", "seconds"]].mean()
    means.insert(1, "± cc", grouped["cc"].apply(half_width))
    means.insert(3, "± l1", grouped["l1"].apply(half_width))
    ridge = means["cc"].xs("ridge", level="learner")
    means.insert(2, "cc − ridge", means["cc"] - ridge.reindex(means.index.droplevel("learner")).to_numpy())
    return means.reset_index()


def goals(means: pd.DataFrame) -> pd.DataFrame:
    """What was asked for before the runs, and what came out."""
    pivot = means.pivot_table(index=["targets", "encoders", "split"], columns="learner", values="cc", sort=False)
    rows = []
    for (targets, encoders, split), row in pivot.iterrows():
        gain = row["ensemble"] - row["ridge"]
        rows.append([targets, encoders, split, "ensemble above ridge", gain, "reached" if gain > 0 else "missed"])
        if split == SAME_PATIENT:
            gain = row["context"] - row["mlp"]
            verdict = "reached" if gain >= GAIN else "missed"
            rows.append([targets, encoders, split, f"context {GAIN} above mlp", gain, verdict])
    return pd.DataFrame(rows, columns=["targets", "encoders", "split", "goal", "gain", "verdict"])


def draw(table: pd.DataFrame, path: Path) -> None:
    """Every seed a dot; a row a kind of targets, a column a split."""
    plt = pyplot()
    kinds, splits = list(dict.fromkeys(table["targets"])), list(dict.fromkeys(table["split"]))
    encoders = list(dict.fromkeys(table["encoders"]))
    figure, axes = plt.subplots(
        len(kinds), len(splits), figsize=(4 * len(splits), 3.1 * len(kinds)), layout="constrained", squeeze=False
    )
    for line, kind in zip(axes, kinds, strict=True):
        for ax, split in zip(line, splits, strict=True):
            own = table[(table["targets"] == kind) & (table["split"] == split)]
            for i, (learner, color) in enumerate(COLORS.items()):
                part = own[own["learner"] == learner]
                place = np.array([encoders.index(name) for name in part["encoders"]]) + (i - 1.5) * 0.2
                ax.plot(place, part["cc"], "o", color=color, ms=6, alpha=0.7, label=learner)
            ax.set_xticks(range(len(encoders)), encoders)
            ax.set_xlim(-0.5, len(encoders) - 0.5)
            ax.set_title(f"{kind}: {split}", fontsize=10)
            ax.spines[["top", "right"]].set_visible(False)
        line[0].set_ylabel("CC, mean over cell types")
    axes[0, 0].legend(frameon=False, fontsize=8)
    save(figure, path)


def write_page(table: pd.DataFrame, out: Path) -> None:
    draw(table, out / "learners.png")
    means = over_seeds(table)
    digits = {"cc": 3, "± cc": 3, "cc − ridge": 3, "l1": 4, "± l1": 4, "l1_shares": 3, "seconds": 1}
    page = f"""# Learners

```bash
{COMMAND}{" --abundances FILE" if "cell2location" in set(table["targets"]) else ""}
```

Four sections of her2st of two patients, on the splits of {{doc}}`her2st`: learned on what is left of the arrow, tested on what
is right of it; each learner with its defaults, which see training sections only. {_targets(table)} CC is Pearson's r over the test
spots, mean over cell types; L1 the mean absolute error on the scale of the targets; `l1_shares` the error of proportions, summed
over cell types. `±` is half of the 95 % interval of the mean over {table["seed"].nunique()} seeds: it tells how much training varies,
not how much patients do. `ridge` and `mean` have no seed. Seconds are CPU seconds of one training in one thread.

```{{figure}} learners.png
:alt: CC of each learner, seed and split.

Every dot is a training with a seed of its own.
```

## Goals

{markdown_table(goals(means), {"gain": 3})}

{_reading(means)}

{EXPLANATION}

## All scores

{markdown_table(means, digits)}
"""
    (out / "learners.md").write_text(page, encoding="utf-8")


def _targets(table: pd.DataFrame) -> str:
    text = "Targets are the Stereoscope proportions that were published with the data (8 types), a stand-in for a measured truth"
    if "cell2location" in set(table["targets"]):
        text += ", and the cells per spot that cell2location found in their counts (9 types, {doc}`deconvolution`, whose `--keep` leaves FILE)"
    return text + "."


def _reading(means: pd.DataFrame) -> str:
    """Which learner gains on ridge and on the mlp, computed and in words."""
    pivot = means.pivot_table(index=["targets", "encoders", "split"], columns="learner", values="cc", sort=False)
    lines: list[Any] = []
    for learner in [name for name in COLORS if name not in {"ridge"} and name in pivot]:
        gain = pivot[learner] - pivot["ridge"]
        lines.append(
            f"- `{learner}` is above ridge in {int((gain > 0).sum())} of {len(gain)} rows, by {gain.mean():+.3f} in the mean "
            f"(lowest {gain.min():+.3f}, highest {gain.max():+.3f})."
        )
    for learner in ("context", "ensemble"):
        if learner in pivot:
            gain = pivot[learner] - pivot["mlp"]
            said = "; ".join(f"{targets}, {split} {value:+.3f}" for (targets, _, split), value in gain.items())
            lines.append(f"- `{learner}` against `mlp`: {said}.")
    if {"context", "ensemble"} <= set(pivot):
        lost = (pivot[["mlp", "context"]].max(axis=1) - pivot["ensemble"]).max()
        lines.append(f"- `ensemble` is at most {max(lost, 0):.3f} below the better of its two members.")
    behind = pivot.drop(columns="ridge").max(axis=1) - pivot["ridge"]
    lines.append(f"- `ridge` is within {NEAR} of the best in {int((behind <= NEAR).sum())} of {len(behind)} rows.")
    best = means.loc[means.groupby(["targets", "encoders", "split"], sort=False)["l1"].idxmin(), "learner"]
    counted = ", ".join(f"{name} {n}" for name, n in best.value_counts().items())
    lines.append(f"- Lowest L1: {counted} (of {len(best)} rows).")
    return "\n".join(lines)
