"""Do intervals hold what they promise, and is the strange told from the usual? Writes docs/results/trust.md and its picture.

    python benchmarks/trust.py

Slides of new patients are drawn. Tiles are those of her2st; HISTODECON_SHARED names the folder with it and with the weights of
an encoder.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import matplotlib as mpl
import numpy as np
import pandas as pd
from scipy import ndimage
from scipy.spatial import cKDTree
from sklearn.metrics import roc_auc_score

import histodecon as hd
from histodecon.models import AbundanceRegressor, NoveltyScore, calibrate

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("HISTODECON_SHARED", ROOT.parent / "shared" / "data"))
RESULTS = ROOT / "docs" / "results"
N_SEEDS, PER_SEED = 10, 6
TRAINING = (4, 8, 16)
DRAWS = 12
LEVELS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
SHOWN = (0.8, 0.9)
FACTOR_SD = 0.4
CASES = {"as drawn": 0.0, "targets of each patient times a factor": FACTOR_SD}
SECTIONS = {"B": ("B4",), "C": ("C2", "C3", "C4")}
MPP, TILE_UM, INPUT_PX, GLASS_UM = 0.687, 112.0, 224, 275.0
BLURS = {"slightly blurred": 2.0, "blurred": 4.0}
CORRUPTIONS = ("inverted", "blurred", "twice the mpp", "half the mpp", "no tissue", "slightly blurred")
ROW_DRAWS = 5
AIM = 0.9

Cohort = tuple[np.ndarray, np.ndarray, np.ndarray]


def toy_patients() -> Cohort:
    """Embeddings, true cells per spot and patient of every spot."""
    parts = []
    for seed in range(N_SEEDS):
        sdata = hd.datasets.toy_slide(n_patients=PER_SEED, random_state=seed)
        hd.pp.tile_spots(sdata)
        hd.pp.embed_tiles(sdata, "color_stats", show_progress_bar=False)
        adata = sdata["table"]
        names = [f"{seed}-{patient}" for patient in adata.obs["patient"]]
        parts.append((adata.obsm["X_color_stats"], adata.obsm["true_abundance"].to_numpy(float), np.array(names)))
    X, Y, patients = (np.concatenate(column) for column in zip(*parts, strict=True))
    return X, Y, patients


def plain_quantile(truth: np.ndarray, held_out: np.ndarray, level: float) -> np.ndarray:
    """Half-widths as they are often taken: one quantile of the absolute errors of all held-out spots."""
    return np.quantile(np.abs(truth - held_out), level, axis=0)


def one_draw(cohort: Cohort, n_training: int, spread: float, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    """Train on some patients, look at all others."""
    X, Y, patients = cohort
    names = np.unique(patients)
    factors = np.exp(spread * rng.normal(size=len(names)))
    Y = Y * factors[np.searchsorted(names, patients)][:, None]
    chosen = np.isin(patients, rng.choice(names, n_training, replace=False))
    X_in, Y_in, inside = X[chosen], Y[chosen], patients[chosen]
    model = AbundanceRegressor("ridge").fit(X_in, Y_in, groups=inside)
    calibrate(model, X_in, Y_in, inside)
    held_out = held_out_predictions(X_in, Y_in, inside)
    predicted, truth, new = model.predict(X[~chosen]), Y[~chosen], patients[~chosen]
    weights = 1 / pd.Series(new).map(pd.Series(new).value_counts()).to_numpy()
    rich = predicted >= np.quantile(predicted, 0.8, axis=0)
    for level in LEVELS:
        half = plain_quantile(Y_in, held_out, level)
        ways = {
            "plain quantile": (np.clip(predicted - half, 0, None), predicted + half),
            "histodecon": model.calibration_.interval(predicted, level),
        }
        for way, (lower, upper) in ways.items():
            covered = (lower <= truth) & (truth <= upper)
            yield {
                "way": way,
                "level": level,
                "coverage": float(np.average(covered, axis=0, weights=weights).mean()),
                "rich": float(np.mean([covered[rich[:, k], k].mean() for k in range(truth.shape[1])])),
                "width": float(((upper - lower).mean(axis=0) / truth.std(axis=0)).mean()),
            }


def held_out_predictions(X: np.ndarray, Y: np.ndarray, patients: np.ndarray) -> np.ndarray:
    """The same folds again, for the other way to use their errors."""
    out = np.empty(Y.shape)
    for one in np.unique(patients):
        rest = patients != one
        out[~rest] = AbundanceRegressor("ridge").fit(X[rest], Y[rest], groups=patients[rest]).predict(X[~rest])
    return out


def measure_coverage(cohort: Cohort) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    rng = np.random.default_rng(0)
    for case, spread in CASES.items():
        for n in TRAINING:
            for draw in range(DRAWS):
                rows += [{"case": case, "n": n, "draw": draw, **row} for row in one_draw(cohort, n, spread, rng)]
    return pd.DataFrame(rows)


def cut(image: Any, xy: np.ndarray, side_um: float) -> np.ndarray:
    tiles = np.empty((len(xy), INPUT_PX, INPUT_PX, 3), dtype=np.uint8)
    for rows, batch in hd.images.iter_tiles(image, xy, round(side_um / MPP), INPUT_PX):
        tiles[rows] = batch
    return tiles


def glass(image: Any, xy: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Tiles far from any spot that hold no tissue."""
    margin = TILE_UM / MPP
    places = rng.uniform(margin, np.array([image.width, image.height]) - margin, (3000, 2))
    places = places[cKDTree(xy).query(places)[0] > GLASS_UM / MPP][:400]
    tiles = cut(image, places, TILE_UM)
    return tiles[hd.images.tissue_fraction(tiles) < 0.02][:150]


