"""Colocalization maps of her2st: measured beside predicted from the other patient; docs/results/her2st_colocalization.md.

    python -m paper.colocalization --data shared/data --out docs/results

Measured are the Stereoscope proportions; predictions come from a ridge regression on MobileNetV2 embeddings, sections of patient
B from patient C and the other way round.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import histodecon as hd
from paper._cohort import SECTIONS, her2st
from paper._report import _lighten, markdown_table

TRUTH, PREDICTED = "measured", "predicted"
CONVENTIONS = (
    "cosine_pairs",
    "pearson_pairs",
    "cosine_rows",
    "pearson_rows",
    "cosine_rows_diagonal",
    "cosine_rows_self",
)


def maps(data: Path, cache: Path | None) -> tuple[object, pd.DataFrame]:
    adata = her2st(data, cache)
    hd.tl.cross_validate(adata, use_rep="X_mobilenetv2", learner="ridge", groupby="patient", device="cpu")
    for table, key in (("cell_abundance", TRUTH), ("crossval_abundance", PREDICTED)):
        hd.tl.colocalization(adata, table, null="smooth", key_added=key)
        hd.tl.colocalization(adata, table, key_added=f"{key}_shuffled")
    return adata, hd.tl.compare_colocalization(adata, TRUTH, PREDICTED, permutations=9999)


def draw(adata: object, out: Path) -> None:
    """One column a section, truth above prediction, one order and one scale."""
    record = {key: adata.uns[key] for key in (TRUTH, PREDICTED)}  # type: ignore[attr-defined]
    names = [str(name) for name in record[TRUTH]["names"]]
    from scipy.cluster.hierarchy import leaves_list, linkage

    order = leaves_list(linkage(record[TRUTH]["pooled"]["R"], method="average", optimal_ordering=True))
    parts = {key: {str(one["library_id"]): one for one in each["libraries"].values()} for key, each in record.items()}
    off = ~np.eye(len(names), dtype=bool)
    top = max(np.abs(one["R"][off]).max() for each in parts.values() for one in each.values())
    figure, axes = plt.subplots(2, len(SECTIONS), figsize=(3.1 * len(SECTIONS) + 2, 6.6), layout="constrained")
    for row, key in zip(axes, (TRUTH, PREDICTED), strict=True):
        for ax, section in zip(row, SECTIONS, strict=True):
            one = parts[key][section]
            image = ax.imshow(one["R"][np.ix_(order, order)], cmap="RdBu_r", vmin=-top, vmax=top)
            marks = (one["q"][np.ix_(order, order)] < 0.05) & off
            ax.scatter(*np.nonzero(marks)[::-1], s=10, c="black", linewidths=0)
            ax.set_xticks(
                range(len(names)), [names[i] for i in order] if key == PREDICTED else [], rotation=90, fontsize=8
            )
            ax.set_yticks(range(len(names)), [names[i] for i in order] if section == SECTIONS[0] else [], fontsize=8)
            ax.tick_params(length=0)
            ax.set_title(f"{section}: {key}", fontsize=10)
    figure.colorbar(image, ax=axes, shrink=0.6, extend="both", label="bivariate Moran's R")
    figure.supxlabel("● q < 0.05 against independent smooth types", fontsize=8, x=0.99, ha="right")
    path = out / "her2st_colocalization.png"
    figure.savefig(path, dpi=130)
    plt.close(figure)
    _lighten(path)


def significant(adata: object) -> pd.DataFrame:
    rows = []
    for section in SECTIONS:
        row: dict[str, object] = {"section": section}
        for key in (TRUTH, PREDICTED):
            for null, name in (("", "smooth"), ("_shuffled", "shuffled")):
                libraries = adata.uns[f"{key}{null}"]["libraries"].values()  # type: ignore[attr-defined]
                q = next(one["q"] for one in libraries if one["library_id"] == section)
                row[f"{key}, {name} null"] = int((q[np.triu_indices_from(q, k=1)] < 0.05).sum())
        rows.append(row)
    return pd.DataFrame(rows)


def main(data: Path, out: Path, cache: Path | None) -> None:
    plt.switch_backend("agg")
    adata, scores = maps(data, cache)
    draw(adata, out)
    params = adata.uns[TRUTH]["params"]  # type: ignore[attr-defined]
    table = scores[[*CONVENTIONS, "mantel_p"]].reset_index(names="map")
    digits = dict.fromkeys(CONVENTIONS, 2) | {"mantel_p": 4}
    count = len(adata.uns[TRUTH]["names"])  # type: ignore[attr-defined]
    page = f"""# her2st: colocalization maps, measured and predicted

Made by `python -m paper.colocalization`. Measured: Stereoscope proportions of {count} major types. Predicted: ridge regression on
MobileNetV2 embeddings, each patient from the other one. Sections {", ".join(SECTIONS)}, l = {params["length_um"]:.0f} µm (the pitch),
self-weights included.

![Maps of four sections, measured above predicted](her2st_colocalization.png)

Agreement of the two maps of a section, in several conventions (page *Concepts*); `mantel_p` permutes the types.

{markdown_table(table, digits)}

Pairs with q < 0.05, of {count * (count - 1) // 2}: how many depends on what chance is taken to be. Shuffled values have no order in
space, which tissue always has; the smooth null asks whether two types know of each other. Predicted types do: all are read from
the same few directions of one embedding, so nearly every pair is related, with either null. A predicted map is to be
judged by its agreement with a measured one, not by its p.

{markdown_table(significant(adata), {})}
"""
    (out / "her2st_colocalization.md").write_text(page)
    print(page)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with her2st/ and weights/")
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    parser.add_argument("--cache", type=Path, help="h5ad file that keeps the embeddings for another run")
    arguments = parser.parse_args()
    main(arguments.data, arguments.out, arguments.cache)
