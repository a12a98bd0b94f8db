"""Cell types of four her2st sections from their counts: our methods beside the published Stereoscope proportions.

    python -m paper.deconvolution --data ../shared/data --keep results --out docs/results

Runs take from a second to an hour; what is found in the folder given as `--keep` is not run again.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd

import histodecon as hd
from paper._cohort import SECTIONS
from paper._deconvolution_report import write_figures, write_page

METHODS = ("cell2location", "stereoscope", "nnls")
LABELS = "celltype_major"
OWN = {"own": "cell_abundance"}
JOINED = {
    "Plasmablasts": "Plasma Cells",
    "Cancer Epithelial": "Epithelial",
    "Normal Epithelial": "Epithelial",
}


def spots(data: Path) -> ad.AnnData:
    """Counts of all sections in one table; genes that a section lacks have no counts there."""
    os.environ["HISTODECON_SHARED"] = str(data)
    parts = []
    for section in SECTIONS:
        table = hd.datasets.her2st([section], show_progress_bar=False)["table"]
        table.obs_names = [f"{name}-{section}" for name in table.obs_names]
        table.uns.pop("spatial", None)
        parts.append(table)
    return ad.concat(parts, join="outer", merge="same", uns_merge="unique", fill_value=0)


def cells(data: Path) -> ad.AnnData:
    return ad.read_h5ad(data / "scref/sc_wu2021_CID4465.h5ad")


def run(method: str, data: Path, keep: Path, *, bar: bool) -> ad.AnnData:
    """Deconvolve with one method, or read what an earlier run kept."""
    path = keep / f"{method}.h5ad"
    if path.exists():
        return ad.read_h5ad(path)
    adata, reference = spots(data), cells(data)
    start = time.perf_counter()
    hd.tl.deconvolve(adata, reference, labels_key=LABELS, method=method, device="cpu", show_progress_bar=bar)
    adata.uns["seconds"] = time.perf_counter() - start
    keep.mkdir(parents=True, exist_ok=True)
    adata.write_h5ad(path)
    print(f"{method}: {adata.uns['seconds']:.0f} s", flush=True)
    return adata


def proportions(table: pd.DataFrame) -> pd.DataFrame:
    """Shares of cell types under the names of the published ones."""
    joined = table.T.groupby(lambda name: JOINED.get(name, name)).sum(min_count=1).T
    return joined.div(joined.sum(axis=1), axis=0)


def agreement(adata: ad.AnnData, method: str) -> pd.DataFrame:
    """Pearson's r with the published proportions, a row for each section and type."""
    truth = hd.get.abundance(adata, layers={"published": "stereoscope"}).to_df()
    table = proportions(hd.get.abundance(adata, layers=OWN).to_df())
    rows = []
    for section in SECTIONS:
        own = ((adata.obs["library_id"] == section) & table.notna().all(axis=1)).to_numpy()
        rows += [
            {
                "method": method,
                "section": section,
                "cell_type": name,
                "r": np.corrcoef(table.loc[own, name], truth.loc[own, name])[0, 1],
                "mean_share": table.loc[own, name].mean(),
                "published_share": truth.loc[own, name].mean(),
                "n_spots": int(own.sum()),
            }
            for name in truth.columns
        ]
    return pd.DataFrame(rows)


def main(data: Path, keep: Path, out: Path, methods: list[str], *, bar: bool) -> None:
    found = {method: run(method, data, keep, bar=bar) for method in methods}
    scores = pd.concat([agreement(adata, method) for method, adata in found.items()])
    out.mkdir(parents=True, exist_ok=True)
    scores.to_csv(out / "deconvolution_scores.csv", index=False, float_format="%.4f")
    shares = {name: proportions(hd.get.abundance(one, layers=OWN).to_df()) for name, one in found.items()}
    write_figures(found, shares, data, out)
    write_page(found, scores, out)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    shared = os.environ.get("HISTODECON_SHARED", "../shared/data")
    parser.add_argument("--data", type=Path, default=Path(shared), help="folder with her2st/ and scref/")
    parser.add_argument("--keep", type=Path, required=True, help="folder that keeps the abundances as h5ad")
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--progress", action="store_true", help="show progress bars")
    arguments = parser.parse_args()
    main(arguments.data, arguments.keep, arguments.out, arguments.methods, bar=arguments.progress)