def variants(section: str) -> dict[str, np.ndarray]:
    sdata = hd.datasets.her2st([section], show_progress_bar=False)
    xy = np.asarray(sdata["table"].obsm["spatial"])
    with hd.images.open_image(sdata[next(iter(sdata.images))]) as image:
        plain = cut(image, xy, TILE_UM)
        return {
            "H&E": plain,
            "inverted": 255 - plain,
            **{name: ndimage.gaussian_filter(plain, (0, sigma, sigma, 0)) for name, sigma in BLURS.items()},
            "twice the mpp": cut(image, xy, 2 * TILE_UM),
            "half the mpp": cut(image, xy, TILE_UM / 2),
            "no tissue": glass(image, xy, np.random.default_rng(0)),
        }


def embed_variants() -> dict[tuple[str, str, str], np.ndarray]:
    """From section, variant and encoder to embeddings."""
    import torch

    torch.set_num_threads(1)
    card = hd.encoders.timm_card(
        "mobilenetv2_100",
        name="mobilenetv2",
        weights=SHARED / "weights/mobilenetv2_100_keras_in1k_dequant.safetensors",
        model_kwargs={"pad_type": "same"},
        mean=[0.5] * 3,
        std=[0.5] * 3,
        input_px=INPUT_PX,
    )
    encoders = [hd.encoders.load_encoder("color_stats"), hd.encoders.load_encoder(card, device="cpu")]
    found = {}
    for section in (name for names in SECTIONS.values() for name in names):
        for variant, tiles in variants(section).items():
            found |= {(section, variant, encoder.name): encoder.encode(tiles) for encoder in encoders}
    return found


ENCODERS = {"color_stats": ("color_stats",), "mobilenetv2": ("mobilenetv2",), "both": ("color_stats", "mobilenetv2")}
Pick = Callable[[str], np.ndarray]


def splits(found: dict[tuple[str, str, str], np.ndarray], encoders: tuple[str, ...]) -> Iterator[tuple[str, Any, Pick]]:
    """Name, training embeddings, and a function from variant to test embeddings."""

    def get(sections: tuple[str, ...], variant: str) -> np.ndarray:
        blocks = [np.concatenate([found[section, variant, one] for section in sections]) for one in encoders]
        return np.hstack(blocks)

    every = sum(SECTIONS.values(), ())
    for seed in range(ROW_DRAWS):
        train = np.random.default_rng(seed).random(len(get(every, "H&E"))) < 2 / 3

        def of_rows(variant: str, train: np.ndarray = train) -> np.ndarray:
            values = get(every, variant)
            return values if variant == "no tissue" else values[~train]

        yield "other spots", get(every, "H&E")[train], of_rows
    for left in SECTIONS["C"]:
        rest = tuple(one for one in SECTIONS["C"] if one != left)
        yield "another section", get(rest, "H&E"), lambda variant, left=left: get((left,), variant)
    for one, other in (("C", "B"), ("B", "C")):
        yield "another patient", get(SECTIONS[one], "H&E"), lambda variant, other=other: get(SECTIONS[other], variant)


def measure_novelty() -> pd.DataFrame:
    found, rows = embed_variants(), []
    for name, encoders in ENCODERS.items():
        widths = [found["B4", "H&E", one].shape[1] for one in encoders]
        for split, train, pick in splits(found, encoders):
            novelty = NoveltyScore.fit(train, widths=widths)
            usual = novelty.score(pick("H&E"))
            for corruption in CORRUPTIONS:
                strange = novelty.score(pick(corruption))
                labels = np.repeat([0, 1], [len(usual), len(strange)])
                auroc = roc_auc_score(labels, np.r_[usual, strange])
                facts = {"auroc": auroc, "found": (strange > 1).mean(), "false": (usual > 1).mean()}
                rows.append({"encoder": name, "split": split, "corruption": corruption, **facts})
    table = pd.DataFrame(rows)
    return table.groupby(["encoder", "split", "corruption"], sort=False).mean().reset_index()


