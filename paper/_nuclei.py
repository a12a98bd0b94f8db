"""Nuclei of the sections, embedded, and what the learner of nuclei says of their spots."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import anndata as ad
import pandas as pd

import histodecon as hd
from histodecon._core import table_kind
from paper._bench import OWN, real_names
from paper._cohort import ENCODERS, SECTIONS, mobilenet

SIZE_UM = 24.0


def her2st_nuclei(data: Path, cache: Path) -> Any:
    """Crops around the nuclei that ``"segment"`` finds in spots, with both embeddings; one image in memory at a time."""
    if cache.exists():
        return ad.read_h5ad(cache)
    os.environ["HISTODECON_SHARED"] = str(data)
    parts = []
    for section in SECTIONS:
        sdata = hd.datasets.her2st([section], show_progress_bar=False)
        spots = sdata["table"]
        spots.obs_names = [f"{name}-{section}" for name in spots.obs_names]
        hd.pp.embed_nuclei(
            sdata,
            ["color_stats", mobilenet(data)],
            nuclei="segment",
            size_um=SIZE_UM,
            only_in_spots=True,
            cache_dir=False,
            device="cpu",
            show_progress_bar=False,
        )
        table = sdata["nuclei"]
        table.uns.pop("spatial", None)
        print(f"{section}: {table.n_obs} nuclei", flush=True)
        parts.append(table)
    nuclei = hd.concat(parts)
    nuclei.write_h5ad(cache)
    return nuclei


def summed_over_spots(train: Any, test: Any, nuclei: Any, encoder: str, seed: int) -> tuple[Any, float]:
    """Learn from the nuclei of the training sections; sums over the nuclei of each test spot, and seconds.

    Proportions are multiplied with the nuclei of their spot before, so that there are cells to share out. A spot without nuclei has
    no sum: it takes no part in training, and no cells in the answer.
    """
    names = nuclei.obs["spot"].astype(str)
    own, other = (nuclei[names.isin(side.obs_names).to_numpy()].copy() for side in (train, test))
    counts = own.obs["spot"].astype(str).value_counts()
    targets = real_names(train, OWN).dropna()
    targets = targets.loc[targets.index.intersection(counts.index)]
    if table_kind(train, OWN) == "proportion":
        targets = targets.mul(counts.loc[targets.index], axis=0)
    hd.tl.set_targets(own, targets, by="spot", kind="abundance")
    start = time.process_time()
    model = hd.tl.train_regressor(
        own,
        use_rep=ENCODERS[encoder],
        learner="nuclei",
        groupby="library_id",
        random_state=seed,
        device="cpu",
        show_progress_bar=False,
    )
    seconds = time.process_time() - start
    hd.tl.predict_abundance(other, model, background="keep")
    hd.tl.sum_nuclei(other, test)
    sums: pd.DataFrame = real_names(test, "predicted_abundance")
    return sums.fillna(0.0), seconds


def with_mean_crops(adata: Any, nuclei: Any, encoder: str) -> tuple[Any, list[str]]:
    """The spots with the mean embedding of their nuclei, and its keys; a spot without nuclei gets the mean over all."""
    out, keys = adata.copy(), []
    rows = pd.Index(adata.obs_names).get_indexer(nuclei.obs["spot"].astype(str))
    for key in ENCODERS[encoder]:
        values = pd.DataFrame(nuclei.obsm[key][rows >= 0]).groupby(rows[rows >= 0]).mean()
        filled = values.reindex(range(adata.n_obs)).fillna(values.mean())
        keys.append(f"{key}_crops")
        out.obsm[keys[-1]] = filled.to_numpy(dtype="float32")
    return out, keys
