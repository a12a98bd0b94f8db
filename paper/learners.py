"""The learners on three splits of her2st, five seeds, two kinds of targets; docs/results/learners.md.

python -m paper.learners --data ../shared/data --out docs/results
"""

from __future__ import annotations

import argparse
import os
import time
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

import histodecon as hd
from paper._abundance_targets import with_abundances
from paper._bench import OWN, Compute, facts, real_names, scores, unit
from paper._cohort import ENCODERS, SPLITS, her2st
from paper._learners_report import write_page
from paper.her2st import of_sections

LEARNERS = ("mean", "ridge", "mlp", "context", "ensemble")
SEEDED = ("mlp", "context", "ensemble")


def one_run(train: Any, test: Any, encoder: str, learner: str, seed: int) -> tuple[list[dict], dict[str, pd.DataFrame]]:
    """Scores on the test sections, and what was predicted for each spot."""
    start = time.process_time()
    model = hd.tl.train_regressor(
        train,
        use_rep=ENCODERS[encoder],
        learner=learner,
        groupby="library_id",
        random_state=seed,
        device="cpu",
        show_progress_bar=False,
    )
    seconds = time.process_time() - start
    hd.tl.predict_abundance(test, model, background="keep")
    truth, predicted = real_names(test, OWN), real_names(test, "predicted_abundance")
    return [{**scores(truth, predicted), "seconds": seconds}], {"predicted": predicted}


def runs(adata: Any, targets: str, encoders: list[str], seeds: int, cache: Path) -> pd.DataFrame:
    """A row a split, set of encoders, learner and seed."""
    rows = []
    for split, sides in SPLITS.items():
        train, test = (of_sections(adata, sections) for sections in sides)
        for encoder in encoders:
            for learner in LEARNERS:
                for seed in range(seeds if learner in SEEDED else 1):
                    common = {"targets": targets, "split": split, "encoders": encoder, "learner": learner, "seed": seed}
                    compute: Compute = partial(one_run, train, test, encoder, learner, seed)
                    spec = {"what": "learners", "cohort": f"{targets}, {split}", **common, **facts(adata)}
                    rows.append({**common, **unit(cache, spec, compute).rows[0]})
    return pd.DataFrame(rows)


def main(data: Path, out: Path, cache: Path, encoders: list[str], seeds: int, abundances: Path | None) -> None:
    cache.mkdir(parents=True, exist_ok=True)
    adata = her2st(data, cache / "her2st.h5ad")
    one_run(*(of_sections(adata, sections) for sections in SPLITS["C2, C3 → C4"]), encoders[0], "ridge", 0)  # imports
    tables = [runs(adata, "Stereoscope", encoders, seeds, cache)]
    if abundances is not None:
        tables.append(runs(with_abundances(adata, abundances), "cell2location", encoders, seeds, cache))
    table = pd.concat(tables, ignore_index=True)
    out.mkdir(parents=True, exist_ok=True)
    table.to_csv(out / "learners.csv", index=False, float_format="%.4f")
    write_page(table, out)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    shared = os.environ.get("HISTODECON_SHARED", "../shared/data")
    parser.add_argument("--data", type=Path, default=Path(shared), help="folder with her2st/ and weights/")
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    parser.add_argument("--cache", type=Path, default=Path(".cache/paper/learners"), help="folder of finished work")
    parser.add_argument("--encoders", nargs="+", choices=list(ENCODERS), default=["both"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--abundances", type=Path, help="h5ad file of paper.deconvolution: a second set of targets")
    arguments = parser.parse_args()
    main(
        arguments.data,
        arguments.out,
        arguments.cache,
        arguments.encoders,
        arguments.seeds,
        arguments.abundances,
    )