def measure_cost() -> dict[str, float]:
    rng = np.random.default_rng(0)
    X, groups = rng.normal(size=(13_620, 1536)).astype(np.float32), np.arange(13_620) % 8
    start = time.process_time()
    novelty = NoveltyScore.fit(X, groups=groups, widths=[512, 1024])
    fitted = time.process_time()
    novelty.score(X)
    n_bytes = sum(array.nbytes for array in novelty.arrays().values())
    return {"fit_s": fitted - start, "score_s": time.process_time() - fitted, "mb": n_bytes / 1e6}


def coverage_lines(table: pd.DataFrame) -> str:
    lines = ["| targets | training patients | intervals | " + " | ".join(f"coverage of {x:.0%}" for x in SHOWN)]
    lines[0] += " | of 90 %, richest fifth of spots | width of 90 % |"
    lines.append("|" + "---|" * (len(SHOWN) + 5))
    for (case, n, way), part in table.groupby(["case", "n", "way"], sort=False):
        cells = [case, str(n), way]
        for level in SHOWN:
            one = part.loc[part["level"] == level, "coverage"]
            cells.append(f"{one.mean():.1%} ± {one.std():.1%}")
        ninety = part[part["level"] == 0.9]
        lines.append(
            "| " + " | ".join([*cells, f"{ninety['rich'].mean():.1%}", f"{ninety['width'].mean():.2f}"]) + " |"
        )
    return "\n".join(lines)


def novelty_lines(table: pd.DataFrame) -> str:
    lines = [
        "| encoder | tested on | false alarms | " + " | ".join(CORRUPTIONS) + " |",
        "|" + "---|" * (3 + len(CORRUPTIONS)),
    ]
    for (encoder, split), part in table.groupby(["encoder", "split"], sort=False):
        by_name = part.set_index("corruption")
        cells = [f"{by_name.loc[one, 'auroc']:.3f} ({by_name.loc[one, 'found']:.0%})" for one in CORRUPTIONS]
        lines.append("| " + " | ".join([encoder, split, f"{part['false'].iloc[0]:.1%}", *cells]) + " |")
    return "\n".join(lines)


