"""Prototypes: composition and expression from the image; abundances from counts and signatures alone."""

from __future__ import annotations

import numpy as np
import pytest
from planted_world import GENES, N_TYPES, TYPES, World, mean_cc

import histodecon as hd
from histodecon.models import AbundanceRegressor, GeneCounts, get_learner, nnls_abundance
from histodecon.models._likelihood import negative_binomial_loss

WORLD = World()
TRAINING = WORLD.cohort(150, range(4))
TEST = WORLD.cohort(200, range(10, 13))


def genes(counts: np.ndarray) -> GeneCounts:
    return GeneCounts(counts, GENES, WORLD.signatures, TYPES)


@pytest.fixture(scope="module")
def abundance() -> AbundanceRegressor:
    X, _, counts, patients = TRAINING
    model = AbundanceRegressor("cpnn_abundance", params={"n_networks": 2, "hidden": 64}, device="cpu")
    return model.fit(X, None, groups=patients, genes=genes(counts))


@pytest.fixture(scope="module")
def composition() -> AbundanceRegressor:
    X, _, counts, patients = TRAINING
    targets = nnls_abundance(counts, WORLD.signatures)
    model = AbundanceRegressor("cpnn", params={"n_networks": 2, "hidden": 64}, device="cpu")
    return model.fit(X, targets, groups=patients, genes=genes(counts), cell_types=TYPES)


def test_abundances_come_without_a_deconvolution(abundance: AbundanceRegressor) -> None:
    """Nine tenths of what a network reaches that was shown the true abundances, at least."""
    X, W, _, patients = TRAINING
    told = AbundanceRegressor("mlp", params={"n_networks": 2, "hidden": 64}, device="cpu").fit(X, W, groups=patients)
    best = mean_cc(TEST[1], told.predict(TEST[0]), TEST[3])
    found = mean_cc(TEST[1], abundance.predict(TEST[0]), TEST[3])
    assert best > 0.5
    assert found >= 0.9 * best
    assert abundance.cell_types_ == tuple(TYPES)
    assert abundance.kind_ == "abundance"


def test_abundances_have_the_scale_of_cells(abundance: AbundanceRegressor) -> None:
    assert abundance.predict(TEST[0]).sum(axis=1).mean() == pytest.approx(TEST[1].sum(axis=1).mean(), rel=0.2)


def test_signatures_stay_recognizable(abundance: AbundanceRegressor) -> None:
    network = abundance.learner_.networks_[0]
    chosen = [GENES.index(name) for name in abundance.training_["genes"]]
    learned = (network.log_prototypes.exp() * network.log_scale.exp()).detach().numpy()
    for k in range(N_TYPES):
        assert np.corrcoef(learned[k], WORLD.signatures[chosen, k])[0, 1] > 0.95


def test_genes_may_be_counted_unevenly() -> None:
    """A gene that the spots' technology counts five times as well as the reference's is no sign of five times the cells."""
    X, W, _, patients = TRAINING
    rng = np.random.default_rng(0)
    factors = np.exp(rng.normal(0, 1.4, len(GENES)))
    counts = rng.negative_binomial(5, 5 / (5 + W @ WORLD.signatures.T * factors)).astype(np.float32)
    model = AbundanceRegressor("cpnn_abundance", params={"n_networks": 1, "hidden": 64}, device="cpu")
    model.fit(X, None, groups=patients, genes=genes(counts))
    found = model.predict(TEST[0])
    assert mean_cc(TEST[1], found, TEST[3]) > 0.65
    assert found.sum(axis=1).mean() == pytest.approx(TEST[1].sum(axis=1).mean(), rel=0.25)
    chosen = [GENES.index(name) for name in model.training_["genes"]]
    learned = model.learner_.networks_[0].log_scale.detach().numpy()
    assert np.corrcoef(learned, np.log(factors[chosen]))[0, 1] > 0.95


def test_proportions_are_those_of_the_spots(composition: AbundanceRegressor) -> None:
    found = composition.predict(TEST[0])
    np.testing.assert_allclose(found.sum(axis=1), 1.0, atol=1e-6)
    assert composition.kind_ == "proportion"
    assert mean_cc(TEST[1] / TEST[1].sum(axis=1, keepdims=True), found, TEST[3]) > 0.55


def test_expression_follows_the_picture(composition: AbundanceRegressor) -> None:
    found = composition.express(TEST[0])
    chosen = [GENES.index(name) for name in composition.training_["genes"]]
    truth = TEST[1] @ WORLD.signatures[chosen].T
    assert found.shape == truth.shape
    assert mean_cc(np.sqrt(truth / truth.sum(axis=1, keepdims=True)), np.sqrt(found), TEST[3]) > 0.5
    np.testing.assert_allclose(found.sum(axis=1), np.median(TRAINING[2][:, chosen].sum(axis=1)), rtol=1e-4)


def test_a_model_keeps_its_genes(composition: AbundanceRegressor) -> None:
    again = AbundanceRegressor.from_bytes(composition.to_bytes())
    assert again.learner_.genes == composition.learner_.genes
    np.testing.assert_array_equal(again.express(TEST[0]), composition.express(TEST[0]))


def test_without_what_it_learns_from_it_says_so() -> None:
    X, W, counts, patients = TRAINING
    for name in ("cpnn", "cpnn_abundance"):
        model = AbundanceRegressor(name, device="cpu")
        with pytest.raises(hd.InputError, match=r"BI-123.*counts of genes"):
            model.fit(X, W, groups=patients)
        with pytest.raises(hd.InputError, match=r"BI-123.*signatures"):
            model.fit(X, W, groups=patients, genes=GeneCounts(counts, GENES))
        with pytest.raises(hd.InputError, match=r"BI-123.*no signature"):
            model.fit(X, W, groups=patients, genes=genes(counts), cell_types=[*TYPES[:-1], "another"])
        with pytest.raises(hd.InputError, match="BI-64"):
            model.fit(X, W, groups=patients, genes=genes(counts[:-1]), cell_types=TYPES)
    with pytest.raises(hd.InputError, match="likelihood"):
        get_learner("cpnn").build({"likelihood": "gauss"})
    with pytest.raises(hd.ModelError, match="cannot express"):
        AbundanceRegressor("ridge").fit(X, W).express(X)


def test_the_likelihood_is_that_of_scipy() -> None:
    import torch
    from scipy.stats import nbinom

    rng = np.random.default_rng(0)
    counts, mean, theta = rng.poisson(4.0, (20, 5)), rng.gamma(2.0, 3.0, (20, 5)), rng.gamma(2.0, 2.0, 5)
    found = negative_binomial_loss(torch.tensor(counts).double(), torch.tensor(mean), torch.tensor(np.log(theta)))
    np.testing.assert_allclose(found.numpy(), -nbinom.logpmf(counts, theta, theta / (theta + mean)), rtol=1e-9)


@pytest.mark.parametrize("mean", [0.0, 1e-12, 1.0, 1e12])
@pytest.mark.parametrize("count", [0.0, 1.0, 1e6])
@pytest.mark.parametrize("log_theta", [-50.0, 0.0, 50.0])
def test_the_likelihood_is_finite_at_nasty_points(mean: float, count: float, log_theta: float) -> None:
    import torch

    mu = torch.tensor([[mean]], requires_grad=True)
    theta = torch.tensor([log_theta], requires_grad=True)
    loss = negative_binomial_loss(torch.tensor([[count]]), mu, theta)
    loss.sum().backward()
    assert torch.isfinite(loss).all()
    assert torch.isfinite(mu.grad).all()
    assert torch.isfinite(theta.grad).all()
