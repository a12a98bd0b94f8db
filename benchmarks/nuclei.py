"""Types of single nuclei, learned from the abundances of spots: on drawn tissue, where the truth is known, and on real tissue.

python benchmarks/nuclei.py toy        # ten minutes on one core
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
WAYS = (("drawn", 8.0), ("drawn", 12.0), ("drawn", 16.0), ("drawn", 24.0), ("drawn", 32.0), ("segmented", 16.0))
SHOWN = ("P4", 16.0)


def noted(name: str, default: Any) -> Any:
    """What an earlier run left; delete docs/results/nuclei.json to begin anew."""
    return json.loads(RAW.read_text()).get(name, default) if RAW.exists() else default


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
    rows = noted("toy", [])
    done_before = {(row["nuclei"], row["size_um"]) for row in rows}
    for way, size in [way for way in WAYS if way not in done_before]:
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


def keep(fig: Any, name: str, dpi: int) -> None:
    """Save a figure."""
    import matplotlib.pyplot as plt
    from PIL import Image

    fig.savefig(RESULTS / name, dpi=dpi, bbox_inches="tight")
    plt.close(fig)
    with Image.open(RESULTS / name) as picture:
        plain = picture.convert("RGB")  # not 256 colors: those of the tissue would take the places of the cell types'
    plain.save(RESULTS / name, optimize=True)


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
    colors = dict(zip(types, ["#D4241E", "#0050D8", "#111111", "#A020F0", "#FFB000", "#00A03C"], strict=True))
    fig, axes = plt.subplots(1, 3, figsize=(15, 5.6), width_ratios=[1, 1, 0.9], layout="constrained")
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
    fig.legend(handles=handles, loc="lower left", bbox_to_anchor=(0.02, 0.0), ncols=6, fontsize=9, frameon=False)
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
    keep(fig, "nuclei.png", 60)


SECTIONS = ("B4", "C2")
SPLITS = {"B4 → C2": (("B4",), ("C2",)), "C2 → B4": (("C2",), ("B4",))}
CROP_UM = 24.0


def section(name: str) -> tuple[Any, Any, dict[str, Any]]:
    """Spots with tiles, nuclei with crops, and what it took; one image in memory at a time."""
    sdata = hd.datasets.her2st([name], show_progress_bar=False)
    spots = sdata["table"]
    spots.obs_names = [f"{spot}-{name}" for spot in spots.obs_names]
    hd.tl.set_targets(spots, "stereoscope")
    hd.pp.tile_spots(sdata)
    hd.pp.embed_tiles(sdata, "color_stats", cache_dir=False, show_progress_bar=False)
    print(name, "tiles", flush=True)
    start = time.perf_counter()
    hd.pp.embed_nuclei(
        sdata, "color_stats", nuclei="segment", size_um=CROP_UM, only_in_spots=True, cache_dir=False,
        show_progress_bar=False,
    )  # fmt: skip
    nuclei = sdata["nuclei"]
    print(name, "embedded", flush=True)
    facts = {"seconds": time.perf_counter() - start, "n_nuclei": nuclei.n_obs, "n_spots": spots.n_obs}
    if name == "B4":
        outline(sdata)
    for table in (spots, nuclei):
        table.uns.pop("spatial", None)
    print(name, facts, flush=True)
    return spots, nuclei, facts


def outline(sdata: Any) -> None:
    """What the segmentation finds, in two places of B4."""
    import matplotlib.pyplot as plt
    from matplotlib.collections import PolyCollection

    rings = [np.asarray(one.exterior.coords) for one in sdata["B4_nuclei"].geometry]
    middles = np.array([ring.mean(axis=0) for ring in rings])
    fig, axes = plt.subplots(1, 2, figsize=(13, 6.6), layout="constrained")
    spots = sdata["table"].obsm["spatial"]
    dense = sdata["nuclei"].obs["spot"].astype(str).value_counts()
    for ax, spot in zip(axes, (dense.index[int(0.1 * len(dense))], dense.index[int(0.6 * len(dense))]), strict=True):
        x, y = spots[sdata["table"].obs_names.get_loc(spot)]
        half = 130
        x0, y0 = int(x) - half, int(y) - half
        pixels = sdata["B4_image"].values[:, y0 : y0 + 2 * half, x0 : x0 + 2 * half]
        ax.imshow(np.moveaxis(pixels, 0, 2), extent=(x0, x0 + 2 * half, y0 + 2 * half, y0))
        near = np.abs(middles - [x, y]).max(axis=1) < half
        ax.add_collection(
            PolyCollection([rings[i] for i in np.flatnonzero(near)], facecolor="none", edgecolor="#ffe14d", lw=1.1)
        )
        ax.add_patch(plt.Circle((x, y), 50 / 0.6876, fill=False, color="white", lw=1.5))
        ax.plot([x0 + 15, x0 + 15 + 50 / 0.6876], [y0 + 2 * half - 15] * 2, color="white", lw=4)
        ax.text(x0 + 15 + 25 / 0.6876, y0 + 2 * half - 21, "50 µm", ha="center", color="white", fontsize=11)
        ax.set(xlim=(x0, x0 + 2 * half), ylim=(y0 + 2 * half, y0))
        ax.set_axis_off()
    keep(fig, "nuclei_her2st.png", 65)


def mean_cc(truth: Any, predicted: Any) -> float:
    """Mean over the types of the Pearson correlation over the spots of one section."""
    return float(np.nanmean([np.corrcoef(truth[name], predicted[name])[0, 1] for name in truth]))


def joined(tables: list[Any]) -> Any:
    return hd.concat(tables) if len(tables) > 1 else tables[0].copy()


def shares(table: Any) -> Any:
    return table.div(table.sum(axis=1).where(table.sum(axis=1) > 0, 1.0), axis=0)


def her2st() -> None:
    """Stereoscope's proportions times the nuclei of each spot are the sums to learn."""
    found = {name: section(name) for name in SECTIONS}
    rows = []
    for split, (learned, tested) in SPLITS.items():
        spots, nuclei = (joined([found[name][i] for name in learned]) for i in (0, 1))
        counts = nuclei.obs["spot"].astype(str).value_counts()
        own = frame(spots, "cell_abundance").dropna()
        own = own.loc[own.index.intersection(counts.index)]
        hd.tl.set_targets(nuclei, own.mul(counts.loc[own.index], axis=0), by="spot", kind="abundance")
        start = time.perf_counter()
        how = {"show_progress_bar": False, "groupby": None}
        model = hd.tl.train_regressor(nuclei, use_rep="X_color_stats", learner="nuclei", **how)
        seconds = time.perf_counter() - start
        ridge = hd.tl.train_regressor(spots, use_rep="X_color_stats", learner="ridge", **how)
        for name in tested:
            test, single = found[name][0].copy(), found[name][1].copy()
            hd.tl.predict_abundance(test, ridge, key_added="ridge")
            hd.tl.predict_abundance(single, model)
            hd.tl.sum_nuclei(single, test)
            truth = frame(test, "cell_abundance")
            known = truth.notna().all(axis=1) & truth.index.isin(single.obs["spot"].astype(str))
            sums = shares(frame(test, "predicted_abundance")[truth.columns])
            row = {"split": split, "section": name, "n_spots": int(known.sum()), "seconds": seconds}
            row |= {"nuclei": mean_cc(truth[known], sums[known])}
            row |= {"ridge": mean_cc(truth[known], frame(test, "ridge")[truth.columns][known])}
            rows.append(row)
            print(row, flush=True)
    note(her2st=rows, sections={name: facts for name, (_, _, facts) in found.items()})