def draw(coverage: pd.DataFrame, novelty: pd.DataFrame) -> None:
    mpl.use("agg")
    import matplotlib.pyplot as plt

    colors = ("#0072B2", "#E69F00", "#009E73", "#CC79A7")
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained", width_ratios=(1, 1.5))
    left.plot([0.45, 1], [0.45, 1], color="0.6", linewidth=0.8)
    left.fill_between([0.45, 1], [0.42, 0.97], [0.48, 1.03], color="0.92", label="± 3 points")
    ours = coverage[coverage["way"] == "histodecon"]
    for color, n in zip(colors[: len(TRAINING)], TRAINING, strict=True):
        for case, style in zip(CASES, ("-", "--"), strict=True):
            mean = ours[(ours["n"] == n) & (ours["case"] == case)].groupby("level")["coverage"].mean()
            label = f"{n} patients, {case}" if style == "-" else f"{n}, times a factor"
            left.plot(mean.index, mean, style, marker="o", markersize=3, color=color, label=label)
    left.set(xlim=(0.45, 1), ylim=(0.45, 1), xlabel="nominal coverage", ylabel="coverage in patients that nobody saw")
    left.legend(frameon=False, fontsize=7.5)
    shown = [("other spots", 1.0), ("another patient", 0.45)]
    at = np.arange(len(CORRUPTIONS))
    for i, (encoder, color) in enumerate(zip(ENCODERS, colors[: len(ENCODERS)], strict=True)):
        for split, alpha in shown:
            part = novelty[(novelty["encoder"] == encoder) & (novelty["split"] == split)].set_index("corruption")
            x = at + (i - 1) * 0.26 + (0 if alpha == 1 else 0.1)
            width = 0.12
            label = f"{encoder}, {split}"
            right.bar(x, part.loc[list(CORRUPTIONS), "auroc"], width, color=color, alpha=alpha, label=label)
    right.axhline(AIM, color="0.3", linestyle="--", linewidth=0.8)
    right.set_xticks(at + 0.05, [name.replace(" ", "\n", 1) for name in CORRUPTIONS])
    right.set(ylim=(0.5, 1.0), ylabel="AUROC against H&E")
    right.legend(frameon=False, fontsize=7.5, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    for ax in (left, right):
        ax.spines[["top", "right"]].set_visible(False)
    figure.savefig(RESULTS / "trust.png", dpi=130)


TEXT = """# When to trust: intervals and novelty

Made by `python benchmarks/trust.py`. What the words mean is told in *When to trust*.

![Coverage of intervals in new patients; AUROC of novelty](trust.png)

## Intervals in patients that nobody saw

{patients} patients are drawn (`datasets.toy_slide`, encoder color_stats, {spots} spots). A ridge is trained and calibrated on some of them
and looks at all others; every number is a mean over cell types, patients and {draws} draws of the training patients, ± its standard
deviation over draws. *Plain quantile* is one quantile of the absolute errors of all held-out spots. *Targets times a factor*: the targets of
each patient are multiplied by a factor of its own ({factor:g} standard deviations of its logarithm), as measurements of different
patients may be, which no picture can tell. Width is relative to the spread of the cell type.

{coverage}

Largest distance of *histodecon* from nominal over {levels} and all rows: **{worst:.1f} points** (aim: 3).
Relative errors make intervals narrower where there is little of a type and wider where there is much: the richest fifth of the
spots, which matter most, is hardly covered by intervals of equal width.

## Novelty of real tiles

Tiles of the sections B4, C2, C3 and C4 of her2st, {tile:g} µm, against the same places inverted, blurred (Gaussian of 4 pixels or 2 µm;
slightly: half of it), cut at twice or half the µm per pixel, and places without tissue. AUROC of `NoveltyScore`, in brackets the
share beyond the limit that 1 % of the held-out training spots exceed. *Other spots*: two thirds of all spots are learned
from, mean of {row_draws} draws.
*Another section*: of the same patient, mean of three. *Another patient*: one patient is learned from, the other is looked at, mean of both
ways; the H&E of a patient who looks different is strange, too, so false alarms are many and AUROC is of the strange against the half strange.
With two or more patients the limit comes from patients left out and holds for new ones (tests measure that on drawn data).
That columns are described by five quantiles (of 5, 7, 9 and 17) and distances are joined by their root mean square was chosen on these tiles,
so the numbers of these encoders flatter the score a little.

{novelty}

{verdict}

## What it costs

Of {n_rows} spots × 1,536 columns of two encoders and 8 patients: {fit_s:.1f} CPU s to learn (of at most 2,000 rows), {score_s:.1f} CPU s to score all,
{mb:.1f} MB in the model file. Calibration trains the learner once more for each patient.
"""


def verdict(table: pd.DataFrame) -> str:
    held = table[(table["split"] == "other spots") & (table["corruption"] != "slightly blurred")]
    missed = table[(table["auroc"] < AIM) & (table["corruption"] != "slightly blurred")]
    texts = [
        f"On other spots every strong corruption has an AUROC of at least **{held['auroc'].min():.3f}** (aim: {AIM})."
    ]
    if len(missed):
        names = [f"{row.encoder} on {row.split}: {row.corruption} {row.auroc:.3f}" for row in missed.itertuples()]
        texts.append(f"Below the aim are {'; '.join(names)}.")
    slight = table[table["corruption"] == "slightly blurred"]["auroc"]
    texts.append(
        f"Slight blur, which hardly changes what the encoder sees, has {slight.min():.2f} to {slight.max():.2f}."
    )
    return "\n".join(texts)


def main() -> None:
    warnings.simplefilter("ignore", hd.HistodeconWarning)
    os.environ["HISTODECON_SHARED"] = str(SHARED)
    cost = measure_cost()
    cohort = toy_patients()
    coverage = measure_coverage(cohort)
    novelty = measure_novelty()
    draw(coverage, novelty)
    ours = coverage[coverage["way"] == "histodecon"].groupby(["case", "n", "level"])["coverage"].mean()
    worst = 100 * float(np.abs(ours - ours.index.get_level_values("level")).max())
    text = TEXT.format(
        patients=N_SEEDS * PER_SEED,
        spots=f"{len(cohort[0]):,}",
        draws=DRAWS,
        factor=FACTOR_SD,
        coverage=coverage_lines(coverage),
        levels=", ".join(f"{level:.0%}" for level in LEVELS),
        worst=worst,
        tile=TILE_UM,
        row_draws=ROW_DRAWS,
        novelty=novelty_lines(novelty),
        verdict=verdict(novelty),
        n_rows="13,620",
        **cost,
    )
    (RESULTS / "trust.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
