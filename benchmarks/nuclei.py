"""Types of single nuclei, learned from the abundances of spots: on drawn tissue, where the truth is known, and on real tissue.

python benchmarks/nuclei.py toy        # a quarter of an hour on one core
python benchmarks/nuclei.py her2st     # needs the folder of her2st, HISTODECON_SHARED
python benchmarks/nuclei.py page       # writes docs/results/nuclei.md of both
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import histodecon as hd

RESULTS = Path(__file__).parents[1] / "docs" / "results"
RAW = RESULTS / "nuclei.json"
SIZES_UM = (16.0, 24.0, 32.0)
SHOWN = ("P4", 16.0)


def note(**facts: Any) -> None:
    known = json.loads(RAW.read_text()) if RAW.exists() else {}
    RAW.write_text(json.dumps({**known, **facts}, indent=1) + "\n")


def frame(adata: Any, key: str) -> Any:
    """A table of cell types under their real names."""
    return hd.get.abundance(adata, layers={"own": key}).to_df()


def true_types(sdata: Any, nuclei: Any) -> np.ndarray:
    """Type of each row: that of the drawn nucleus it is, or of the nearest within 4 µm, else ''."""
    from scipy.spatial import cKDTree

    out = np.full(nuclei.n_obs, "", dtype=object)
    for library in nuclei.obs["library_id"].unique():
        rows = np.flatnonzero(nuclei.obs["library_id"] == library)
        drawn = sdata[f"{library}_nuclei"]
        xy = np.stack([drawn.geometry.centroid.x, drawn.geometry.centroid.y], axis=1)
        distance, nearest = cKDTree(xy).query(nuclei.obsm["spatial"][rows])
        found = drawn["cell_type"].to_numpy().astype(object)[nearest]
        out[rows] = np.where(distance * 0.5 < 4.0, found, "")
    return out


def macro_f1(truth: np.ndarray, said: np.ndarray) -> float:
    from sklearn.metrics import f1_score

    known = truth != ""
    return float(f1_score(truth[known], said[known], average="macro"))


def fold(sdata: Any, nuclei: Any, truth: np.ndarray, patient: str) -> dict[str, Any]:
    """Learn from the spots of the other patients, type the nuclei of this one."""
    from sklearn.linear_model import LogisticRegression

    spots, out = sdata["table"], (nuclei.obs["patient"] == patient).to_numpy()
    train, test = nuclei[~out].copy(), nuclei[out].copy()
    hd.tl.set_targets(train, spots, by="spot")
    start = time.perf_counter()
    model = hd.tl.train_regressor(train, use_rep="X_color_stats", learner="nuclei", show_progress_bar=False)
    seconds = time.perf_counter() - start
    hd.tl.predict_abundance(test, model)
    scores = frame(test, "predicted_abundance")
    types, values = scores.columns.to_numpy().astype(object), scores.to_numpy()
    own = spots[(spots.obs["patient"] == patient).to_numpy()].copy()
    hd.tl.sum_nuclei(test, own)
    sums, measured = frame(own, "predicted_abundance")[types], frame(spots, "true_abundance")[types]
    inside = test.obs["spot"].astype(str).to_numpy()
    common = measured.loc[inside].to_numpy().argmax(axis=1)
    X = nuclei.obsm["X_color_stats"]
    center, spread = X[~out].mean(axis=0), X[~out].std(axis=0) + 1e-6
    known = (truth != "") & ~out
    taught = LogisticRegression(max_iter=300, C=0.1).fit(((X - center) / spread)[known], truth[known].astype(str))
    said = types[values.argmax(axis=1)]
    test.obs["said"], test.obs["truth"] = said, truth[out]
    return {
        "table": test,
        "types": types,
        "facts": {
            "patient": patient,
            "f1": macro_f1(truth[out], said),
            "f1_common": macro_f1(truth[out], types[common]),
            "f1_taught": macro_f1(truth[out], taught.predict(((X - center) / spread)[out]).astype(object)),
            "lost": float(abs(values.sum() - sums.to_numpy().sum()) / values.sum()),
            "cc": float(np.nanmean([np.corrcoef(sums[t], measured.loc[own.obs_names, t])[0, 1] for t in types])),
            "n": int(out.sum()),
            "seconds": seconds,
        },
    }


def toy() -> None:
    sdata = hd.datasets.toy_slide(n_patients=4, mpp=0.5, nuclei=True)
    hd.tl.set_targets(sdata["table"], "true_abundance")
    rows: list[dict[str, Any]] = []
    ways = [("drawn", size) for size in SIZES_UM] + [("segmented", SIZES_UM[0])]
    for way, size in ways:
        nuclei = "{library_id}_nuclei" if way == "drawn" else "segment"
        start = time.perf_counter()
        hd.pp.embed_nuclei(
            sdata, "color_stats", nuclei=nuclei, size_um=size, only_in_spots=True, nuclei_key="own", cache_dir=False,
            show_progress_bar=False,
        )  # fmt: skip
        seconds = time.perf_counter() - start
        table = sdata["own"]
        truth = true_types(sdata, table)
        for patient in ("P1", "P2", "P3", "P4"):
            done = fold(sdata, table, truth, patient)
            rows.append({"nuclei": way, "size_um": size, "embed_seconds": seconds, **done["facts"]})
            print(rows[-1], flush=True)
            if (way, patient, size) == ("drawn", *SHOWN):
                draw(sdata, done)
        note(toy=rows)


def draw(sdata: Any, done: dict[str, Any]) -> None:
    """The patient left out: what was drawn, what was said, and who is taken for whom."""
    import matplotlib.pyplot as plt
    from matplotlib.collections import PolyCollection
    from sklearn.metrics import confusion_matrix

    test, types = done["table"], done["types"]
    library = str(test.obs["library_id"].iloc[0])
    image = np.moveaxis(sdata[f"{library}_image"].values, 0, 2)
    outlines = sdata[f"{library}_nuclei"].geometry
    rings = [np.asarray(outlines.loc[i].exterior.coords) for i in test.obs["nucleus_id"]]
    xy = test.obsm["spatial"]
    counts = test.obs["spot"].astype(str).value_counts()
    mixed = test.obs.groupby(test.obs["spot"].astype(str))["truth"].nunique().loc[counts.index]
    name = (mixed * 100 + counts).idxmax()
    middle = xy[(test.obs["spot"] == name).to_numpy()].mean(axis=0)
    half = 290.0
    colors = dict(zip(types, ["#d1495b", "#2e86ab", "#111111", "#7b2cbf", "#e9a03b", "#2a9d4f"], strict=True))
    fig, axes = plt.subplots(1, 3, figsize=(15.5, 5), width_ratios=[1, 1, 1.05], layout="constrained")
    for ax, column, title in zip(
        axes[:2], ("truth", "said"), ("as drawn", "learned from the sums over spots"), strict=True
    ):
        ax.imshow(image, alpha=0.55)
        edges = [colors.get(kind, "#999999") for kind in test.obs[column]]
        ax.add_collection(PolyCollection(rings, facecolors=edges, edgecolors="white", linewidths=0.4, alpha=0.9))
        for center in sdata["table"].obsm["spatial"][(sdata["table"].obs["library_id"] == library).to_numpy()]:
            ax.add_patch(plt.Circle(center, 65, fill=False, color="0.35", lw=0.8))
        ax.set(xlim=(middle[0] - half, middle[0] + half), ylim=(middle[1] + half, middle[1] - half), title=title)
        ax.set_axis_off()
    handles = [plt.Line2D([], [], marker="o", ls="", color=color, label=kind) for kind, color in colors.items()]
    axes[0].legend(handles=handles, loc="lower left", fontsize=8, framealpha=0.9)
    axes[0].plot([middle[0] + half - 120, middle[0] + half - 20], [middle[1] + half - 15] * 2, color="black", lw=3)
    axes[0].text(middle[0] + half - 70, middle[1] + half - 25, "50 µm", ha="center", fontsize=9)
    table = confusion_matrix(
        test.obs["truth"].astype(str), test.obs["said"].astype(str), labels=types, normalize="true"
    )
    axes[2].imshow(table, cmap="Blues", vmin=0, vmax=1)
    for i, j in np.ndindex(table.shape):
        if table[i, j] >= 0.005:
            axes[2].text(
                j,
                i,
                f"{100 * table[i, j]:.0f}",
                ha="center",
                va="center",
                color="white" if table[i, j] > 0.5 else "black",
            )
    axes[2].set_xticks(range(len(types)), types, rotation=35, ha="right")
    axes[2].set_yticks(range(len(types)), types)
    axes[2].set(xlabel="said", ylabel="drawn", title=f"of 100 drawn nuclei, macro-F1 {done['facts']['f1']:.2f}")
    fig.savefig(RESULTS / "nuclei.png", dpi=75)
    plt.close(fig)


def main() -> None:
    {"toy": toy}[sys.argv[1]]()


if __name__ == "__main__":
    main()
