"""The pictures that are compared: one or more of every function of `pl`, on one small cohort, without a word in them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

import histodecon as hd

TYPES = ["T-cells", "Cancer Epithelial"]


@functools.cache
def cohort() -> Any:
    """Three drawn patients with everything that is drawn; ridge, so that any processor gets the same."""
    sdata = hd.datasets.toy_slide(n_patients=3, n_rows=6, n_cols=6, mpp=1.0)
    hd.pp.tile_spots(sdata)
    hd.pp.embed_tiles(sdata, "color_stats", show_progress_bar=False)
    adata = sdata["table"]
    hd.tl.set_targets(adata, "true_abundance")
    how = {"use_rep": "X_color_stats", "learner": "ridge", "show_progress_bar": False}
    hd.tl.cross_validate(adata, **how)
    hd.tl.train_regressor(adata, calibrate=True, **how)
    hd.tl.predict_abundance(adata)
    hd.tl.evaluate(adata, predicted="crossval_abundance", groupby="patient", intervals="bootstrap", n_boot=200)
    hd.tl.colocalization(adata, "cell_abundance", pairs=[("T-cells", "B-cells")], local=True)
    return sdata


def copy() -> ad.AnnData:
    return cohort()["table"].copy()


def model() -> hd.AbundanceRegressor:
    return hd.AbundanceRegressor.from_bytes(cohort()["table"].uns["histodecon"]["regressor"]["model"].tobytes())


def network() -> SimpleNamespace:
    """What a trained network keeps."""
    epochs = np.arange(40)
    history = {
        f"network_{i}": {
            "training_loss": np.exp(-epochs / 8) + 0.1,
            "held_in_loss": np.exp(-epochs / 10) + 0.25 + 0.1 * i + 0.004 * epochs,
        }
        for i in range(2)
    }
    facts = {"best_epochs": [32, 32], "stopped": ["patience", "epochs"]}
    return SimpleNamespace(learner="mlp", history_=history, training_=facts)


def deconvolved() -> ad.AnnData:
    adata = copy()
    losses = 1e4 * np.exp(-np.arange(400) / 10) + 50 + np.sin(np.arange(400)) + 5 * np.exp(-np.arange(400) / 120)
    adata.uns["histodecon"]["deconvolution"] = {"cell_abundance": {"method": "m", "history": {"spots": losses}}}
    return adata


def sets() -> pd.DataFrame:
    patients, gains = np.linspace(0.2, 0.45, 7), {"a": 0.0, "b": 0.05, "c": 0.02}
    rows = [
        {"encoders": name, "test": f"P{i}", "learner": learner, "cc": cc + gain * (1 + 0.3 * np.sin(i)) + less}
        for learner, less in (("mlp", 0.0), ("ridge", -0.03))
        for name, gain in gains.items()
        for i, cc in enumerate(patients)
    ]
    return pd.DataFrame(rows)


PICTURES: dict[str, Callable[[], Any]] = {
    "ablation": lambda: hd.pl.ablation(sets(), series="learner", show=False),
    "abundance": lambda: hd.pl.abundance(copy(), TYPES, library_id="toy_2", show=False),
    "colocalization": lambda: hd.pl.colocalization(copy(), show=False),
    "colocalization_network": lambda: hd.pl.colocalization_network(copy(), show=False),
    "composition": lambda: hd.pl.composition(copy(), show=False),
    "composition.dominant": lambda: hd.pl.composition(copy(), kind="dominant", max_types=3, opacity=0, show=False),
    "deconvolution": lambda: hd.pl.deconvolution(deconvolved(), show=False),
    "evaluation": lambda: hd.pl.evaluation(copy(), show=False),
    "evaluation.group": lambda: hd.pl.evaluation(copy(), by="group", metric="l1", show=False),
    "local_colocalization": lambda: hd.pl.local_colocalization(copy(), library_id="toy_1", show=False),
    "reliability": lambda: hd.pl.reliability(model(), show=False),
    "tiles": lambda: hd.pl.tiles(cohort(), library_id="toy_1", n_tiles=4, output_px=56, show=False),
    "tiles.types": lambda: hd.pl.tiles(
        cohort(),
        library_id="toy_1",
        cell_types="T-cells",
        abundance="cell_abundance",
        n_tiles=6,
        output_px=56,
        show=False,
    ),
    "training": lambda: hd.pl.training(network(), show=False),
    "training.ridge": lambda: hd.pl.training(model(), show=False),
}


def draw(name: str) -> Figure:
    """Draw one picture."""
    found = PICTURES[name]()
    return (found.flat[0] if isinstance(found, np.ndarray) else found).figure.get_figure(root=True)
