"""Scores per cell type against scipy, with missing spots and constant types."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import pearsonr, spearmanr

from histodecon.stats import (
    jsd_per_spot,
    jsd_per_type,
    l1_per_type,
    l1_shares_per_type,
    pearson_per_type,
    rmse_per_type,
    score_table,
    spearman_per_type,
)


def tables(seed: int = 0, n: int = 30, k: int = 4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.gamma(0.8, size=(n, k)).round(1)  # ties on purpose
    return truth, truth + rng.gamma(0.5, size=(n, k)).round(1)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_correlations_equal_scipy(seed: int) -> None:
    truth, predicted = tables(seed)
    for column in range(4):
        pair = truth[:, column], predicted[:, column]
        assert pearson_per_type(truth, predicted)[column] == pytest.approx(pearsonr(*pair)[0], abs=1e-12)
        assert spearman_per_type(truth, predicted)[column] == pytest.approx(spearmanr(*pair)[0], abs=1e-12)


def test_errors_equal_numpy() -> None:
    truth, predicted = tables()
    np.testing.assert_allclose(l1_per_type(truth, predicted), np.abs(truth - predicted).mean(axis=0))
    np.testing.assert_allclose(rmse_per_type(truth, predicted), np.sqrt(((truth - predicted) ** 2).mean(axis=0)))


def test_error_of_shares_is_the_distance_of_compositions() -> None:
    truth, predicted = tables()
    truth[3], predicted[4, 2], predicted[5] = 0.0, np.nan, 0.0
    rows = [i for i in range(30) if i not in {3, 4, 5}]
    loop = [np.abs(truth[i] / truth[i].sum() - predicted[i] / predicted[i].sum()) for i in rows]
    np.testing.assert_allclose(l1_shares_per_type(truth, predicted), np.mean(loop, axis=0))
    np.testing.assert_allclose(l1_shares_per_type(truth[rows], 7 * truth[rows]), 0.0, atol=1e-12)
    disjoint = np.array([[2.0, 0.0], [0.0, 9.0]])
    assert l1_shares_per_type(disjoint, disjoint[::-1]).sum() == pytest.approx(2.0)
    assert np.isnan(l1_shares_per_type(np.zeros((2, 2)), disjoint)).all()


def test_divergence_equals_scipy_in_both_directions() -> None:
    truth, predicted = tables()
    np.testing.assert_allclose(jsd_per_type(truth, predicted), jensenshannon(truth, predicted, base=2, axis=0) ** 2)
    np.testing.assert_allclose(jsd_per_spot(truth, predicted), jensenshannon(truth, predicted, base=2, axis=1) ** 2)
    disjoint = np.array([[1.0, 0.0], [0.0, 1.0]])
    np.testing.assert_allclose(jsd_per_type(disjoint, disjoint[::-1]), 1.0)
    np.testing.assert_allclose(jsd_per_type(disjoint, 7 * disjoint), 0.0, atol=1e-15)


def test_divergence_of_negative_or_empty_values_is_nan() -> None:
    truth = np.array([[1.0, 1.0, 0.0], [2.0, 1.0, 0.0]])
    predicted = np.array([[1.0, -1.0, 1.0], [2.0, 1.0, 1.0]])
    np.testing.assert_array_equal(np.isnan(jsd_per_type(truth, predicted)), [False, True, True])
    np.testing.assert_array_equal(np.isnan(jsd_per_spot(truth, predicted)), [True, False])


@pytest.mark.parametrize("score", [pearson_per_type, spearman_per_type, l1_per_type, rmse_per_type, jsd_per_type])
def test_missing_spots_leave_only_their_type(score: object) -> None:
    truth, predicted = tables()
    whole = score(truth, predicted)  # type: ignore[operator]
    truth[2, 0] = np.nan
    predicted[5, 0] = np.nan
    partial = score(truth, predicted)  # type: ignore[operator]
    rows = np.delete(np.arange(30), [2, 5])
    np.testing.assert_allclose(partial[0], score(truth[rows], predicted[rows])[0])  # type: ignore[operator]
    np.testing.assert_array_equal(partial[1:], whole[1:])


@pytest.mark.parametrize("score", [pearson_per_type, spearman_per_type])
def test_no_variance_is_nan_not_zero(score: object) -> None:
    truth, predicted = tables(k=3)
    truth[:, 0] = 0.1
    predicted[:, 1] = 7.3
    np.testing.assert_array_equal(np.isnan(score(truth, predicted)), [True, True, False])  # type: ignore[operator]
    assert np.isnan(score(truth[:1], predicted[:1])).all()  # type: ignore[operator]
    assert np.isnan(score(truth[:0], predicted[:0])).all()  # type: ignore[operator]


def test_table_names_rows_and_counts_spots() -> None:
    truth, predicted = tables(k=2)
    truth[:3, 1] = np.nan
    table = score_table(truth, predicted, ["T-cells", "CAFs MSC/iCAF-like"])
    assert list(table.columns) == ["cc", "spearman", "l1", "l1_shares", "rmse", "jsd", "n"]
    assert list(table.index) == ["T-cells", "CAFs MSC/iCAF-like"]
    assert list(table["n"]) == [30, 27]
    np.testing.assert_array_equal(table["cc"], pearson_per_type(truth, predicted))
    np.testing.assert_array_equal(table["jsd"], jsd_per_type(truth, predicted))


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="one shape"):
        pearson_per_type(np.zeros((3, 2)), np.zeros((3, 3)))
    with pytest.raises(ValueError, match="one shape"):
        l1_per_type(np.zeros(3), np.zeros(3))
