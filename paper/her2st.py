"""Cell types from H&E on her2st: train on some sections, predict others, against baselines.

    python -m paper.her2st --data ../shared/data --out docs/results

Targets are the Stereoscope proportions that were published with the data, a stand-in for a measured truth.
"""

from __future__ import annotations

import argparse
import os
import resource
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import histodecon as hd
from histodecon import stats
from paper._abundance_targets import on_proportions, shared_total, with_abundances
from paper._cohort import ENCODERS, SPLITS, her2st
from paper._report import write_figure, write_page

LEARNERS = ("mean", "ridge", "mlp")
SHUFFLES = 5
CONVENTIONS = ("cosine_rows", "pearson_rows", "cosine_pairs", "pearson_pairs")


def of_sections(adata: Any, sections: tuple[str, ...]) -> Any:
    return adata[adata.obs["library_id"].isin(sections).to_numpy()].copy()


def evaluated(test: Any, groupby: str) -> pd.DataFrame:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", hd.UndefinedMetricWarning)  # the mean has no variance: its CC is undefined
        return hd.tl.evaluate(test, groupby=groupby)


def agreement(test: Any) -> dict[str, float]:
    """Maps of truth and prediction, pooled over the test sections, l = spot pitch, self-weights included."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", hd.UndefinedMetricWarning)
        hd.tl.colocalization(test, "cell_abundance", key_added="map_true")
        hd.tl.colocalization(test, "predicted_abundance", key_added="map_predicted")
    names = list(test.uns["map_true"]["names"])
    order = [list(test.uns["map_predicted"]["names"]).index(name) for name in names]
    predicted = test.uns["map_predicted"]["pooled"]["R"][np.ix_(order, order)]
    scores = stats.agreement_table(test.uns["map_true"]["pooled"]["R"], predicted)
    return {name: scores[name] for name in CONVENTIONS}


def one_run(adata: Any, split: str, encoder: str, learner: str, seed: int = 0) -> tuple[list[dict], list[dict], Any]:
    """Train, predict, score: a row for each test patient and section, and a row for each cell type."""
    train, test = (of_sections(adata, sections) for sections in SPLITS[split])
    start = time.perf_counter()
    hd.tl.train_regressor(
        train,
        use_rep=ENCODERS[encoder],
        learner=learner,
        groupby="library_id",
        random_state=seed,
        device="cpu",
        show_progress_bar=False,
    )
    seconds = time.perf_counter() - start
    test.uns["histodecon"]["regressor"] = train.uns["histodecon"]["regressor"]
    hd.tl.predict_abundance(test, background="keep")  # every measured spot is scored
    common = {"split": split, "encoder": encoder, "learner": learner, "seed": seed}
    by_patient = evaluated(test, "patient")
    patient = str(test.obs["patient"].iloc[0])
    types = [
        {**common, "cell_type": name, "cc": row["cc"], "l1": row["l1"]}
        for name, row in by_patient.loc[patient].iterrows()
        if name != "mean"
    ]
    rows = []
    for unit, table in (("patient", by_patient), ("section", evaluated(test, "library_id"))):
        for name in sorted(set(table.index.get_level_values(0)) - {"mean"}):
            score = table.loc[(name, "mean")]
            rows.append(
                {**common, "unit": unit, "test": name, "cc": score["cc"], "l1": score["l1"], "seconds": seconds}
            )
    rows[0] |= agreement(test)
    return rows, types, test


def shuffled(adata: Any, split: str, learner: str, seed: int) -> float:
    """CC of a model whose training targets were dealt to other spots."""
    train = of_sections(adata, SPLITS[split][0])
    order = np.random.default_rng(seed).permutation(train.n_obs)
    train.obsm["cell_abundance"] = train.obsm["cell_abundance"].iloc[order].set_axis(train.obs_names)
    test = of_sections(adata, SPLITS[split][1])
    model = hd.tl.train_regressor(
        train,
        use_rep=ENCODERS["mobilenetv2"],
        learner=learner,
        groupby="library_id",
        random_state=seed,
        device="cpu",
        show_progress_bar=False,
    )
    hd.tl.predict_abundance(test, model, background="keep")
    table = evaluated(test, "patient")
    return float(table.loc[(str(test.obs["patient"].iloc[0]), "mean"), "cc"])


def runs_on_abundances(adata: Any, seeds: int) -> pd.DataFrame:
    rows = []
    for split in SPLITS:
        for encoder in ENCODERS:
            for learner in LEARNERS:
                for seed in range(seeds if learner == "mlp" else 1):
                    found, _, test = one_run(adata, split, encoder, learner, seed)
                    rows.append(found[0] | {"l1_proportion": on_proportions(test)})
                    print(f"{split:18s} {encoder:12s} {learner:6s} cells, cc {found[0]['cc']:.3f}", flush=True)
    return pd.DataFrame(rows)


def main(data: Path, out: Path, cache: Path | None, seeds: int, abundances: Path | None) -> None:
    start = time.perf_counter()
    cached = cache is not None and cache.exists()
    adata = her2st(data, cache)
    print(
        f"{adata.n_obs} spots of {', '.join(sorted(set(adata.obs['library_id'])))}: {time.perf_counter() - start:.0f} s",
        flush=True,
    )
    embedded = time.perf_counter() - start
    one_run(adata, next(iter(SPLITS)), "color_stats", "mlp")  # so that no time below is that of imports
    scores, types, shown = [], [], {}
    for split in SPLITS:
        for encoder in ENCODERS:
            for learner in LEARNERS:
                for seed in range(seeds if learner == "mlp" else 1):
                    rows, per_type, test = one_run(adata, split, encoder, learner, seed)
                    scores += rows
                    types += per_type
                    print(
                        f"{split:18s} {encoder:12s} {learner:6s} cc {rows[0]['cc']:.3f} l1 {rows[0]['l1']:.4f}",
                        flush=True,
                    )
                    if encoder == "mobilenetv2" and learner == "mlp" and seed == 0:
                        shown[split] = test
    noise = pd.DataFrame(
        [
            {
                "split": split,
                "learner": learner,
                "cc": np.mean([shuffled(adata, split, learner, seed) for seed in range(SHUFFLES)]),
            }
            for split in SPLITS
            for learner in ("ridge", "mlp")
        ]
    )
    out.mkdir(parents=True, exist_ok=True)
    facts = {
        "embed_seconds": embedded,
        "cached": cached,
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "shuffles": SHUFFLES,
        "seeds": seeds,
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
        "n_spots": adata.n_obs,
    }
    tables = {"scores": pd.DataFrame(scores), "types": pd.DataFrame(types), "shuffled": noise}
    if abundances is not None:
        counted = with_abundances(adata, abundances)
        tables["cells"], tables["totals"] = runs_on_abundances(counted, seeds), shared_total(counted)
    for name, table in tables.items():
        table.to_csv(out / f"her2st_{name}.csv", index=False, float_format="%.4f")
    write_figure(tables, shown, out)
    write_page(tables, facts, out)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    shared = os.environ.get("HISTODECON_SHARED", "../shared/data")
    parser.add_argument("--data", type=Path, default=Path(shared), help="folder with her2st/ and weights/")
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    parser.add_argument("--cache", type=Path, help="h5ad file that keeps the embeddings for another run")
    parser.add_argument("--seeds", type=int, default=3, help="networks are trained this often")
    parser.add_argument("--abundances", type=Path, help="h5ad file of paper.deconvolution: a second set of targets")
    arguments = parser.parse_args()
    main(arguments.data, arguments.out, arguments.cache, arguments.seeds, arguments.abundances)
