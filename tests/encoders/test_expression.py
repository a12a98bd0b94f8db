"""Counts made ready: chosen, smoothed, standardized."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix

from histodecon.encoders._expression import choose_genes, log_expression, smooth, standardize


def test_genes_that_vary_beyond_counting_are_chosen_within_groups() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat([0, 1], 100)
    noise = rng.poisson(5.0, size=(200, 20))
    noise[:, 3] = rng.poisson(np.where(np.arange(200) % 2, 1.0, 15.0))
    noise[:, 7] = rng.poisson(np.where(groups, 1.0, 15.0))  # differs between patients, not within
    noise[:, 11] = 0
    chosen = choose_genes(csr_matrix(noise), groups, 1)
    assert chosen.tolist() == [3]
    assert 11 not in choose_genes(csr_matrix(noise), groups, 20)
    assert (np.diff(choose_genes(csr_matrix(noise), groups, 9)) > 0).all()


def test_smoothing_mixes_half_and_half_and_leaves_lonely_spots() -> None:
    counts = csr_matrix(np.array([[4.0, 0], [0, 8], [2, 2]]))
    neighbors = csr_matrix(np.array([[0.0, 1, 0], [1, 0, 0], [0, 0, 0]]))
    np.testing.assert_allclose(smooth(counts, neighbors).toarray(), [[2, 4], [2, 4], [2, 2]])
    np.testing.assert_allclose(smooth(counts, None).toarray(), counts.toarray())


def test_expression_does_not_depend_on_the_depth_of_a_spot() -> None:
    rng = np.random.default_rng(1)
    counts = rng.poisson(4.0, size=(6, 5)).astype(float)
    deeper = counts * np.array([1, 2, 3, 4, 5, 6])[:, None]
    one, other = (log_expression(csr_matrix(c), np.arange(5)) for c in (counts, deeper))
    for a, b in zip(np.expm1(one), np.expm1(other), strict=True):
        np.testing.assert_allclose(a / a.sum(), b / b.sum())
    assert not log_expression(csr_matrix((3, 5)), np.arange(5)).any()


def test_standardizing_takes_groups_off() -> None:
    rng = np.random.default_rng(2)
    groups = np.repeat([0, 1, 2], 20)
    values = rng.normal(size=(60, 3)) + 10 * groups[:, None]
    values[:, 2] = groups
    found = standardize(values, groups)
    for group in range(3):
        np.testing.assert_allclose(found[groups == group].mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(found.std(axis=0), [1, 1, 0], atol=1e-6)
