"""The network that sees the tissue around a spot."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix

import histodecon as hd

PARAMS = {"n_networks": 2, "max_epochs": 30, "hidden": 32}


def line(n: int) -> list[csr_matrix]:
    """Spots in a row: neighbors left and right, then the next two."""
    found = []
    for step in (1, 2):
        dense = np.eye(n, k=step) + np.eye(n, k=-step)
        found.append(csr_matrix(dense / dense.sum(axis=1, keepdims=True)))
    return found


def planted(n: int = 400, seed: int = 0) -> tuple[np.ndarray, np.ndarray, list[csr_matrix]]:
    """What is to be read stands in the neighbors, not in the spot."""
    X = np.random.default_rng(seed).normal(size=(n, 5)).astype("float32")
    given = line(n)
    around = given[0] @ X
    return X, np.clip(3 + 2 * around[:, :2], 0, None), given


def test_it_reads_what_only_the_neighbors_know() -> None:
    X, Y, given = planted()
    new, truth, others = planted(seed=1)
    found = {}
    for learner, params in {"mlp": PARAMS, "context": {**PARAMS, "rings": 1}}.items():
        model = hd.AbundanceRegressor(learner, params=params, device="cpu").fit(X, Y, neighbors=given)
        predicted = model.predict(new, neighbors=others)
        found[learner] = np.mean([np.corrcoef(truth[:, k], predicted[:, k])[0, 1] for k in range(2)])
    assert found["context"] > 0.9
    assert found["mlp"] < 0.3


def test_rings_are_one_or_two() -> None:
    assert hd.models.get_learner("context").build(None).n_rings == 2
    assert hd.models.get_learner("context").build({"rings": 1}).n_rings == 1
    for rings in (0, 3, True, "2", 1.5):
        with pytest.raises(hd.InputError, match="rings"):
            hd.models.get_learner("context").build({"rings": rings})
    with pytest.raises(hd.InputError, match="hidden"):
        hd.models.get_learner("context").build({"hidden": 0})
