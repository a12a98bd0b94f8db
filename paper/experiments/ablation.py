"""The encoders one by one and joined: mean over patients, and how many patients gain against the first set."""

from __future__ import annotations

import pandas as pd

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


def draw(table: pd.DataFrame, path: object) -> None:
    plt = pyplot()
    cohorts = list(dict.fromkeys(table["cohort"]))
    figure, axes = plt.subplots(1, len(cohorts), figsize=(4.6 * len(cohorts), 3.2), layout="constrained", squeeze=False)
    for ax, cohort in zip(axes[0], cohorts, strict=True):
        own = table[table["cohort"] == cohort]
        bars = ax.barh(own["encoders"], own["cc"], color="#1b6ca8")
        ax.bar_label(bars, fmt="%.3f", fontsize=8, padding=2)
        ax.invert_yaxis()
        ax.margins(x=0.15)
        ax.set(title=cohort, xlabel="CC, mean over those left out")
        ax.spines[["top", "right"]].set_visible(False)
    save(figure, path)


def run(bench: Bench) -> str:
    found = collect(bench)
    if found.empty:
        return ""
    table = summary(found, bench.config.learner)
    table.to_csv(bench.out / "ablation.csv", index=False, float_format="%.4f")
    draw(table, bench.out / "ablation.png")
    digits = dict.fromkeys([name for name in table.columns if name.startswith("cc")], 3) | {"l1": 4, "l1_shares": 3}
    return "\n".join(
        [
            f"`{bench.config.learner}`, mean over those left out; `better in` counts those whose CC is above that of the first "
            "set of encoders.\n",
            f"```{{figure}} {bench.out.name}/ablation.png\n:alt: CC of each set of encoders.\n```\n",
            markdown_table(table, digits),
        ]
    )
