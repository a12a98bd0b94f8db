"""Figures 2 to 4: every patient left out once; CC and L1 of each for each set of encoders."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

import histodecon as hd
from paper._bench import OWN, PREDICTIONS, Bench, Unit, facts, real_names, scores
from paper._draw import pyplot, save
from paper._report import markdown_table

TITLE = "Every patient left out once"
KEYS = ["cohort", "encoders", "learner"]


def out_of_fold(bench: Bench, cohort: str, encoders: str, learner: str, seed: int) -> Unit | None:
    """Scores of each patient by models that never saw them, and all predictions; None where data are missing."""
    adata = bench.cohort(cohort, encoders)
    if adata is None:
        return None
    config = bench.config
    groups = adata.obs[config.leave_out].astype(str)
    if groups.nunique() < 2:
        bench.missing[f"{cohort}, leave-one-out"] = f"{cohort}: one {config.leave_out} alone, none to learn from"
        return None
    params = dict(config.params) if learner == config.learner else {}
    common = {"cohort": cohort, "encoders": encoders, "learner": learner, "seed": seed}

    def compute() -> tuple[list[dict], dict[str, pd.DataFrame]]:
        predicted = predict_out_of_fold(adata, bench, encoders, learner, seed, params)
        truth = real_names(adata, OWN)
        rows = [
            {**common, "test": name, **scores(truth.loc[own], predicted.loc[own])}
            for name in sorted(set(groups))
            for own in [(groups == name).to_numpy()]
        ]
        return rows, {"predicted": predicted}

    names = config.encoder_sets[encoders]
    spec = {"what": "leave_one_out", **common, "uses": [dict(config.encoders[name]) for name in names], "names": names}
    return bench.unit({**spec, "params": params, "leave_out": config.leave_out, **facts(adata)}, compute)


def predict_out_of_fold(
    adata: Any, bench: Bench, encoders: str, learner: str, seed: int, params: dict[str, Any]
) -> pd.DataFrame:
    hd.tl.cross_validate(
        adata,
        use_rep=[f"X_{name}" for name in bench.config.encoder_sets[encoders]],
        learner=learner,
        groupby=bench.config.leave_out,
        baselines=(),
        params=params or None,
        device=bench.config.device,
        random_state=seed,
        show_progress_bar=False,
    )
    return real_names(adata, PREDICTIONS)


def settings(bench: Bench) -> Iterator[tuple[str, str, str, int]]:
    """Cohort, encoders, learner and seed of every run; baselines need one seed."""
    config = bench.config
    for cohort in config.cohorts:
        for encoders in config.encoder_sets:
            for learner in dict.fromkeys([config.learner, *config.baselines]):
                for seed in config.seeds if learner == config.learner else config.seeds[:1]:
                    yield cohort, encoders, learner, seed


def collect(bench: Bench) -> pd.DataFrame:
    units = [out_of_fold(bench, *setting) for setting in settings(bench)]
    return pd.DataFrame([row for unit in units if unit is not None for row in unit.rows])


def over_seeds(table: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Mean over seeds; lowest and highest CC."""
    grouped = table.groupby(keys, sort=False)
    means = grouped[["cc", "l1", "l1_shares"]].mean()
    means["cc, lowest"], means["cc, highest"] = grouped["cc"].min(), grouped["cc"].max()
    return means.reset_index()


def draw(table: pd.DataFrame, cohort: str, learner: str, path: Any) -> None:
    """A bar a set of encoders, a group of bars a patient; a line where ridge is."""
    plt = pyplot()
    own = table[table["cohort"] == cohort]
    patients, sets = sorted(set(own["test"])), list(dict.fromkeys(own["encoders"]))
    size = (max(5, 1.2 + 0.2 * len(patients) * (len(sets) + 1)), 5.4)
    figure, axes = plt.subplots(2, 1, figsize=size, sharex=True, layout="constrained")
    width = 0.8 / len(sets)
    for ax, score, label in zip(axes, ("cc", "l1"), ("CC", "L1"), strict=True):
        means = own.pivot_table(index=["learner", "test"], columns="encoders", values=score, sort=False)
        for i, name in enumerate(sets):
            place = np.arange(len(patients)) + (i - (len(sets) - 1) / 2) * width
            ax.bar(
                place, means.loc[learner].loc[patients, name], 0.92 * width, label=name, color=plt.get_cmap("tab10")(i)
            )
            if "ridge" in means.index and learner != "ridge":
                height = means.loc["ridge"].loc[patients, name]
                ax.hlines(height, place - 0.46 * width, place + 0.46 * width, color="black", lw=1.5)
        ax.set_ylabel(label)
        ax.spines[["top", "right"]].set_visible(False)
    axes[0].legend(frameon=False, fontsize=8, ncols=3, loc="lower left", bbox_to_anchor=(0, 1))
    axes[1].set_xticks(range(len(patients)), patients, rotation=90 if len(patients) > 10 else 0)
    axes[1].set_xlabel("left out")
    save(figure, path)


def run(bench: Bench) -> str:
    table = collect(bench)
    if table.empty:
        return ""
    table.to_csv(bench.out / "leave_one_out.csv", index=False, float_format="%.4f")
    learner = bench.config.learner
    parts = [
        f"`{learner}` beside its baselines; CC is the mean over cell types of Pearson's r over the spots of the "
        f"{bench.config.leave_out} left out, L1 the mean absolute error on the scale of the targets, `l1_shares` that of "
        f"proportions summed over types. Means over {len(bench.config.seeds)} seeds of `{learner}`.\n"
    ]
    shown = over_seeds(table, [*KEYS[:1], "test", *KEYS[1:]])
    for cohort in dict.fromkeys(table["cohort"]):
        draw(table, cohort, learner, bench.out / f"leave_one_out_{cohort}.png")
        parts.append(
            f"```{{figure}} {bench.out.name}/leave_one_out_{cohort}.png\n:alt: CC and L1 of each {bench.config.leave_out}.\n\n"
            f"{cohort}: CC and L1 of each {bench.config.leave_out} left out, `{learner}`; the black lines are ridge.\n```\n"
        )
        digits = {"cc": 3, "l1": 4, "l1_shares": 3, "cc, lowest": 3, "cc, highest": 3}
        parts.append(markdown_table(shown[shown["cohort"] == cohort], digits))
    return "\n".join(parts)
