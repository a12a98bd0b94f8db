"""The encoders one by one and joined: mean over patients, and how many patients gain against the first set."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

import histodecon as hd
from paper._bench import Bench
from paper._draw import pyplot, save
from paper._report import markdown_table
from paper.experiments.leave_one_out import collect

TITLE = "Which encoders"


def summary(table: pd.DataFrame, learner: str) -> pd.DataFrame:
    """One row a cohort and set of encoders: means over patients (each the mean over seeds), gains against the first set."""
    own = table[table["learner"] == learner]
    rows = []
    for cohort, part in own.groupby("cohort", sort=False):
        cc, l1, shares = (
            part.pivot_table(index="test", columns="encoders", values=score, sort=False)
            for score in ("cc", "l1", "l1_shares")
        )
        first = cc.columns[0]
        rows += [
            {
                "cohort": cohort,
                "encoders": name,
                "cc": cc[name].mean(),
                "l1": l1[name].mean(),
                "l1_shares": shares[name].mean(),
                f"cc − {first}": (cc[name] - cc[first]).mean(),
                "better in": f"{int((cc[name] > cc[first]).sum())} of {len(cc)}",
            }
            for name in cc.columns
        ]
    return pd.DataFrame(rows)


def draw(found: pd.DataFrame, path: Path) -> None:
    """One panel a cohort, one color a learner, one dot for each of those left out."""
    plt = pyplot()
    scored = found[found["cc"].notna()]  # the mean of the training spots has no CC
    cohorts = list(dict.fromkeys(scored["cohort"]))
    rows = max(scored["encoders"].nunique() * scored["learner"].nunique(), 1)
    size = (7.2, (1.6 + 0.32 * rows) * len(cohorts))
    figure, axes = plt.subplots(len(cohorts), 1, figsize=size, layout="constrained", squeeze=False)
    for ax, cohort in zip(axes[:, 0], cohorts, strict=True):
        hd.pl.ablation(scored[scored["cohort"] == cohort], series="learner", ax=ax, show=False)
        ax.set_title(cohort, loc="left", pad=24)
    save(figure, path)


def run(bench: Bench) -> str:
    found = collect(bench)
    if found.empty:
        return ""
    table = summary(found, bench.config.learner)
    table.to_csv(bench.out / "ablation.csv", index=False, float_format="%.4f")
    draw(found, bench.out / "ablation.png")
    digits = dict.fromkeys([name for name in table.columns if name.startswith("cc")], 3) | {"l1": 4, "l1_shares": 3}
    return "\n".join(
        [
            f"`{bench.config.learner}`, mean over those left out; `better in` counts those whose CC is above that of the first "
            "set of encoders.\n",
            f"```{{figure}} {bench.out.name}/ablation.png\n:alt: CC of each set of encoders and learner, those left out one by one, and how many gain against the first set.\n```\n",
            markdown_table(table, digits),
        ]
    )
