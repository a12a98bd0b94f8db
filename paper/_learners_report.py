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
COLORS = {
    "ridge": "#9a9a9a",
    "mlp": "#1b6ca8",
    "context": "#2e8b57",
    "graph_attention": "#8fbf3f",
    "fusion": "#7b4fa3",
    "ensemble": "#c1440e",
    "cuca": "#d98c00",
    "cpnn": "#b5306b",
    "cpnn_abundance": "#5b3a1a",
    "mlp, crops": "#7a7a52",
    "nuclei": "#000000",
}
KEYS = ["targets", "split", "encoders", "learner"]
ROWS = KEYS[:3]
SAME_PATIENT = "C2, C3 → C4"
GAIN = 0.03
NEAR = 0.025
PANELS = {"cc_shares": "CC of proportions", "cc": "CC of cells"}
EXPLANATION = """**In plain words.** With a few hundred spots to learn from, a start matters more than an idea: `mlp` and `ensemble` begin as a ridge
regression, and are ahead of everything that reads tiles and begins from nothing, in every row of proportions. `ensemble` is the one to take where one cannot know; ridge costs a fraction,
and is a good first answer. Why each of the others does what it does is a reading, not a measurement:

- `context` takes the mean of the neighbors, which takes noise out of a single tile and tells in which compartment of the tissue it lies. That
  helps where targets vary smoothly, as the number of cells does that all cell2location types of B4 share, and misleads where what
  surrounds a spot belongs to the patient and the slide. `graph_attention` has to learn from the same few hundred spots whom to listen to,
  and varies more from seed to seed.
- `fusion` finds little to weigh: of two encoders one is a summary of colors. It costs half of `mlp`, and is about ridge.
- `cuca` gains on ridge where it can, and less than `mlp` does. Its targets come from the genes that it learns from beside them.
- `cpnn` must explain counts and targets at once. Where the signatures fit (cell2location's own, within one patient) it is close to `mlp`.
- `cpnn_abundance` is told neither targets nor a deconvolution, and its maps of proportions agree with those of cell2location about as well as the maps of ridge,
  which is told them. With those of Stereoscope, made with another reference, they agree less. Its levels are further off than a constant
  (`l1_shares` against `mean`), and its cells are in other units (`l1`): take maps from it, not amounts. How it begins was changed after a first
  look, on cell2location's C2, C3 → C4, where it had been .11 lower; the other five rows were not used to choose.
- `nuclei` begins from nothing as well, and sees other pictures than the rest: crops of single nuclei instead of tiles. `mlp, crops` tells the two
  apart: the same network as `mlp`, on the mean crop of each spot. Learned from B4 alone, proportions are better with crops than with tiles, and with
  the sum over nuclei than with their mean, most with cell2location's targets: that amounts add up over nuclei need not be learned. Learned from the other
  patient's two or three sections it is the other way round in all four rows: tiles are ahead of crops, and the mean a little ahead of the sum. All of this on
  two patients."""


def half_width(values: pd.Series) -> float:
    """Half of the 95 % interval of a mean over seeds (Student's t)."""
    if len(values) < 2:
        return float("nan")
    return float(stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))


def over_seeds(table: pd.DataFrame, gained: pd.DataFrame) -> pd.DataFrame:
    grouped = table.groupby(KEYS, sort=False)
    means = grouped[["cc", "cc_shares", "l1", "l1_shares", "seconds"]].mean()
    means.insert(1, "± cc", grouped["cc"].apply(half_width))
    means.insert(3, "± shares", grouped["cc_shares"].apply(half_width))
    ridge = means["cc_shares"].xs("ridge", level="learner")
    means.insert(4, "gain", means["cc_shares"] - ridge.reindex(means.index.droplevel("learner")).to_numpy())
    bounds = gained.set_index(KEYS).reindex(means.index)
    means.insert(5, "low", bounds["low"])
    means.insert(6, "high", bounds["high"])
    return means.reset_index()


