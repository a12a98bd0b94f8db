"""Targets with errors of known size, learned from with and without weights; writes docs/results/posterior_weights.md.

    python benchmarks/posterior_weights.py

Needs no data: the slides are drawn, and their true cells are known.
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np
import pandas as pd

import histodecon as hd

REPORT = Path(__file__).resolve().parents[1] / "docs" / "results" / "posterior_weights.md"
REP = "X_color_stats"
SEEDS = range(5)
LEARNERS = ("ridge", "mlp")
SHARE, LOUD, QUIET = 0.5, 4.0, 0.3


def slides() -> Any:
    sdata = hd.datasets.toy_slide(n_patients=4)
    hd.pp.tile_spots(sdata)
    hd.pp.embed_tiles(sdata, "color_stats", show_progress_bar=False)
    return sdata["table"]


def spread(truth: pd.DataFrame, case: str, rng: np.random.Generator) -> np.ndarray:
    """Standard deviation of the error of every target, in units of the spread of its cell type."""
    n, k = truth.shape
    unit = truth.to_numpy().std(axis=0)
    if case == "the same everywhere":
        return np.ones((n, k)) * unit
    if case == "half of the spots poorly measured":
        return np.where(rng.random((n, 1)) < SHARE, LOUD, QUIET) * unit
    if case == "half of the values poorly measured":
        return np.where(rng.random((n, k)) < SHARE, LOUD, QUIET) * unit
    if case == "grows with the abundance":
        return 0.2 * unit + 0.7 * truth.to_numpy()
    raise ValueError(case)


CASES = (
    "half of the spots poorly measured",
    "half of the values poorly measured",
    "the same everywhere",
    "grows with the abundance",
)


def scores(adata: Any, case: str, seed: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    truth = hd.get.abundance(adata, layers={"true": "true_abundance"}).to_df()
    sd = spread(truth, case, rng)
    noisy = np.clip(truth.to_numpy() + sd * rng.normal(size=sd.shape), 0, None)
    told = {"sd": sd, "sd of other spots": sd[rng.permutation(len(sd))]}
    rows = []
    for which, values in told.items():
        tables = (pd.DataFrame(part, truth.index, truth.columns) for part in (noisy, values))
        targets, uncertain = tables
        hd.tl.set_targets(adata, targets, sd=uncertain, kind="abundance")
        for learner in LEARNERS:
            for weights in (None, "posterior") if which == "sd" else ("posterior",):
                how = {"learner": learner, "baselines": (), "random_state": seed, "show_progress_bar": False}
                hd.tl.cross_validate(adata, use_rep=REP, weights=weights, **how)
                table = hd.tl.evaluate(adata, truth="true_abundance", predicted="crossval_abundance", groupby="patient")
                cc = float(table.loc[("mean", "mean"), "cc"])
                rows.append({"case": case, "learner": learner, "how": "none" if weights is None else which, "cc": cc})
    return rows


def report(table: pd.DataFrame) -> str:
    wide = table.pivot_table(index=["case", "learner"], columns="how", values="cc", sort=False)
    by_seed = table.assign(seed=table.groupby(["case", "learner", "how"]).cumcount())
    gain = by_seed.pivot_table(index=["case", "learner", "seed"], columns="how", values="cc")
    gain = (gain["sd"] - gain["none"]).groupby(level=["case", "learner"]).agg(["mean", "std", "min"])
    lines = [
        "| error of the targets | learner | unweighted | weighted | gain | smallest gain | weighted, sd shuffled |"
    ]
    lines.append("|---|---|---|---|---|---|---|")
    for key, row in wide.iterrows():
        change = gain.loc[key]
        cells = [f"{row['none']:.3f}", f"{row['sd']:.3f}", f"{change['mean']:+.3f} ± {change['std']:.3f}"]
        cells += [f"{change['min']:+.3f}", f"{row['sd of other spots']:.3f}"]
        lines.append("| " + " | ".join([*key, *cells]) + " |")
    return "\n".join(lines)


TEXT = """# Targets that count by their certainty

Made by `python benchmarks/posterior_weights.py`. {n} spots of {patients} drawn patients (`datasets.toy_slide`), encoder
color_stats. Errors of known standard deviation are added to the true cells per spot (below 0 becomes 0), a model is trained on
the others for each patient (`tl.cross_validate`), with and without `weights="posterior"`, and its predictions are compared
with the **true** cells: mean CC over cell types and patients, mean over {seeds} draws of the errors.

{table}

*Poorly measured* is an error of {loud:g} times the spread of the cell type, the others have {quiet:g} times. *The same everywhere*
is an error of the size of the spread: all weights are equal then, and nothing may change. *Grows with the abundance* is how
deconvolutions of counts err: the spots that are rich in a type, which tell most about it, are the least certain, and to count
them less costs correlation.
*sd shuffled* gives every spot the standard deviations of another, to show what weights cost that are wrong.

Weights are a way to say what is known. Where the standard deviations are those of a posterior rather than of errors that
were drawn, try both and let held-out patients decide:
`tl.cross_validate(adata, use_rep=..., weights="posterior")`.
"""


def main() -> None:
    warnings.simplefilter("ignore", hd.HistodeconWarning)
    adata = slides()
    table = pd.DataFrame([row for case in CASES for seed in SEEDS for row in scores(adata, case, seed)])
    facts = {"n": adata.n_obs, "patients": adata.obs["patient"].nunique(), "seeds": len(SEEDS)}
    REPORT.write_text(TEXT.format(table=report(table), loud=LOUD, quiet=QUIET, **facts), encoding="utf-8")
    print(REPORT.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
