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

import numpy as np
import pandas as pd

import histodecon as hd
from histodecon._core import table_kind
from paper._abundance_targets import with_abundances
from paper._bench import OWN, Compute, facts, real_names, scores, unit
from paper._cohort import ENCODERS, SPLITS, her2st
from paper._learners_report import write_page
from paper._nuclei import her2st_nuclei, summed_over_spots, with_mean_crops
from paper._with_counts import signatures_of, with_counts
from paper.her2st import of_sections

FLOOR = ("mean", "ridge")
OF_IMAGES = ("mlp", "context", "graph_attention", "fusion", "ensemble")
OF_GENES = ("cuca", "cpnn", "cpnn_abundance")
ON_CROPS = "mlp, crops"
OF_NUCLEI = (ON_CROPS, "nuclei")
LEARNERS = (*FLOOR, *OF_IMAGES, *OF_GENES, *OF_NUCLEI)
PATCH = 4


def one_run(
    train: Any,
    test: Any,
    encoder: str,
    learner: str,
    seed: int,
    signatures: pd.DataFrame | None = None,
    use_rep: list[str] | None = None,
) -> tuple[list[dict], dict[str, pd.DataFrame]]:
    """Scores on the test sections, and what was predicted for each spot."""
    start = time.process_time()
    model = hd.tl.train_regressor(
        train,
        use_rep=use_rep or ENCODERS[encoder],
        learner=learner,
        groupby="library_id",
        random_state=seed,
        device="cpu",
        show_progress_bar=False,
        signatures=signatures if learner in OF_GENES else None,
    )
    seconds = time.process_time() - start
    hd.tl.predict_abundance(test, model, background="keep")
    truth, predicted = real_names(test, OWN), real_names(test, "predicted_abundance")
    row = {**scores(truth, predicted), "cc_shares": scores(shares(truth), shares(predicted))["cc"]}
    if learner in OF_GENES and model.kind_ != table_kind(train, OWN):
        # proportions say nothing of the number of cells, nor do cells of shares
        row |= dict.fromkeys(("cc", "l1"), float("nan"))
    return [{**row, "seconds": seconds}], {"predicted": predicted}


def run_of_nuclei(
    train: Any, test: Any, nuclei: Any, encoder: str, seed: int
) -> tuple[list[dict], dict[str, pd.DataFrame]]:
    """The same of sums over the nuclei of each spot; spots without nuclei have no proportions."""
    sums, seconds = summed_over_spots(train, test, nuclei, encoder, seed)
    truth = real_names(test, OWN)
    if table_kind(train, OWN) == "proportion":
        sums = shares(sums)
    row = {**scores(truth, sums), "cc_shares": scores(shares(truth), shares(sums))["cc"]}
    return [{**row, "seconds": seconds}], {"predicted": sums}


def run_on_crops(
    train: Any, test: Any, nuclei: Any, encoder: str, seed: int
) -> tuple[list[dict], dict[str, pd.DataFrame]]:
    """The peer of the learner of nuclei: the network on the mean embedding of the nuclei of each spot."""
    (own, keys), (other, _) = (with_mean_crops(side, nuclei, encoder) for side in (train, test))
    return one_run(own, other, encoder, "mlp", seed, use_rep=keys)


def shares(table: pd.DataFrame) -> pd.DataFrame:
    """Proportions of cell types; amounts below 0 count as 0."""
    table = table.clip(lower=0)
    return table.div(table.sum(axis=1), axis=0)


