"""How well genes can be read on held-in groups."""

from __future__ import annotations

import numpy as np
import pytest

from histodecon.encoders._readable import STRENGTHS, held_in_rows, readable


@pytest.mark.parametrize("width", [5, 90])  # both Gram matrices
def test_it_is_the_correlation_of_a_ridge_of_the_others(width: int) -> None:
    from sklearn.linear_model import Ridge

    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, width)).astype(np.float32)
    genes = (X[:, :3] @ rng.normal(size=(3, 4)) + rng.normal(size=(60, 4))).astype(np.float32)
    groups = np.repeat([0, 1, 2], 20)
    held_in = groups == 1
    Z, new = X[~held_in].astype(float), X[held_in].astype(float)
    Z, new = (Z - Z.mean(0)) / Z.std(0), (new - Z.mean(0)) / Z.std(0)
    best = []
    for strength in STRENGTHS:
        read = Ridge(alpha=strength * width).fit(Z, genes[~held_in]).predict(new)
        best.append(np.mean([np.corrcoef(read[:, i], genes[held_in, i])[0, 1] for i in range(4)]))
    assert readable(X, genes, groups, held_in) == pytest.approx(max(best), abs=1e-6)


def test_nothing_varies() -> None:
    X, genes = np.ones((20, 3), np.float32), np.ones((20, 2), np.float32)
    assert readable(X, genes, np.repeat([0, 1], 10), np.arange(20) < 10) == 0


def test_groups_are_held_in_in_turn_the_largest_first() -> None:
    groups = np.array([0] * 3 + [1] * 5 + [2] * 4)
    rng = np.random.default_rng(0)
    assert [set(groups[rows].tolist()) for rows in held_in_rows(groups, 2, rng)] == [{1}, {2}]
    assert [int(rows.sum()) for rows in held_in_rows(groups, 2, rng)] == [5, 4]
    alone = held_in_rows(np.zeros(20, dtype=int), 9, rng)
    assert len(alone) == 5
    np.testing.assert_array_equal(np.sum(alone, axis=0), 1)
