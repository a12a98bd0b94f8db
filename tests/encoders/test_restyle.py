"""Embeddings shown in the style of another patient."""

from __future__ import annotations

import numpy as np
import torch

from histodecon.encoders._adapters import AdapterData
from histodecon.encoders._restyle import STYLE_REACH, Restyle


def data() -> AdapterData:
    rng = np.random.default_rng(0)
    groups = np.repeat([0, 1], 50)
    X = (rng.normal(size=(100, 3)) * np.where(groups, 2.0, 0.5)[:, None] + 10.0 * groups[:, None]).astype(np.float32)
    return AdapterData(X, X, X, groups)


def test_rows_move_toward_the_other_patient_and_no_farther_than_told() -> None:
    given = data()
    rows = np.arange(50)
    seen = Restyle(given, 1.0, torch.device("cpu"))(torch.as_tensor(given.X[rows]), rows, np.random.default_rng(0))
    moved = (seen.numpy() - given.X[rows]).mean(axis=0)
    apart = given.X[50:].mean(axis=0) - given.X[:50].mean(axis=0)
    assert (moved > 0).all()
    assert (moved < STYLE_REACH * apart).all()


def test_nothing_moves_without_a_share_or_another_patient() -> None:
    given = data()
    alone = AdapterData(given.X, given.X, given.X, np.zeros(100, dtype=int))
    for one, share in ((given, 0.0), (alone, 1.0)):
        X = torch.as_tensor(one.X)
        assert torch.equal(Restyle(one, share, X.device)(X, np.arange(100), np.random.default_rng(0)), X)
