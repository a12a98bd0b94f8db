"""Scores of rows that count several times: the corners that random draws seldom meet."""

from __future__ import annotations

import numpy as np
import pytest

from histodecon.stats._weighted import jsd_columns, pearson_columns, spearman_columns, weighted_means

MAKERS = [
    weighted_means,
    lambda values, valid: pearson_columns(values, values, valid),
    lambda values, valid: spearman_columns(values, values, valid),
    lambda values, valid: jsd_columns(values, values, valid),
]


@pytest.mark.parametrize("make", MAKERS)
def test_nothing_counted_is_undefined(make) -> None:
    values = np.arange(6.0).reshape(3, 2)
    score = make(values, np.array([[True, False]] * 3))
    found = score(np.array([[0.0, 0.0, 0.0], [1.0, 2.0, 0.0]]))
    assert np.isnan(found[0]).all()
    assert np.isnan(found[:, 1]).all()
    assert np.isfinite(found[1, 0])


def test_ties_get_their_mean_rank_however_often_they_count() -> None:
    values = np.array([[2.0], [1.0], [2.0], [5.0]])
    other = np.array([[1.0], [4.0], [2.0], [3.0]])
    score = spearman_columns(values, other, np.ones((4, 1), dtype=bool))
    from scipy.stats import spearmanr

    for counts in ([1, 1, 1, 1], [3, 0, 1, 2], [0, 2, 5, 1]):
        rows = np.repeat(np.arange(4), counts)
        expected = spearmanr(values[rows, 0], other[rows, 0])[0]
        assert score(np.array([counts], dtype=float))[0, 0] == pytest.approx(expected, abs=1e-12)


def test_a_negative_value_has_no_divergence() -> None:
    values = np.array([[1.0, -1.0], [2.0, 3.0]])
    found = jsd_columns(np.abs(values), values, np.ones((2, 2), dtype=bool))(np.ones((1, 2)))
    assert found[0, 0] == 0
    assert np.isnan(found[0, 1])
