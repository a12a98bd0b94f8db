"""Do adapted embeddings read cell types better on patients never seen? Writes docs/results/adapters.md.

    HISTODECON_SHARED=../shared/data python benchmarks/adapters.py          # or only some parts: plant, slides, her2st

Three kinds of data: embeddings with a planted stain, drawn slides that were stained anew, and her2st. Adapters are fitted for each patient
left out, on the others.
"""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import anndata as ad
import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from paper._cohort import TILE_PX, mobilenet
from planted_stain import planted

import histodecon as hd
from histodecon import stats
from histodecon._core import FallbackWarning, read_table, write_embedding
from histodecon.datasets._toy_stain import BLOOD, EOSIN, HEMATOXYLIN
from histodecon.models import AbundanceRegressor

REPORT = ROOT / "docs" / "results" / "adapters.md"
NUMBERS = REPORT.with_suffix(".json")
METHODS = ("as it is", "seal", "batch_free")
DYES = np.array([HEMATOXYLIN, EOSIN, BLOOD])
STRENGTHS = {"as drawn": 0.0, "stained anew": 2.0}
N_PATIENTS, SIDE = 4, 10
SECTIONS = ("B4", "C2", "C3")
SPLITS = {"C2, C3 → B4": (("C2", "C3"), ("B4",)), "B4 → C2, C3": (("B4",), ("C2", "C3"))}

Folds = Sequence[tuple[str, np.ndarray]]


def embedded_plant(stain: float) -> ad.AnnData:
    """The plant of the tests as a table."""
    X, cells, counts, patients = planted(stain, n_patients=8)
    adata = ad.AnnData(counts.astype(np.float32))
    adata.obs_names = [f"spot_{i}" for i in range(len(X))]
    adata.obs["patient"] = patients
    write_embedding(adata, "X_planted", X, {"encoder": "planted", "fingerprint": f"planted-{stain}"})
    hd.tl.set_targets(adata, pd.DataFrame(cells, index=adata.obs_names, columns=list("abcd")), kind="abundance")
    return adata


def drawn(strength: float) -> ad.AnnData:
    """Drawn slides whose stains are unmixed and mixed anew with hue, strength and lamp of their own."""
    sdata = hd.datasets.toy_slide(n_patients=N_PATIENTS, n_rows=SIDE, n_cols=SIDE)
    for patient in range(1, N_PATIENTS + 1):
        image = sdata.images[f"toy_{patient}_image"]
        pixels = np.moveaxis(np.asarray(image.data), 0, -1)
        if strength:
            image.data = np.ascontiguousarray(np.moveaxis(restain(pixels, patient, strength), -1, 0))
    hd.pp.tile_spots(sdata)
    hd.pp.embed_tiles(sdata, "color_stats", show_progress_bar=False)
    table = sdata["table"]
    hd.tl.set_targets(table, "true_abundance")
    return table


def restain(pixels: np.ndarray, seed: int, strength: float) -> np.ndarray:
    """Unmix by the nominal dyes, mix by others."""
    rng = np.random.default_rng(seed)
    density = -np.log(np.clip(pixels.astype(np.float32), 1, 255) / 245)
    amounts = density.reshape(-1, 3) @ np.linalg.pinv(DYES / np.linalg.norm(DYES, axis=1, keepdims=True))
    dyes = np.clip(DYES + rng.normal(0, 0.1 * strength, DYES.shape), 0.02, None)
    dyes *= np.exp(rng.normal(0, 0.3 * strength, (3, 1))) / np.linalg.norm(dyes, axis=1, keepdims=True)
    light = (245 + rng.normal(0, 4 * strength, 3)) * np.exp(-amounts @ dyes)
    return np.clip(light + 0.5, 0, 255).astype(np.uint8).reshape(pixels.shape)


