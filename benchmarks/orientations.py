"""Does it help to embed a tile in its eight orientations? Writes docs/results/orientations.md.

    HISTODECON_SHARED=../shared/data python benchmarks/orientations.py

Three splits of her2st at hand, MobileNetV2. Tiles are embedded as they lie, or as the mean over their eight orientations
(`pp.embed_tiles(orientations=8)`); or a model learns from all eight as rows of their own.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from paper._cohort import SECTIONS, SPLITS, TILE_PX, mobilenet

import histodecon as hd
from histodecon import stats
from histodecon._core import read_table
from histodecon.encoders._encoder import orientations
from histodecon.models import AbundanceRegressor

REPORT = ROOT / "docs" / "results" / "orientations.md"
SEEDS = 5
N = 8
WAYS = ("as they lie", "mean of eight", "learn from eight, test as they lie", "learn from eight, test the mean")


def views(data: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, float]]:
    """Embeddings (n, 8, d), targets, sections, patients, and the seconds of one and of all orientations."""
    encoder = hd.encoders.load_encoder(mobilenet(data), device="cpu")
    spent = np.zeros(N)

    def view(number: int) -> Callable[[np.ndarray], np.ndarray]:
        def encode(tiles: np.ndarray) -> np.ndarray:
            start = time.process_time()
            values = encoder.encode(list(orientations(tiles))[number])
            spent[number] += time.process_time() - start
            return values

        encode.input_px = TILE_PX  # type: ignore[attr-defined]
        encode.__name__ = f"view_{number}"
        return encode

    found: dict[str, list[Any]] = {name: [] for name in ("X", "Y", "section", "patient")}
    for section in SECTIONS:
        sdata = hd.datasets.her2st([section], show_progress_bar=False)
        hd.pp.tile_spots(sdata, size_px=TILE_PX)
        hd.pp.embed_tiles(sdata, [view(number) for number in range(N)], show_progress_bar=False)
        table = sdata["table"]
        hd.tl.set_targets(table, "stereoscope")
        found["X"].append(np.stack([table.obsm[f"X_view_{number}"] for number in range(N)], axis=1))
        found["Y"].append(read_table(table, "cell_abundance").to_numpy())
        found["section"].append(np.repeat(section, table.n_obs))
        found["patient"].append(np.repeat(section[0], table.n_obs))
    X, Y, section, patient = (np.concatenate(parts) for parts in found.values())
    measured = np.isfinite(Y).all(axis=1)
    return X[measured], Y[measured], section[measured], patient[measured], {"one": spent[0], "eight": spent.sum()}


def fit(X: np.ndarray, Y: np.ndarray, groups: np.ndarray, learner: str, seed: int) -> AbundanceRegressor:
    """A model of rows, or of all eight views of each."""
    if X.ndim == 3:
        if len(np.unique(groups)) == 1:  # the views of a spot are held in or out together
            groups = np.arange(len(X)).astype(str)
        X, Y, groups = X.reshape(-1, X.shape[2]), np.repeat(Y, N, axis=0), np.repeat(groups, N)
    return AbundanceRegressor(learner, random_state=seed, device="cpu").fit(X, Y, groups=groups, kind="proportion")


def scores(X: np.ndarray, Y: np.ndarray, section: np.ndarray) -> pd.DataFrame:
    """A row a split, learner, way and seed."""
    rows = []
    for split, sides in SPLITS.items():
        train, test = (np.isin(section, side) for side in sides)
        for learner in ("ridge", "mlp"):
            for seed in range(SEEDS if learner == "mlp" else 1):
                models = {}
                for how, inputs in {"one": X[:, 0], "mean": X.mean(axis=1), "all": X}.items():
                    start = time.process_time()
                    models[how] = fit(inputs[train], Y[train], section[train], learner, seed)
                    models[how].seconds = time.process_time() - start
                pairs = (("one", X[:, 0]), ("mean", X.mean(axis=1)), ("all", X[:, 0]), ("all", X.mean(axis=1)))
                for way, (how, inputs) in zip(WAYS, pairs, strict=True):
                    cc = np.nanmean(stats.pearson_per_type(Y[test], models[how].predict(inputs[test])))
                    common = {"split": split, "learner": learner, "tiles": way, "seed": seed}
                    rows.append({**common, "cc": cc, "seconds": models[how].seconds})
                    sys.stdout.write(f"{rows[-1]}\n")
                    sys.stdout.flush()
    return pd.DataFrame(rows)


def turned(X: np.ndarray) -> float:
    """How far apart two orientations of a tile are, in units of how far apart tiles are."""
    apart = ((X[:, 0] - X[:, 2]) ** 2).sum(axis=1).mean()
    others = ((X[:, 0] - X[::-1, 0]) ** 2).sum(axis=1).mean()
    return float(np.sqrt(apart / others))


def page(table: pd.DataFrame, apart: float, seconds: dict[str, float]) -> str:
    """Write what was measured."""
    mean = table.groupby(["split", "learner", "tiles"], sort=False)[["cc", "seconds"]].mean()
    spread = table.groupby(["split", "learner", "tiles"], sort=False)["cc"].std()
    lines = [
        "# Eight orientations\n\n```bash\nHISTODECON_SHARED=../shared/data python benchmarks/orientations.py\n```\n",
        "Tissue has no up and no down, encoders have: turning a tile by a quarter moves its MobileNetV2 embedding by "
        f"{apart:.0%} of the distance between two tiles. `pp.embed_tiles(orientations=8)` embeds the mean over four turns, each also "
        f"mirrored, at eight times the price ({seconds['one']:.0f} and {seconds['eight']:.0f} CPU s for these sections).\n",
        f"CC on the three splits of {{doc}}`her2st` (Stereoscope, 8 types), mean of {SEEDS} seeds of `mlp` and their standard "
        "deviation; seconds are CPU seconds of one training.\n",
        "| split | learner | tiles | cc | ± | cc − as they lie | seconds |\n|---|---|---|---|---|---|---|",
    ]
    for (split, learner, way), row in mean.iterrows():
        gain = row["cc"] - mean.loc[(split, learner, WAYS[0]), "cc"]
        sd = spread[(split, learner, way)]
        cells = [f"{row['cc']:.3f}", "–" if np.isnan(sd) else f"{sd:.3f}", f"{gain:+.3f}", f"{row['seconds']:.1f}"]
        lines[-1] += f"\n| {split} | {learner} | {way} | {' | '.join(cells)} |"
    gains = mean["cc"].unstack("tiles")
    lines.append("")
    for way in WAYS[1:]:  # of all splits and both learners
        gain = gains[way] - gains[WAYS[0]]
        lines.append(
            f"- *{way}*: {gain.mean():+.3f} in the mean, from {gain.min():+.3f} to {gain.max():+.3f}; "
            f"above in {int((gain > 0).sum())} of {len(gain)} rows."
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    data = Path(os.environ.get("HISTODECON_SHARED", ROOT.parent / "shared" / "data"))
    os.environ["HISTODECON_SHARED"] = str(data)
    X, Y, section, _, seconds = views(data)
    REPORT.write_text(page(scores(X, Y, section), turned(X), seconds), encoding="utf-8")
