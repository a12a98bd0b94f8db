"""Counts of genes: checked once, cut by rows, chosen without a look at other rows."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix

import histodecon as hd
from histodecon.models import AbundanceRegressor, GeneCounts
from histodecon.models._genes import log_shares, most_variable, telling_genes

COUNTS = np.array([[0, 3, 1], [5, 1, 0], [2, 2, 2]], dtype=np.float32)
NAMES = ("a", "b", "c")


@pytest.mark.parametrize("container", [np.asarray, csr_matrix])
def test_dense_and_sparse_counts_are_alike(container) -> None:
    genes = GeneCounts(container(COUNTS), NAMES)
    part = genes.rows(np.array([True, False, True]))
    np.testing.assert_array_equal(part.dense(np.array([0, 2])), [[0, 1], [2, 2]])
    np.testing.assert_array_equal(part.totals(), [4, 6])
    assert part.names == NAMES


def test_signatures_are_matched_by_name() -> None:
    genes = GeneCounts(COUNTS, NAMES, np.arange(6.0).reshape(3, 2), ("T", "B"))
    np.testing.assert_array_equal(genes.signatures_of(["B", "T"]), np.arange(6.0).reshape(3, 2)[:, ::-1])
    with pytest.raises(hd.InputError, match="BI-123"):
        genes.signatures_of(["T", "NK"])


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ((COUNTS, ("a", "b")), "BI-64"),
        ((COUNTS, ("a", "b", "b")), "BI-57"),
        ((-COUNTS, NAMES), "BI-55"),
        ((csr_matrix(-COUNTS), NAMES), "BI-55"),
        ((COUNTS * np.nan, NAMES), "BI-55"),
        ((COUNTS, NAMES, np.ones((3, 2)), ("T",)), "BI-64"),
        ((COUNTS, NAMES, -np.ones((3, 1)), ("T",)), "BI-55"),
    ],
)
def test_bad_counts_are_refused(given: tuple, code: str) -> None:
    with pytest.raises(hd.InputError) as error:
        GeneCounts(*given)
    assert error.value.code == code


def test_the_digest_sees_everything() -> None:
    signatures = np.ones((3, 1))
    base = GeneCounts(COUNTS, NAMES, signatures, ("T",)).sha256()
    others = [
        GeneCounts(COUNTS + 1, NAMES, signatures, ("T",)),
        GeneCounts(COUNTS, ("a", "b", "d"), signatures, ("T",)),
        GeneCounts(COUNTS, NAMES, 2 * signatures, ("T",)),
        GeneCounts(COUNTS, NAMES),
    ]
    assert len({base, *(other.sha256() for other in others)}) == 5
    assert GeneCounts(COUNTS.copy(), list(NAMES), signatures, ["T"]).sha256() == base


@pytest.mark.parametrize("container", [np.asarray, csr_matrix])
def test_variable_genes_are_those_that_vary_beyond_counting(container) -> None:
    rng = np.random.default_rng(0)
    mean = np.full((400, 30), 5.0)
    mean[:200, 7] = 1.0
    mean[200:, 7] = 9.0
    mean[:, 12] *= rng.gamma(1.0, 1.0, 400)
    counts = rng.poisson(mean).astype(np.float32)
    counts[:, 3] = 0
    assert most_variable(container(counts), 2).tolist() == [7, 12]
    assert 3 not in most_variable(container(counts), 30)


def test_telling_genes_differ_between_types_and_are_seen() -> None:
    signatures = np.array([[5.0, 5.0], [9.0, 0.0], [0.0, 9.0], [1.0, 1.0]])
    counts = np.ones((3, 4), dtype=np.float32)
    assert telling_genes(counts, signatures, 2).tolist() == [1, 2]
    counts[:, 1] = 0
    assert 1 not in telling_genes(counts, signatures, 4)


def test_shares_do_not_depend_on_the_depth() -> None:
    counts = COUNTS + 1
    one = log_shares(counts, counts.sum(axis=1))
    np.testing.assert_allclose(log_shares(10 * counts, 10 * counts.sum(axis=1)), one, rtol=1e-6)


def test_rows_that_are_nuclei_need_their_spots(monkeypatch: pytest.MonkeyPatch) -> None:
    from histodecon.models.learners.mean import MeanLearner

    monkeypatch.setattr(MeanLearner, "reads_bags", True)
    X, Y = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32), np.ones((12, 2))
    with pytest.raises(hd.InputError, match="BI-124"):
        AbundanceRegressor("mean").fit(X, Y)
    for bags in (np.zeros(5, dtype=int), np.zeros(12)):
        with pytest.raises(hd.InputError, match="BI-64"):
            AbundanceRegressor("mean").fit(X, Y, bags=bags)
    AbundanceRegressor("mean").fit(X, Y, bags=np.arange(12) // 3)