def her2st(data: Path) -> ad.AnnData:
    """Three sections with genes, MobileNetV2 and the Stereoscope proportions."""
    parts = []
    for section in SECTIONS:
        sdata = hd.datasets.her2st([section], show_progress_bar=False)
        hd.pp.tile_spots(sdata, size_px=TILE_PX)
        hd.pp.embed_tiles(sdata, mobilenet(data), device="cpu", show_progress_bar=False)
        table = sdata["table"]
        table.obs_names = [f"{name}-{section}" for name in table.obs_names]
        table.obs["section"] = section
        table.uns.pop("spatial", None)
        parts.append(table)
    adata = hd.concat(parts)
    hd.tl.set_targets(adata, "stereoscope")
    return adata


def scores(
    adata: ad.AnnData,
    use_rep: str,
    groupby: str,
    folds: Folds,
    learners: Sequence[str] = ("ridge",),
) -> pd.DataFrame:
    """CC of learners on the groups left out, with the embedding as it is and adapted on the others."""
    labels, Y = adata.obs[groupby].astype(str).to_numpy(), read_table(adata, "cell_abundance").to_numpy()
    measured, rows = np.isfinite(Y).all(axis=1), []
    for name, test in folds:
        train = ~test & measured
        for method in METHODS:
            start, key, epochs = time.process_time(), use_rep, 0
            if method != "as it is":
                key = f"{use_rep}_{method}"
                adapter = hd.pp.adapt_embedding(
                    adata,
                    use_rep=use_rep,
                    method=method,
                    groupby=groupby,
                    leave_out=sorted(set(labels[~train & measured])),
                    device="cpu",
                    show_progress_bar=False,
                )
                epochs = adapter.history_["trained_epochs"]
            seconds, X = time.process_time() - start, adata.obsm[key]
            found = {}
            for learner in learners:
                model = AbundanceRegressor(learner, random_state=0, device="cpu")
                model.fit(X[train], Y[train], groups=labels[train])
                seen = test & measured
                found[learner] = float(np.nanmean(stats.pearson_per_type(Y[seen], model.predict(X[seen]))))
            rows.append({"fold": name, "embedding": method, "epochs": epochs, "seconds": seconds, **found})
            sys.stdout.write(f"{rows[-1]}\n")
            sys.stdout.flush()
    return pd.DataFrame(rows)


def of_patients(adata: ad.AnnData, use_rep: str, every: int = 1) -> pd.DataFrame:
    """Each patient, or every second one, left out; defaults."""
    labels = adata.obs["patient"].astype(str).to_numpy()
    left = sorted(set(labels))[::every]
    return scores(adata, use_rep, "patient", [(patient, labels == patient) for patient in left])


def over_patients(tables: dict[str, pd.DataFrame]) -> str:
    """Means over the patients left out."""
    lines = [
        "| stain | embedding | ridge | gain | least and most | identity in | seconds |\n|---|---|---|---|---|---|---|"
    ]
    for stain, table in tables.items():
        before = table[table["embedding"] == METHODS[0]].set_index("fold")["ridge"]
        for method, part in table.groupby("embedding", sort=False):
            own = part.set_index("fold").loc[before.index]
            gain = own["ridge"] - before
            kept = "–" if method == METHODS[0] else f"{int((own['epochs'] == 0).sum())} of {len(own)}"
            spread = f"{gain.min():+.3f} to {gain.max():+.3f}"
            cells = [f"{own['ridge'].mean():.3f}", f"{gain.mean():+.3f}", spread, kept, f"{own['seconds'].mean():.0f}"]
            lines.append(f"| {stain} | {method} | {' | '.join(cells)} |")
    return "\n".join(lines)