def goals(means: pd.DataFrame) -> pd.DataFrame:
    """What was asked for before the runs, and what came out."""
    pivot = means.pivot_table(index=ROWS, columns="learner", values="cc", sort=False)
    rows = []
    for (targets, split, encoders), row in pivot.iterrows():
        gain = row["ensemble"] - row["ridge"]
        rows.append([targets, encoders, split, "ensemble above ridge", gain, "reached" if gain > 0 else "missed"])
        if split == SAME_PATIENT:
            gain = row["context"] - row["mlp"]
            verdict = "reached" if gain >= GAIN else "missed"
            rows.append([targets, encoders, split, f"context {GAIN} above mlp", gain, verdict])
    return pd.DataFrame(rows, columns=["targets", "encoders", "split", "goal", "gain", "verdict"])


def draw(table: pd.DataFrame, means: pd.DataFrame, path: Path) -> None:
    """Every seed a dot; a row a kind of targets and of score, a column a split."""
    plt = pyplot()
    splits, encoders = list(dict.fromkeys(table["split"])), list(dict.fromkeys(table["encoders"]))
    lines = [(kind, score) for score in PANELS for kind in dict.fromkeys(table["targets"])]
    lines = [line for line in lines if line != ("Stereoscope", "cc")]  # its targets are proportions
    names = [name for name in COLORS if name in set(table["learner"])]
    size = (4.2 * len(splits), 2.9 * len(lines))
    figure, axes = plt.subplots(
        len(lines), len(splits), figsize=size, layout="constrained", squeeze=False, sharey="row"
    )
    for row, (kind, score) in enumerate(lines):
        line, last = axes[row], row == len(lines) - 1
        for ax, split in zip(line, splits, strict=True):
            own = table[(table["targets"] == kind) & (table["split"] == split)]
            mean = means[(means["targets"] == kind) & (means["split"] == split)].set_index(["encoders", "learner"])
            for j, encoder in enumerate(encoders):
                shift = (j - (len(encoders) - 1) / 2) * 0.25
                ridge = mean.loc[(encoder, "ridge"), score]
                ax.axhline(ridge, color=COLORS["ridge"], lw=0.8, ls="--", zorder=0)
                for i, learner in enumerate(names):
                    part = own[(own["learner"] == learner) & (own["encoders"] == encoder)]
                    ax.plot(np.full(len(part), i + shift), part[score], "o", color=COLORS[learner], ms=5, alpha=0.6)
                    if score == "cc_shares" and learner != "ridge" and len(part):
                        low, high = ridge + mean.loc[(encoder, learner), ["low", "high"]].to_numpy(dtype=float)
                        ax.plot([i + shift] * 2, [low, high], color=COLORS[learner], lw=1.2, zorder=1)
            ax.set_xticks(range(len(names)), names if last else [], rotation=40, ha="right", fontsize=8)
            ax.set_xlim(-0.6, len(names) - 0.4)
            ax.set_title(f"{kind}: {split}", fontsize=10)
            ax.spines[["top", "right"]].set_visible(False)
        line[0].set_ylabel(PANELS[score])
    save(figure, path)


def write_page(table: pd.DataFrame, gained: pd.DataFrame, out: Path) -> None:
    means = over_seeds(table, gained)
    draw(table, means, out / "learners.png")
    digits = dict.fromkeys(("cc", "± cc", "cc_shares", "± shares", "gain", "low", "high", "l1_shares"), 3)
    digits |= {"l1": 4, "seconds": 1}
    page = f"""# Learners

```bash
{COMMAND}{" --abundances FILE" if "cell2location" in set(table["targets"]) else ""}{" --nuclei" if "nuclei" in set(table["learner"]) else ""}
```

Four sections of her2st of two patients, on the splits of {{doc}}`her2st`: learned on what is left of the arrow, tested on what
is right of it; each learner with its defaults, which see training sections only. {_targets(table)}

`cc` is Pearson's r over the test spots, mean over cell types, and `l1` the mean absolute error on the scale of the targets; both are
left out where a learner answers on another scale than they have. `cc_shares` and `l1_shares` compare proportions, of which every
learner can be asked: `cc_shares` the same r, `l1_shares` the error, summed over cell types. `±` is half of the 95 % interval of the mean
over {table["seed"].nunique()} seeds: it tells how much training varies. `gain` is what `cc_shares` gains on that of ridge, and `low` to `high`
its 95 % interval when patches of 4 × 4 spots of the test sections are drawn anew, the same for both: it tells how much the spots vary
that were tested on. Neither tells how much patients do, of whom there are two. `ridge` and `mean` have no seed. Seconds are CPU
seconds of one training in one thread.

```{{figure}} learners.png
:alt: CC of each learner, seed and split.

Every dot is a training with a seed of its own, the dashed line is ridge; bars are the intervals of the gain on it.
```

## What helped

{_reading(means)}

{EXPLANATION}

## Goals

{markdown_table(goals(means), {"gain": 3})}

## All scores

{markdown_table(means if means["encoders"].nunique() > 1 else means.drop(columns="encoders"), digits)}
"""
    (out / "learners.md").write_text(page, encoding="utf-8")


