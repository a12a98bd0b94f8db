"""Learners in a world with known cells, where each can show what it was invented for; docs/results/planted_learners.md.

python benchmarks/planted_learners.py --out docs/results
"""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from planted_world import GENES, N_TYPES, TYPES, World, mean_cc

from histodecon.models import AbundanceRegressor, GeneCounts, nnls_abundance

SPOTS = (100, 250, 500, 1000, 2000)
CURVE = {
    "ridge": ("ridge", {}),
    "mlp": ("mlp", {}),
    "cuca": ("cuca", {}),
    "cuca without genes": ("cuca", {"expression": 0.0, "alignment": 0.0}),
}
UNEVEN, FACTOR_SD = "uneven counts", 1.4
PATIENTS, NEW = range(4), range(10, 14)


def fitted(name: str, params: dict, cohort: tuple, targets: np.ndarray | None, genes: GeneCounts) -> AbundanceRegressor:
    model = AbundanceRegressor(name, params=params, device="cpu")
    types = TYPES if targets is not None else None
    return model.fit(cohort[0], targets, groups=cohort[3], genes=genes, cell_types=types)


def curve(worlds: int) -> pd.DataFrame:
    """CC with true abundances of new patients, by the number of spots of four patients learned from."""
    rows = []
    for seed in range(worlds):
        world = World(seed)
        test = world.cohort(250, NEW)
        for n in SPOTS:
            training = world.cohort(n // 4, PATIENTS)
            targets = nnls_abundance(training[2], world.signatures)
            genes = GeneCounts(training[2], GENES)
            for label, (name, params) in CURVE.items():
                found = fitted(name, params, training, targets, genes).predict(test[0])
                rows.append({"world": seed, "spots": n, "learner": label, "cc": mean_cc(test[1], found, test[3])})
    return pd.DataFrame(rows)


def without_deconvolution(worlds: int) -> pd.DataFrame:
    """Heads that were told the truth, heads that were told a deconvolution, and the learners of counts."""
    rows = []
    for seed in range(worlds):
        world = World(seed)
        training, test = world.cohort(250, PATIENTS), world.cohort(250, NEW)
        genes = GeneCounts(training[2], GENES, world.signatures, TYPES)
        deconvolved = nnls_abundance(training[2], world.signatures)
        uneven = unevenly_counted(world, training[1], seed)
        uneven_genes = GeneCounts(uneven, GENES, world.signatures, TYPES)
        shares = test[1] / test[1].sum(axis=1, keepdims=True)
        of_uneven = nnls_abundance(uneven, world.signatures)
        for label, name, targets, own in (
            ("mlp, told true abundances", "mlp", training[1], genes),
            ("mlp, told a deconvolution (nnls)", "mlp", deconvolved, genes),
            ("cpnn_abundance, told counts and signatures", "cpnn_abundance", None, genes),
            ("cpnn, told the deconvolution, counts and signatures", "cpnn", deconvolved, genes),
            (f"mlp, told a deconvolution of {UNEVEN}", "mlp", of_uneven, uneven_genes),
            (f"cpnn_abundance, told {UNEVEN} and signatures", "cpnn_abundance", None, uneven_genes),
        ):
            model = fitted(name, {}, training, targets, own)
            found = model.predict(test[0])
            as_shares = found / np.maximum(found.sum(axis=1, keepdims=True), 1e-12)
            row = {"world": seed, "learner": label, "cc of shares": mean_cc(shares, as_shares, test[3])}
            if model.kind_ == "abundance":
                row |= {"cc": mean_cc(test[1], found, test[3]), "l1": np.abs(test[1] - found).mean()}
            if name == "cpnn_abundance":
                row["signatures"] = recognized(model, world)
            rows.append(row)
    return pd.DataFrame(rows)


def unevenly_counted(world: World, W: np.ndarray, seed: int) -> np.ndarray:
    """Counts of a technology that counts each gene better or worse than that of the signatures, by a factor of its own."""
    rng = np.random.default_rng(seed)
    mean = W @ world.signatures.T * np.exp(rng.normal(0, FACTOR_SD, len(GENES)))
    return rng.negative_binomial(5, 5 / (5 + mean)).astype(np.float32)


def recognized(model: AbundanceRegressor, world: World) -> float:
    """Lowest correlation of a learned signature with the one it began as."""
    chosen = [GENES.index(name) for name in model.training_["genes"]]
    learned = [network.log_prototypes.exp().detach().numpy() for network in model.learner_.networks_]
    return min(np.corrcoef(one[k], world.signatures[chosen, k])[0, 1] for one in learned for k in range(N_TYPES))


def table(frame: pd.DataFrame, digits: int = 3) -> str:
    text = frame.map(
        lambda value: ("" if np.isnan(value) else f"{value:.{digits}f}") if isinstance(value, float) else str(value)
    )
    lines = [
        " | ".join(text.columns),
        " | ".join("---" for _ in text.columns),
        *(" | ".join(row) for row in text.to_numpy()),
    ]
    return "\n".join(f"| {line} |" for line in lines)


def draw(found: pd.DataFrame, path: Path) -> None:
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(5.6, 3.8), layout="constrained")
    colors = ("#9a9a9a", "#1b6ca8", "#c1440e", "#e0a030")
    for label, color in zip(CURVE, colors, strict=True):
        own = found[found["learner"] == label].pivot_table(index="spots", columns="world", values="cc")
        style = "--" if "without" in label else "-"
        ax.plot(own.index, own.mean(axis=1), style, color=color, marker="o", ms=4, label=label)
        ax.fill_between(own.index, own.min(axis=1), own.max(axis=1), color=color, alpha=0.12, linewidth=0)
    ax.set_xscale("log")
    ax.set_xticks(SPOTS, [str(n) for n in SPOTS])
    ax.minorticks_off()
    ax.set(xlabel="spots to learn from, of four patients", ylabel="CC in new patients")
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=130)