SEGMENTED = """ *Segmented* nuclei are those that
`"segment"` found; those that no drawn nucleus is within 4 µm of are not scored."""
LARGER = """

Larger crops show more neighbors and less of the nucleus: `color_stats` averages over the crop and does not know what is in its middle. For
this encoder the default of `pp.embed_nuclei`, 24 µm, is too large. With other encoders and on real tissue, sizes were not compared.
The CC of the sums hardly tells the sizes apart: sums over spots can be right though many nuclei are not."""
REAL = """## Real tissue

Two sections of two patients of her2st, nuclei by `"segment"`, crops of 24 µm, `color_stats`: {{sections}}.

![Outlines of nuclei in two places of section B4](nuclei_her2st.png)

Two spots of B4. Scattered nuclei are mostly found; crowded ones become pieces of one to three nuclei, some with
straight edges; pale and blurred ones are missed.

Stereoscope's proportions times the nuclei of a spot are what is learned; the sums are compared as proportions. CC over the spots with nuclei of the
section that was left out, mean of 8 types, beside ridge on the `color_stats` of whole tiles (112 µm) of the same spots.

| split | section | spots | `nuclei`, summed | `ridge` on tiles |
|---|---|---|---|---|
{{rows}}

Read it with care: two sections, one seed, a crude segmentation, and one weak encoder on both sides; crops and tiles show it different things. It says
that sums over nuclei are no worse here than a linear reading of tiles, not that they are better than a strong encoder of tiles, whose CC on such
splits stands in {doc}`learners`. Nobody knows the types of these nuclei, so that nothing is said about single ones.
"""
PAGE = """# Single nuclei

```bash
python benchmarks/nuclei.py toy
HISTODECON_SHARED=../shared/data python benchmarks/nuclei.py her2st
python benchmarks/nuclei.py page
```

What the learner `nuclei` is told are the abundances of spots; what it says are the types of nuclei. See {doc}`../howto_nuclei`.

## Drawn tissue, where each nucleus is known

Four patients of `datasets.toy_slide`, each left out once: {{n}} nuclei in spots, crops embedded by `color_stats`.

![Nuclei of a patient left out, as drawn and as typed; who is taken for whom](nuclei.png)

Macro-F1 of the largest type of each nucleus. *Told each nucleus* is a logistic regression that was trained on the true types of all nuclei
of the other patients, which nobody has on real tissue: what the crops hold. *Commonest of its spot* gives every nucleus the type
that is most abundant in its spot, as measured. CC is that of sums over spots with the counted cells.

| nuclei | crop, µm | sums over spots | told each nucleus | commonest of its spot | CC of the sums | seconds to train |
|---|---|---|---|---|---|---|
{{toy}}

At 16 µm F1 lies between {{low}} and {{high}} in the four patients. Sums over spots lose nothing: at most {{lost}} of the total.{{more}}

{{real}}
"""