def _targets(table: pd.DataFrame) -> str:
    text = "Targets are the Stereoscope proportions that were published with the data (8 types), a stand-in for a measured truth"
    if "cell2location" in set(table["targets"]):
        text += """, and the cells per spot that cell2location found in their counts (9 types, {doc}`deconvolution`, whose `--keep` leaves
FILE). `cuca`, `cpnn` and `cpnn_abundance` learn from the counts in FILE as well, the last two from its signatures; for the 8 types
those of Cancer and Normal Epithelial are averaged. Of targets `cpnn_abundance` knows the names only, and whether they are proportions"""
    if "nuclei" in set(table["learner"]):
        text += """. `nuclei` reads other pictures, crops around the nuclei that `"segment"` finds in the spots, through the same encoders; what is compared are the
sums over the nuclei of a spot, and proportions were multiplied with their number to learn from. `mlp, crops` is its peer: `mlp` on the mean of these crops"""
    return text + "."


def _reading(means: pd.DataFrame) -> str:
    """Which learner gains on ridge and on its peers, computed and in words."""
    shares = means.pivot_table(index=ROWS, columns="learner", values="cc_shares", sort=False)
    cells = means.pivot_table(index=ROWS, columns="learner", values="cc", sort=False)
    lines: list[Any] = []
    for learner in [name for name in COLORS if name != "ridge" and name in shares]:
        own = means[means["learner"] == learner]
        gain, above, below = own["gain"], (own["low"] > 0).sum(), (own["high"] < 0).sum()
        line = (
            f"- `{learner}`: proportions {gain.mean():+.3f} beside ridge in the mean of {len(gain)} rows ({gain.min():+.3f} to "
            f"{gain.max():+.3f}); the whole interval above 0 in {above}, below 0 in {below}"
        )
        if learner in cells:
            own_cells = (cells[learner] - cells["ridge"]).dropna()
            line += f"; on the scale of the targets {own_cells.mean():+.3f} in {len(own_cells)} rows"
        if learner != "mlp":
            line += f"; above `mlp` in {int((shares[learner] > shares['mlp']).sum())} rows of proportions"
        seconds = (own.set_index(ROWS)["seconds"] / means[means["learner"] == "mlp"].set_index(ROWS)["seconds"]).mean()
        lines.append(f"{line}. {seconds:.1f} × the time of `mlp`.")
    for learner, peer in (
        ("context", "mlp"),
        ("ensemble", "mlp"),
        ("graph_attention", "context"),
        ("cuca", "mlp"),
        ("nuclei", "mlp"),
    ):
        if {learner, peer} <= set(cells):
            gain = cells[learner] - cells[peer]
            said = "; ".join(f"{targets}, {split} {value:+.3f}" for (targets, split, _), value in gain.items())
            lines.append(f"- `{learner}` against `{peer}`, on the scale of the targets: {said}.")
    if {"mlp", "context", "ensemble"} <= set(cells):
        lost = (cells[["mlp", "context"]].max(axis=1) - cells["ensemble"]).max()
        lines.append(f"- `ensemble` is at most {max(lost, 0):.3f} below the better of its two members.")
    behind = shares.drop(columns="ridge").max(axis=1) - shares["ridge"]
    lines.append(
        f"- `ridge` is within {NEAR} of the best in {int((behind <= NEAR).sum())} of {len(behind)} rows of proportions."
    )
    for score, words in (("cc_shares", "Highest CC of proportions"), ("l1_shares", "Lowest error of proportions")):
        sign = 1 if score == "cc_shares" else -1
        best = means.loc[(sign * means[score]).groupby([means[key] for key in ROWS], sort=False).idxmax(), "learner"]
        counted = ", ".join(f"`{name}` {n}" for name, n in best.value_counts().items())
        lines.append(f"- {words}: {counted} (of {len(best)} rows).")
    return "\n".join(lines)