def runs(
    adata: Any,
    targets: str,
    encoders: list[str],
    seeds: int,
    cache: Path,
    signatures: pd.DataFrame | None = None,
    nuclei: Any = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A row a split, set of encoders, learner and seed; a row a split, set of encoders and learner with its gains on ridge."""
    rows, gained = [], []
    for split, sides in SPLITS.items():
        train, test = (of_sections(adata, sections) for sections in sides)
        for encoder in encoders:
            found: dict[str, list[pd.DataFrame]] = {}
            for learner in LEARNERS:
                if (learner in OF_GENES and signatures is None) or (learner in OF_NUCLEI and nuclei is None):
                    continue
                for seed in range(1 if learner in FLOOR else seeds):
                    common = {"targets": targets, "split": split, "encoders": encoder, "learner": learner, "seed": seed}
                    compute: Compute = partial(one_run, train, test, encoder, learner, seed, signatures)
                    if learner in OF_NUCLEI:
                        how = run_of_nuclei if learner == "nuclei" else run_on_crops
                        compute = partial(how, train, test, nuclei, encoder, seed)
                    spec = {"what": "learners", "cohort": f"{targets}, {split}", **common, **facts(adata)}
                    if learner in OF_GENES:
                        spec["counts"] = [adata.n_vars, float(adata.X.sum()), *map(str, signatures.columns)]
                    if learner in OF_NUCLEI:
                        spec["n_nuclei"] = nuclei.n_obs
                    done = unit(cache, spec, compute)
                    rows.append({**common, **done.rows[0]})
                    found.setdefault(learner, []).append(done.table("predicted"))
            for learner, gain in gains(test, found).items():
                gained.append({"targets": targets, "split": split, "encoders": encoder, "learner": learner, **gain})
    return pd.DataFrame(rows), pd.DataFrame(gained)


def gains(test: Any, found: dict[str, list[pd.DataFrame]]) -> dict[str, dict[str, float]]:
    """What each learner gains on ridge in the CC of proportions: 95 % of the draws of patches of tissue, means over seeds."""
    truth = shares(real_names(test, OWN))
    section, row, column = (test.obs[key] for key in ("library_id", "array_row", "array_col"))
    side = row.astype(int) // PATCH, column.astype(int) // PATCH
    patches = pd.factorize(section.astype(str) + " " + side[0].astype(str) + " " + side[1].astype(str))[0]

    def drawn(tables: list[pd.DataFrame]) -> Any:
        draws = [
            hd.stats.bootstrap_scores(truth, shares(one[truth.columns]), scores=("cc",), blocks=patches)["cc"]
            for one in tables
        ]
        return np.nanmean(draws, axis=(0, 2))

    ridge = drawn(found["ridge"])
    out = {}
    for learner in [name for name in found if name not in FLOOR]:
        low, high = np.percentile(drawn(found[learner]) - ridge, [2.5, 97.5])
        out[learner] = {"low": float(low), "high": float(high)}
    return out


def main(
    data: Path,
    out: Path,
    cache: Path,
    encoders: list[str],
    seeds: int,
    abundances: Path | None,
    *,
    nuclei: bool = False,
) -> None:
    cache.mkdir(parents=True, exist_ok=True)
    adata = her2st(data, cache / "her2st.h5ad")
    one_run(*(of_sections(adata, sections) for sections in SPLITS["C2, C3 → C4"]), encoders[0], "ridge", 0)  # imports
    cells = her2st_nuclei(data, cache / "nuclei.h5ad") if nuclei else None
    tables = [kind_of_targets(adata, "Stereoscope", encoders, seeds, cache, abundances, cells)]
    if abundances is not None:
        tables.append(kind_of_targets(adata, "cell2location", encoders, seeds, cache, abundances, cells))
    table, gained = (pd.concat(parts, ignore_index=True) for parts in zip(*tables, strict=True))
    out.mkdir(parents=True, exist_ok=True)
    table.to_csv(out / "learners.csv", index=False, float_format="%.4f")
    write_page(table, gained, out)


def kind_of_targets(
    adata: Any, targets: str, encoders: list[str], seeds: int, cache: Path, abundances: Path | None, nuclei: Any = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """All runs on one kind of targets; learners of genes take part where there is a file with counts."""
    if abundances is None:
        return runs(adata, targets, encoders, seeds, cache, nuclei=nuclei)
    own = with_abundances(adata, abundances) if targets == "cell2location" else adata
    own = with_counts(own, abundances)
    signatures = signatures_of(abundances, list(real_names(own, OWN).columns))
    return runs(own, targets, encoders, seeds, cache, signatures, nuclei)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    shared = os.environ.get("HISTODECON_SHARED", "../shared/data")
    parser.add_argument("--data", type=Path, default=Path(shared), help="folder with her2st/ and weights/")
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    parser.add_argument("--cache", type=Path, default=Path(".cache/paper/learners"), help="folder of finished work")
    parser.add_argument("--encoders", nargs="+", choices=list(ENCODERS), default=["both"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument(
        "--abundances", type=Path, help="h5ad file of paper.deconvolution: a second set of targets, and counts"
    )
    parser.add_argument(
        "--nuclei", action="store_true", help="segment nuclei, and compare the learner of nuclei as well"
    )
    arguments = parser.parse_args()
    main(
        arguments.data,
        arguments.out,
        arguments.cache,
        arguments.encoders,
        arguments.seeds,
        arguments.abundances,
        nuclei=arguments.nuclei,
    )
