"""The mixture that explains a mean although genes are counted unevenly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histodecon.models import nnls_abundance
from histodecon.models._log_mixture import FLOOR, log_mixture


def planted(seed: int, sd: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean counts of a spot, signatures of 5 types over 400 genes, and cells."""
    rng = np.random.default_rng(seed)
    signatures = rng.gamma(0.3, 1.0, (400, 5)) + 1e-3
    cells = rng.gamma(2.0, 2.0, 5) + 0.5
    return signatures @ cells * np.exp(rng.normal(0, sd, 400)), signatures, cells


@pytest.mark.parametrize("seed", range(4))
def test_an_exact_mixture_is_found(seed: int) -> None:
    pooled, signatures, cells = planted(seed, 0.0)
    np.testing.assert_allclose(log_mixture(pooled, signatures), cells, rtol=1e-3)


def test_factors_of_genes_mislead_it_less_than_least_squares() -> None:
    found, usual = [], []
    for seed in range(20):
        pooled, signatures, cells = planted(seed, 1.4)
        amounts = nnls_abundance(pooled[None], signatures, gene_factors=False)[0]
        for errors, one in ((found, log_mixture(pooled, signatures)), (usual, np.maximum(amounts, 1e-3))):
            errors.append(np.abs(np.log(one / cells)).mean())
    assert np.mean(found) < 0.35
    assert np.mean(found) < 0.5 * np.mean(usual)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.floats(0, 3), st.floats(1e-3, 1e3))
def test_no_other_mixture_is_nearer_and_units_do_not_matter(seed: int, sd: float, unit: float) -> None:
    pooled, signatures, _ = planted(seed, sd)
    found = log_mixture(pooled, signatures)
    assert np.isfinite(found).all()
    assert (found > 0).all()

    def misfit(cells: np.ndarray) -> float:
        floor = FLOOR * pooled.mean()
        return float(np.square(np.log(signatures @ cells + floor) - np.log(pooled + floor)).mean())

    rng = np.random.default_rng(seed)
    for size in (0.01, 0.1, 1.0):
        assert misfit(found) <= misfit(found * np.exp(rng.normal(0, size, 5))) + 1e-5
    np.testing.assert_allclose(log_mixture(pooled * unit, signatures), found * unit, rtol=0.02, atol=0.02 * unit)


def test_genes_and_types_without_counts() -> None:
    pooled, signatures, cells = planted(0, 0.0)
    pooled[:50] = 0
    signatures[:, 2] = 0
    found = log_mixture(pooled, signatures)
    assert np.isfinite(found).all()
    assert (found > 0).all()
    with_zeros = log_mixture(np.r_[pooled[50:], np.zeros(50)], np.vstack([signatures[50:], np.zeros((50, 5))]))
    kept = [0, 1, 3, 4]
    assert np.corrcoef(with_zeros[kept], cells[kept])[0, 1] > 0.9
    nothing = log_mixture(np.zeros(400), signatures)
    assert (nothing > 0).all()
    assert (nothing < 1e-9).all()
