"""Helpers for tests."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp


def _feed(sha: Any, value: Any) -> None:
    if isinstance(value, Mapping):
        for key in sorted(value, key=str):
            sha.update(f"{{{key}".encode())
            _feed(sha, value[key])
    elif isinstance(value, pd.DataFrame):
        sha.update(repr(list(value.columns)).encode())
        sha.update(pd.util.hash_pandas_object(value, index=True).to_numpy().tobytes())
    elif sp.issparse(value):
        _feed(sha, value.toarray())
    elif isinstance(value, np.ndarray):
        sha.update(f"{value.dtype}{value.shape}".encode())
        sha.update(repr(value.tolist()).encode() if value.dtype == object else np.ascontiguousarray(value).tobytes())
    else:
        sha.update(repr(value).encode())


def state_of(adata: Any) -> str:
    """Sha256 of X, layers, obs, var, obsm, varm, obsp, uns: equal before and after means unchanged."""
    sha = hashlib.sha256()
    for part in (adata.X, dict(adata.layers), adata.obs, adata.var, dict(adata.obsm), dict(adata.obsp), dict(adata.uns)):
        _feed(sha, part)
        sha.update(b"|")
    return sha.hexdigest()
