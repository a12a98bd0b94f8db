"""Table 2: learned on one data set, tested on another."""

from __future__ import annotations

import pandas as pd

import histodecon as hd
from paper._bench import OWN, Bench, Unit, facts, real_names, scores
from paper._published import published
from paper._report import markdown_table

TITLE = "From one data set to another"


def transfer(bench: Bench, source: str, target: str, encoders: str, learner: str, seed: int) -> Unit | None:
    """Scores on the whole second cohort and on each of its patients; None where data are missing."""
    train, test = (bench.cohort(name, encoders) for name in (source, target))
    if train is None or test is None:
        return None
    names = [set(real_names(one, OWN).columns) for one in (train, test)]
    if names[0] != names[1]:
        odd = ", ".join(sorted(names[0] ^ names[1]))
        bench.missing[f"{source} → {target}"] = f"targets of {source} and {target} name other cell types: {odd}"
        return None
    config = bench.config
    common = {"train": source, "test": target, "encoders": encoders, "learner": learner, "seed": seed}
    params = dict(config.params) if learner == config.learner else {}

    def compute() -> tuple[list[dict], dict[str, pd.DataFrame]]:
        model = hd.tl.train_regressor(
            train,
            use_rep=[f"X_{name}" for name in config.encoder_sets[encoders]],
            learner=learner,
            params=params or None,
            groupby=config.leave_out,
            random_state=seed,
            device=config.device,
            show_progress_bar=False,
        )
        hd.tl.predict_abundance(test, model, background="keep")
        truth, predicted = real_names(test, OWN), real_names(test, "predicted_abundance")
        groups = test.obs[config.leave_out].astype(str)
        each = [scores(truth.loc[own], predicted.loc[own]) for name in sorted(set(groups)) for own in [groups == name]]
        whole = scores(truth, predicted) | {
            f"{key} of a {config.leave_out}": pd.Series([one[key] for one in each]).mean() for key in ("cc", "l1")
        }
        return [{**common, **whole}], {}

    uses = [dict(config.encoders[name]) for name in config.encoder_sets[encoders]]
    spec = {"what": "cross_dataset", "cohort": f"{source} → {target}", **common, "uses": uses, "params": params}
    return bench.unit({**spec, "train_facts": facts(train), "test_facts": facts(test)}, compute)


def run(bench: Bench) -> str:
    config = bench.config
    units = [
        transfer(bench, source, target, encoders, learner, seed)
        for source, target in config.cross
        for encoders in config.encoder_sets
        for learner in dict.fromkeys([config.learner, *config.baselines])
        for seed in (config.seeds if learner == config.learner else config.seeds[:1])
    ]
    table = pd.DataFrame([row for unit in units if unit is not None for row in unit.rows])
    if table.empty:
        return ""
    table.to_csv(bench.out / "cross_dataset.csv", index=False, float_format="%.4f")
    values = [name for name in table.columns if name.startswith(("cc", "l1"))]
    means = table.groupby(["train", "test", "encoders", "learner"], sort=False)[values].mean().reset_index()
    digits = dict.fromkeys(values, 3)
    text = f"""Learned on all of one cohort, tested on all spots of the other; also the mean of the scores of each {config.leave_out}.

{markdown_table(means, digits)}
"""
    return text + published(config, "cross_dataset")
