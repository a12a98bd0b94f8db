"""Rows that cannot be compared are left out; quantiles count by weight."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import histodecon as hd
from histodecon.models._held_out import checked_pairs, weighted_quantiles


@given(st.lists(st.tuples(st.floats(-5, 5), st.integers(1, 4)), min_size=1, max_size=30), st.floats(0.01, 1))
def test_weights_are_copies(pairs: list[tuple[float, int]], level: float) -> None:
    values, counts = (np.array(part) for part in zip(*pairs, strict=True))
    found = weighted_quantiles(values.astype(float), counts.astype(float), [level])[0]
    copies = np.sort(np.repeat(values, counts))
    share = np.searchsorted(copies, found, side="right") / len(copies)
    assert share >= level - 1e-9
    below = np.searchsorted(copies, found, side="left") / len(copies)
    assert below < level + 1e-9


def test_rows_with_nan_are_left_out() -> None:
    truth, predicted = np.ones((4, 2)), np.ones((4, 2))
    truth[1, 0], predicted[3, 1] = np.nan, np.inf
    assert checked_pairs(truth, predicted)[2].tolist() == [True, False, True, False]


@pytest.mark.parametrize(
    ("truth", "predicted", "code"),
    [
        (np.ones((3, 2)), np.ones((3, 1)), "BI-64"),
        (np.ones(3), np.ones(3), "BI-64"),
        (np.full((3, 1), np.nan),) * 2 + ("BI-31",),
    ],
)
def test_what_cannot_be_compared_is_refused(truth: np.ndarray, predicted: np.ndarray, code: str) -> None:
    with pytest.raises(hd.InputError, match=code):
        checked_pairs(truth, predicted)
