"""Helpers for tests: what an AnnData holds, as hashes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp


def _feed_table(sha: Any, table: pd.DataFrame, *, loose: bool) -> None:
    sha.update(repr([list(map(str, table.columns)), list(map(str, table.index))]).encode())
    for column in table:
        dtype = table[column].dtype
        _feed(sha, table[column].astype(dtype if dtype.kind in "fiub" else str).to_numpy(), loose=loose)


def _feed(sha: Any, value: Any, *, loose: bool) -> None:
    if isinstance(value, Mapping):
        for key in sorted(value, key=str):
            sha.update(f"{{{key}".encode())
            _feed(sha, value[key], loose=loose)
    elif isinstance(value, pd.DataFrame):
        _feed_table(sha, value, loose=loose)
    elif loose and isinstance(value, list):  # spatialdata's own record holds a list, which comes back as an array
        _feed(sha, np.array(value, dtype=object), loose=loose)
    elif sp.issparse(value):
        _feed(sha, value.toarray(), loose=loose)
    elif hasattr(value, "compute"):
        _feed(sha, value.compute(), loose=loose)
    elif isinstance(value, np.ndarray):
        if value.dtype.kind in "OUST":
            sha.update(repr([value.shape, [str(item) for item in value.ravel()]]).encode())
            return
        sha.update(f"{value.dtype}{value.shape}".encode())
        sha.update(np.ascontiguousarray(value).tobytes())
    elif loose and isinstance(value, (bool, np.bool_, int, float, np.number, str)):
        sha.update(repr(value.item() if isinstance(value, np.generic) else value).encode())
    else:
        sha.update(repr(value).encode())


def hash_of(value: Any, *, loose: bool = False) -> str:
    """Sha256 of a nested value; loose ignores the difference between Python and NumPy scalars."""
    sha = hashlib.sha256()
    _feed(sha, value, loose=loose)
    return sha.hexdigest()


def state_of(adata: Any, *, loose: bool = False) -> str:
    """Sha256 of X, layers, obs, var, obsm, obsp, uns: equal before and after means unchanged."""
    parts = (adata.X, dict(adata.layers), adata.obs, adata.var, dict(adata.obsm), dict(adata.obsp), dict(adata.uns))
    return hashlib.sha256("".join(hash_of(part, loose=loose) for part in parts).encode()).hexdigest()


def slots(data: Any) -> dict[str, str]:
    """Map every slot of a SpatialData or AnnData, spelled as in the journey table, to a hash of its content."""
    adata = data.tables["table"] if hasattr(data, "tables") else data
    found: dict[str, str] = {}
    if adata is not data:
        for kind in ("images", "shapes", "points", "labels"):
            found |= {f'{kind}["{name}"]': "present" for name in getattr(data, kind)}
    for name in ("obs", "obsm", "obsp", "layers", "varm", "uns"):
        holder = getattr(adata, name)
        for key in holder:
            if name == "uns" and key == "histodecon":
                found |= {f'uns["histodecon"]["{branch}"]': hash_of(value) for branch, value in holder[key].items()}
            else:
                found[f'{name}["{key}"]'] = hash_of(np.asarray(holder[key]) if name == "obs" else holder[key])
    return found
