"""The mean embedding of the neighbors."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix

import histodecon as hd
from histodecon.models._rings import checked_rings, widen

N, D = 12, 3


def rings(n: int = N, seed: int = 0) -> list[csr_matrix]:
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(2):
        dense = (rng.random((n, n)) < 0.3) * (1 - np.eye(n))
        dense[0] = 0  # one row has no neighbors
        found.append(csr_matrix(dense / np.maximum(dense.sum(axis=1, keepdims=True), 1)))
    return found


def test_against_a_loop() -> None:
    Z, given = np.random.default_rng(1).normal(size=(N, D)), rings()
    wide = widen(Z, checked_rings(given, N, 2))
    for i in range(N):
        parts = [Z[i]]
        for ring in given:
            at = np.flatnonzero(ring.toarray()[i])
            parts.append(Z[at].mean(axis=0) if len(at) else Z[i])
        np.testing.assert_allclose(wide[i], np.concatenate(parts), atol=1e-12)


def test_no_rings_no_change() -> None:
    Z = np.ones((4, 2))
    assert widen(Z, checked_rings(None, 4, 0)) is Z


@pytest.mark.parametrize("given", [None, [], rings()[:1], rings(n=5)])
def test_missing_or_wrong_rings_are_refused(given: list | None) -> None:
    with pytest.raises(hd.InputError, match="2 ring") as error:
        checked_rings(given, N, 2)
    assert error.value.code == "BI-121"


def test_a_model_that_reads_neighbors_asks_for_them_and_keeps_them_apart() -> None:
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(N * 4, D)).astype("float32"), rng.random((N * 4, 2))
    params = {"n_networks": 1, "max_epochs": 2, "hidden": 8}
    model = hd.AbundanceRegressor("context", params=params, device="cpu").fit(X, Y, neighbors=rings(n=N * 4))
    with pytest.raises(hd.InputError, match="neighbors"):
        model.predict(X)
    with pytest.raises(hd.InputError, match="neighbors"):
        hd.AbundanceRegressor("context", params=params).fit(X, Y)
    again = hd.AbundanceRegressor.from_bytes(model.to_bytes())
    one, other = (m.predict(X, neighbors=rings(n=N * 4)) for m in (model, again))
    np.testing.assert_array_equal(one, other)
    assert model.n_features_in_ == D