def page() -> None:
    """Write the page of what was noted."""
    import pandas as pd

    toy_rows = pd.DataFrame(noted("toy", []))
    columns = ["f1", "f1_taught", "f1_common", "cc", "seconds", "embed_seconds", "n"]
    means = toy_rows.groupby(["nuclei", "size_um"])[columns].mean()
    lines = [
        f"| {way} | {size:g} | {row.f1:.2f} | {row.f1_taught:.2f} | {row.f1_common:.2f} | {row.cc:.2f} | {row.seconds:.0f} |"
        for (way, size), row in means.iterrows()
    ]
    rows = [
        f"| {row['split']} | {row['section']} | {row['n_spots']} | {row['nuclei']:.3f} | {row['ridge']:.3f} |"
        for row in noted("her2st", [])
    ]
    sections = [
        f"{name} {facts['n_nuclei']} nuclei in {facts['n_spots']} spots"
        for name, facts in noted("sections", {}).items()
    ]
    real = REAL.replace("{{rows}}", "\n".join(rows)).replace("{{sections}}", ", ".join(sections)) if rows else ""
    ways = set(toy_rows["nuclei"])
    more = (SEGMENTED if "segmented" in ways else "") + (LARGER if toy_rows["size_um"].nunique() > 1 else "")
    best = toy_rows[(toy_rows["nuclei"] == "drawn") & (toy_rows["size_um"] == SHOWN[1])]
    facts = {
        "toy": "\n".join(lines),
        "real": real,
        "more": more,
        "lost": f"{toy_rows['lost'].max():.0e}",
        "low": f"{best['f1'].min():.2f}",
        "high": f"{best['f1'].max():.2f}",
        "n": str(int(best["n"].sum())),
    }
    text = PAGE
    for name, value in facts.items():
        text = text.replace("{{" + name + "}}", value)
    (RESULTS / "nuclei.md").write_text(text.rstrip() + "\n")


def main() -> None:
    {"toy": toy, "her2st": her2st, "page": page}[sys.argv[1]]()


if __name__ == "__main__":
    main()
