"""Scales of inputs and targets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.preprocessing import StandardScaler

import histodecon as hd
from histodecon.models._transforms import (
    BLOCK_SCALINGS,
    TRANSFORMS,
    block_stretch,
    fit_scale,
    forward_target,
    inverse_target,
    to_proportions,
)


def test_columns_are_scaled_as_scikit_learn_does() -> None:
    X = np.random.default_rng(0).normal(3, 5, size=(30, 6)).astype(np.float32)
    X[:, 2] = 7.3
    center, scale = fit_scale(X)
    reference = StandardScaler().fit(X.astype(np.float64))
    np.testing.assert_allclose(center, reference.mean_, rtol=1e-12)
    np.testing.assert_allclose(scale, reference.scale_, rtol=1e-6)
    assert scale[2] == 1


@pytest.mark.parametrize("transform", ["none", "log1p", "sqrt"])
def test_targets_come_back(transform: str) -> None:
    Y = np.random.default_rng(0).gamma(1, 3, size=(20, 4))
    np.testing.assert_allclose(inverse_target(forward_target(Y, transform), transform), Y, rtol=1e-12)


def test_proportions_of_targets() -> None:
    Y = np.array([[1.0, 3.0], [0.0, 2.0]])
    np.testing.assert_allclose(forward_target(Y, "proportion"), [[0.25, 0.75], [0, 1]])
    with pytest.raises(hd.InputError, match="sum to 0"):
        forward_target(np.zeros((2, 2)), "proportion")


def test_unknown_transform_names_the_known_ones() -> None:
    with pytest.raises(hd.InputError, match="log1p"):
        forward_target(np.ones((2, 2)), "log")


@given(
    st.lists(st.lists(st.floats(-5, 5), min_size=3, max_size=3), min_size=1, max_size=6), st.sampled_from(TRANSFORMS)
)
def test_nothing_negative_and_rows_that_sum_to_one(rows: list[list[float]], transform: str) -> None:
    Y = inverse_target(np.array(rows), transform)
    assert (Y >= 0).all()
    fallback = np.array([0.2, 0.3, 0.5])
    P = to_proportions(Y, fallback)
    np.testing.assert_allclose(P.sum(axis=1), 1, atol=1e-9)
    empty = Y.sum(axis=1) == 0
    np.testing.assert_array_equal(P[empty], np.repeat(fallback[None], empty.sum(), axis=0))


def test_blocks_weigh_as_they_are_wide_or_all_the_same() -> None:
    widths = [2, 8, 20]
    total = {how: 1 / block_stretch(widths, how) ** 2 for how in BLOCK_SCALINGS}
    assert [block.sum() for block in np.split(total["none"], [2, 10])] == widths
    np.testing.assert_allclose([block.sum() for block in np.split(total["width"], [2, 10])], 10)
    np.testing.assert_allclose(block_stretch([7], "width"), 1)
    with pytest.raises(hd.InputError, match="BI-72"):
        block_stretch(widths, "depth")