def by_split(table: pd.DataFrame) -> str:
    """One row a split and embedding."""
    lines = [
        "| split | embedding | ridge | gain | mlp | gain | trained epochs | seconds |\n|---|---|---|---|---|---|---|---|"
    ]
    before = table[table["embedding"] == METHODS[0]].set_index("fold")
    for row in table.to_dict("records"):
        gains = {learner: row[learner] - before.loc[row["fold"], learner] for learner in ("ridge", "mlp")}
        cells = [f"{row['ridge']:.3f}", f"{gains['ridge']:+.3f}", f"{row['mlp']:.3f}", f"{gains['mlp']:+.3f}"]
        lines.append(
            f"| {row['fold']} | {row['embedding']} | {' | '.join(cells)} | {row['epochs']} | {row['seconds']:.0f} |"
        )
    return "\n".join(lines)


def page(parts: dict[str, list[dict[str, object]]]) -> str:
    """Write what was measured; parts that were not run are left out."""
    found = {name: pd.DataFrame(rows) for name, rows in parts.items()}
    gate = hd.encoders.get_adapter("seal").defaults["min_gain"]
    lines = [
        f"""# Adapted embeddings

```bash
HISTODECON_SHARED=../shared/data python benchmarks/adapters.py
```

{{doc}}`../adapters` says what the adapters do. Here each is fitted with its defaults on the genes of all patients but the one left out;
then a learner learns from the same patients and reads the one left out. *Identity in* counts the fits whose held-in patients showed no
gain above {gate:g}, the default of `min_gain`, so that the embedding stayed as it was. CC is the mean over cell types; seconds are CPU
seconds of one fit on a busy machine.
"""
    ]
    if "plant" in found:
        lines.append(f"""## A stain planted in the embedding

Eight patients whose stain turns the features of one cell type toward those of another, by an angle of up to 1 radian, with six columns that
show the stain (`tests/planted_stain.py`). No linear map reads all patients. Patients 1, 4 and 7 are left out once each.

{over_patients(dict(iter(found["plant"].groupby("stain", sort=False))))}
""")
    if "slides" in found:
        lines.append(f"""## Drawn slides, stained anew

{N_PATIENTS} patients of `datasets.toy_slide`, `color_stats`. Stains are unmixed and mixed anew with hues, strengths and lamp drawn for each
patient.

{over_patients(dict(iter(found["slides"].groupby("stain", sort=False))))}
""")
    if "her2st" in found:
        lines.append(f"""## her2st

Sections B4, C2 and C3, MobileNetV2, Stereoscope proportions, 500 genes. Groups are sections; with one training section random spots are held
in instead.

{by_split(found["her2st"])}
""")
    return "\n".join(lines)


def plant() -> pd.DataFrame:
    stains = {"none": 0.0, "planted": 1.0}
    return pd.concat(
        [of_patients(embedded_plant(value), "X_planted", every=3).assign(stain=name) for name, value in stains.items()]
    )


def slides() -> pd.DataFrame:
    return pd.concat(
        [of_patients(drawn(value), "X_color_stats").assign(stain=name) for name, value in STRENGTHS.items()]
    )


def real() -> pd.DataFrame:
    cohort = her2st(Path(os.environ["HISTODECON_SHARED"]))
    section = cohort.obs["section"].astype(str).to_numpy()
    rows = []
    for name, (train, test) in SPLITS.items():
        part = cohort[np.isin(section, [*train, *test])].copy()
        own = part.obs["section"].astype(str).to_numpy()
        rows.append(scores(part, "X_mobilenetv2", "section", [(name, np.isin(own, test))], ("ridge", "mlp")))
    return pd.concat(rows)


def main() -> None:
    os.environ.setdefault("HISTODECON_SHARED", str(ROOT.parent / "shared" / "data"))
    warnings.simplefilter("ignore", FallbackWarning)
    known = json.loads(NUMBERS.read_text(encoding="utf-8")) if NUMBERS.exists() else {}
    for name, run in {"plant": plant, "her2st": real, "slides": slides}.items():
        if not sys.argv[1:] or name in sys.argv[1:]:
            known[name] = run().to_dict("records")
            NUMBERS.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
            REPORT.write_text(page(known), encoding="utf-8")


if __name__ == "__main__":
    main()
