"""Non-negative least squares against a slow loop, planted cells, planted factors of genes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, sparse

import histodecon as hd
from histodecon.models import nnls_abundance
from histodecon.models._nnls import NOISE


def planted(n: int = 80, g: int = 120, k: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.gamma(0.5, 4.0, (n, k)), rng.gamma(0.4, 2.0, (g, k))


def slow(counts: np.ndarray, signatures: np.ndarray, dispersion: float) -> np.ndarray:
    """Every spot on its own, all genes, no normal equations."""
    depth = counts.sum(axis=1)
    scale = depth / depth.mean()
    level = counts / scale[:, None]
    mean = level.mean(axis=0)
    root = np.sqrt(1 / (mean + dispersion * mean**2 + NOISE)) * (mean > 0)
    rows = [optimize.nnls(signatures * root[:, None], row * root)[0] for row in level]
    return np.stack(rows) * scale[:, None]


@pytest.mark.parametrize("dispersion", [0.0, 0.3, 2.0])
def test_it_is_the_least_squares_solution_of_every_spot(dispersion: float) -> None:
    cells, signatures = planted()
    counts = np.random.default_rng(1).poisson(cells @ signatures.T)
    found = nnls_abundance(counts, signatures, dispersion=dispersion, gene_factors=False)
    np.testing.assert_allclose(found, slow(counts, signatures, dispersion), rtol=1e-4, atol=1e-4)


def test_without_noise_cells_come_back() -> None:
    cells, signatures = planted()
    found = nnls_abundance(cells @ signatures.T, signatures, gene_factors=False)
    np.testing.assert_allclose(found, cells, rtol=1e-4, atol=1e-5)


def test_factors_of_genes_are_found() -> None:
    cells, signatures = planted(n=200)
    factors = np.random.default_rng(2).lognormal(0, 0.8, len(signatures))
    counts = np.random.default_rng(3).poisson(cells @ (signatures * factors[:, None]).T)
    without, with_ = (nnls_abundance(counts, signatures, gene_factors=on) for on in (False, True))
    loss = [1 - np.mean([np.corrcoef(x, y)[0, 1] for x, y in zip(f.T, cells.T, strict=True)]) for f in (without, with_)]
    assert loss[1] < 0.5 * loss[0]


def test_sparse_and_dense_agree_and_a_spot_without_counts_has_no_cells() -> None:
    cells, signatures = planted(n=20)
    counts = np.random.default_rng(4).poisson(cells @ signatures.T)
    counts[3] = 0
    dense = nnls_abundance(counts, signatures)
    np.testing.assert_array_equal(nnls_abundance(sparse.csr_matrix(counts), signatures), dense)
    assert not dense[3].any()
    assert not nnls_abundance(counts * 0, signatures).any()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_order_does_not_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    cells, signatures = planted(n=15, g=40, k=4, seed=seed)
    counts = rng.poisson(cells @ signatures.T + 0.1)
    spots, genes, types = rng.permutation(15), rng.permutation(40), rng.permutation(4)
    found = nnls_abundance(counts, signatures)
    turned = nnls_abundance(counts[spots][:, genes], signatures[genes][:, types])
    np.testing.assert_allclose(turned, found[spots][:, types], rtol=1e-5, atol=1e-6)
    assert (found >= 0).all()


def test_a_type_that_leaves_no_counts_has_no_cells() -> None:
    cells, signatures = planted()
    signatures[:, 2] = 0
    found = nnls_abundance(np.random.default_rng(5).poisson(cells @ signatures.T), signatures)
    assert np.isfinite(found).all()
    assert not found[:, 2].any()


def test_genes_must_be_the_same() -> None:
    with pytest.raises(hd.InputError, match=r"BI-56.*7 genes"):
        nnls_abundance(np.ones((3, 7)), np.ones((6, 2)))
