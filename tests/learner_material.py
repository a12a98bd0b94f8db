"""What any learner asks for: small parameters, neighbors on a line, counts with signatures, nuclei in spots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix, diags

from histodecon.models import FitContext, GeneCounts, Learner, get_learner

TINY = {"n_networks": 2, "max_epochs": 3, "hidden": 8}
SMALL: dict[str, dict[str, Any]] = {
    "mlp": TINY,
    "context": TINY,
    "ensemble": {"params": {"mlp": TINY, "context": TINY}},
    "cuca": {**TINY, "n_genes": 9},
    "cpnn": {**TINY, "n_genes": 9},
    "cpnn_abundance": {**TINY, "n_genes": 9},
    "fusion": TINY,
    "graph_attention": {**TINY, "heads": 2},
    "nuclei": TINY,
}
"""Parameters with which a learner takes a moment."""

N_GENES = 14


def small(name: str, **changed: Any) -> dict[str, Any] | None:
    """Small parameters of a learner; those of networks may be changed."""
    params = SMALL.get(name)
    if not changed or params is None:
        return params
    if name == "ensemble":
        return {"params": {member: {**own, **changed} for member, own in params["params"].items()}}
    return {**params, **changed}


def on_a_line(n_rings: int, n: int) -> list[csr_matrix]:
    """Rows on a line and their neighbors one and two steps away; rows of the matrices sum to 1."""
    lines = [diags([1.0, 1.0], [step, -step], shape=(n, n)) for step in range(1, n_rings + 1)]
    return [csr_matrix(line.multiply(1 / np.maximum(line.sum(axis=1), 1))) for line in lines]


def counts_of(n: int, cell_types: Sequence[str], seed: int = 0) -> GeneCounts:
    """Counts that mean nothing, with signatures."""
    rng = np.random.default_rng(seed)
    signatures = rng.gamma(0.5, 3.0, (N_GENES, len(cell_types)))
    names = [f"gene_{i}" for i in range(N_GENES)]
    return GeneCounts(rng.poisson(3.0, (n, N_GENES)).astype(np.float32), names, signatures, tuple(cell_types))


def needs(learner: Learner | str, n: int, cell_types: Sequence[str], *, predicting: bool = False) -> dict[str, Any]:
    """What `AbundanceRegressor.fit` or `predict` must be told for a learner."""
    one = get_learner(learner).build(SMALL.get(learner)) if isinstance(learner, str) else learner
    told: dict[str, Any] = {"neighbors": on_a_line(one.n_rings, n)} if one.n_rings else {}
    if not predicting:
        told |= {"genes": counts_of(n, cell_types)} if one.reads_genes else {}
        told |= {"bags": np.arange(n)} if one.reads_bags else {}
    return told


def context_of(name: str, n: int, n_types: int, random_state: int = 0) -> FitContext:
    """Context of a fit that calls the learner itself."""
    one = get_learner(name).build(SMALL.get(name))
    types = tuple(f"type_{i}" for i in range(n_types))
    return FitContext(
        random_state=random_state,
        device="cpu",
        genes=counts_of(n, types) if one.reads_genes else None,
        cell_types=types,
        bags=np.arange(n) if one.reads_bags else None,
        graph=on_a_line(1, n)[0] if one.reads_graph else None,
    )
