"""A small AnnData made by hand: embeddings that hold the truth, two encoders, three patients."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd

from histodecon._core import write_embedding

TYPES = ["B cell", "CAFs MSC/iCAF-like", "T cell"]


def cohort(n: int = 90, *, seed: int = 0, noise: float = 0.3) -> ad.AnnData:
    rng = np.random.default_rng(seed)
    truth = rng.gamma(2.0, 2.0, size=(n, 3))
    adata = ad.AnnData(obs=pd.DataFrame(index=[f"{i % 10}x{i // 10}" for i in range(n)]))
    adata.obs["patient"] = pd.Categorical(np.array(["A", "B", "C"])[np.arange(n) % 3])
    for name, width in (("first", 8), ("second", 5)):
        values = truth @ rng.normal(size=(3, width)) + noise * rng.normal(size=(n, width))
        record = {"encoder": name, "fingerprint": f"{name}-recipe", "license": "MIT", "commercial": True}
        write_embedding(adata, f"X_{name}", values.astype(np.float32), record)
    adata.uns["truth"] = truth
    return adata


def truth_table(adata: ad.AnnData) -> pd.DataFrame:
    return pd.DataFrame(adata.uns["truth"], index=adata.obs_names, columns=TYPES)
