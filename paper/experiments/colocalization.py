"""Table 1: maps of Moran's R of truth and of predictions for patients that were left out."""

from __future__ import annotations

from typing import Any

import pandas as pd

import histodecon as hd
from histodecon._core import table_kind, write_table
from paper._bench import OWN, PREDICTIONS, Bench
from paper._published import published
from paper._report import markdown_table
from paper.colocalization import CONVENTIONS, PREDICTED, TRUTH
from paper.experiments.leave_one_out import out_of_fold

TITLE = "Colocalization maps"


def predicted_cohort(bench: Bench, cohort: str, encoders: str, learner: str, seed: int) -> Any:
    """Spots with truth and out-of-fold predictions, and the maps of both; None where data are missing."""
    unit = out_of_fold(bench, cohort, encoders, learner, seed)
    adata = bench.cohort(cohort, encoders)
    if unit is None or adata is None:
        return None
    write_table(adata, PREDICTIONS, unit.table("predicted").loc[adata.obs_names], kind=table_kind(adata, OWN))
    for table, key in ((OWN, TRUTH), (PREDICTIONS, PREDICTED)):
        hd.tl.colocalization(adata, table, key_added=key)
    return adata


def collect(bench: Bench) -> pd.DataFrame:
    config, rows = bench.config, []
    for cohort in config.cohorts:
        for encoders in config.encoder_sets:
            for learner in dict.fromkeys([config.learner, *(name for name in config.baselines if name != "mean")]):
                adata = predicted_cohort(bench, cohort, encoders, learner, config.seeds[0])
                if adata is None:
                    continue
                scores = hd.tl.compare_colocalization(adata, TRUTH, PREDICTED, permutations=0)
                rows += [
                    {"cohort": cohort, "encoders": encoders, "learner": learner, "map": name, **row[[*CONVENTIONS]]}
                    for name, row in scores.iterrows()
                ]
    return pd.DataFrame(rows)


def run(bench: Bench) -> str:
    table = collect(bench)
    if table.empty:
        return ""
    table.to_csv(bench.out / "colocalization.csv", index=False, float_format="%.4f")
    shown = table[table["map"].isin(["mean over slides", "pooled map"])]
    digits = dict.fromkeys(CONVENTIONS, 2)
    text = f"""Moran's R of all pairs of cell types, l = the pitch, self-weights included: measured against predicted for those left out.
`rows` compares each type's row and takes the mean, which is the source's way as far as it says; whether it counted the
diagonal it does not say. Seed {bench.config.seeds[0]}.

{markdown_table(shown, digits)}
"""
    return text + published(bench.config, "colocalization")
