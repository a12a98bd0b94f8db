"""Attention over neighbors, against a slow loop and on spots that only their neighbors know."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from learner_material import on_a_line
from scipy.sparse import csr_matrix, random

import histodecon as hd
from histodecon.models import AbundanceRegressor
from histodecon.models._graph_network import SLOPE, AttentionLayer, edges_of


def test_a_hop_is_that_of_a_double_loop() -> None:
    torch.manual_seed(0)
    layer = AttentionLayer(6, 3, 0.0).eval()
    graph = csr_matrix(random(9, 9, 0.3, random_state=0))
    H = torch.randn(9, 6)
    own = layer.norm(H)
    heard, hears = (part(own).view(9, 3, 6) for part in (layer.heard, layer.hears))
    expected = torch.zeros(9, 3, 6)
    for i in range(9):
        around = sorted({i, *graph[i].indices})
        for head in range(3):
            scores = torch.stack(
                [
                    (torch.nn.functional.leaky_relu(heard[j, head] + hears[i, head], SLOPE) * layer.score[head]).sum()
                    for j in around
                ]
            )
            for weight, j in zip(torch.softmax(scores, 0), around, strict=True):
                expected[i, head] += weight * heard[j, head]
    expected = H + torch.nn.functional.silu(expected.mean(dim=1))
    torch.testing.assert_close(layer(H, edges_of(graph)), expected, rtol=1e-4, atol=1e-5)


def planted(n: int = 400, seed: int = 0) -> tuple[np.ndarray, np.ndarray, list[csr_matrix]]:
    """What is to be read stands in the neighbors."""
    X, given = np.random.default_rng(seed).normal(size=(n, 5)).astype(np.float32), on_a_line(1, n)
    return X, np.clip(3 + 2 * (given[0] @ X)[:, :2], 0, None), given


def test_it_reads_what_only_the_neighbors_know() -> None:
    X, Y, given = planted()
    new, truth, others = planted(seed=1)
    params = {"n_networks": 1, "hidden": 32, "max_epochs": 150}
    model = AbundanceRegressor("graph_attention", params=params, device="cpu").fit(X, Y, neighbors=given)
    found = model.predict(new, neighbors=others)
    assert np.mean([np.corrcoef(truth[:, k], found[:, k])[0, 1] for k in range(2)]) > 0.7


def test_a_spot_sees_two_hops_and_no_farther() -> None:
    X, Y, given = planted(60)
    params = {"n_networks": 1, "hidden": 8, "max_epochs": 2}
    model = AbundanceRegressor("graph_attention", params=params, device="cpu").fit(X, Y, neighbors=given)
    moved = X.copy()
    moved[30] += 5
    changed = np.abs(model.predict(moved, neighbors=given) - model.predict(X, neighbors=given)).max(axis=1) > 1e-7
    assert set(np.flatnonzero(changed)) <= {28, 29, 30, 31, 32}
    assert changed[28]
    assert changed[32]


def test_without_neighbors_it_says_so() -> None:
    X, Y, given = planted(60)
    model = AbundanceRegressor("graph_attention", params={"n_networks": 1, "max_epochs": 1}, device="cpu")
    with pytest.raises(hd.InputError, match="BI-121"):
        model.fit(X, Y)
    with pytest.raises(hd.InputError, match="BI-121"):
        model.fit(X, Y, neighbors=given).predict(X)