def main(out: Path, worlds: int) -> None:
    warnings.simplefilter("ignore")
    found, other = curve(worlds), without_deconvolution(worlds)
    draw(found, out / "planted_learners.png")
    by_spots = found.pivot_table(index="spots", columns="learner", values="cc", sort=False).reset_index()
    gain = found.pivot_table(index=["spots", "world"], columns="learner", values="cc", sort=False)
    ahead = (gain["cuca"] - gain["mlp"]).groupby("spots").agg(["mean", "min", "max"]).reset_index()
    genes = (gain["cuca"] - gain["cuca without genes"]).groupby("spots").mean()
    ahead["of these, by genes"] = genes.to_numpy()
    means = other.groupby("learner", sort=False)[["cc", "l1", "cc of shares", "signatures"]].mean().reset_index()
    told, counted = (
        means.loc[means["learner"].str.startswith(name), "cc"].item()
        for name in ("mlp, told true", "cpnn_abundance, told counts")
    )
    page = f"""# Learners in a world with known cells

```bash
OMP_NUM_THREADS=1 python benchmarks/planted_learners.py --out docs/results
```

{worlds} worlds are drawn: {N_TYPES} cell types with signatures over {len(GENES)} genes, spots with known numbers of cells, negative
binomial counts, and an embedding that shows the cells through two nonlinear layers and noise. Every patient has a mean composition of its own. Learned from four
patients, scored against the **true** abundances of four others, which no targets held.

## Few spots: `cuca`

Targets are a deconvolution of the counts (`nnls`).

{table(by_spots)}

```{{figure}} planted_learners.png
:alt: CC in new patients against the number of spots, for ridge, mlp, cuca and cuca without genes.

Mean over the worlds; bands from the lowest to the highest.
```

`cuca` minus `mlp`, over the worlds, and how much of it the genes bring (`cuca` minus the same projector with `expression=0` and `alignment=0`):

{table(ahead)}

**How to read it.** {_reading(ahead)}

## No deconvolution: `cpnn_abundance`

{table(means)}

`signatures` is the lowest correlation of a learned signature with the one it began as. Counts and signatures alone reach
{counted / told:.2f} of the CC of a network that was told the true abundances. Uneven counts are those of a technology that counts every gene
better or worse than that of the signatures did, by a factor whose logarithm has a standard deviation of {FACTOR_SD}.
`l1` on the scale of cells tells whether such factors were taken for cells.
"""
    (out / "planted_learners.md").write_text(page, encoding="utf-8")


def _reading(ahead: pd.DataFrame) -> str:
    few = ahead[ahead["spots"] <= SPOTS[1]]
    first = f"With {SPOTS[0]} spots `cuca` is {ahead['mean'].iloc[0]:+.3f} against `mlp`, with {SPOTS[-1]} {ahead['mean'].iloc[-1]:+.3f}."
    by_genes = few["of these, by genes"].abs().max()
    if by_genes < 0.01:
        return (
            f"{first} The genes bring at most {by_genes:.3f} of it where spots are few: what helps here is the projector, with its batch norm. The targets are a "
            "deconvolution of the same counts, and hold what the genes know of the cells already."
        )
    return f"{first} Where spots are few the genes bring up to {few['of these, by genes'].max():.3f} of it."


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    parser.add_argument("--worlds", type=int, default=3)
    arguments = parser.parse_args()
    main(arguments.out, arguments.worlds)
