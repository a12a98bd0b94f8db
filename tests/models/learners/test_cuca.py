"""Genes while it learns, none while it predicts."""

from __future__ import annotations

import numpy as np
import pytest
from planted_world import GENES, World, mean_cc

import histodecon as hd
from histodecon.models import AbundanceRegressor, GeneCounts, nnls_abundance

WORLD = World()
TEST = WORLD.cohort(200, range(10, 13))
PARAMS = {"n_networks": 2, "max_epochs": 60}


def learned(n: int, learner: str, **params) -> AbundanceRegressor:
    X, _, counts, patients = WORLD.cohort(n // 4, range(4))
    targets = nnls_abundance(counts, WORLD.signatures)
    model = AbundanceRegressor(learner, params={**PARAMS, **params}, device="cpu")
    return model.fit(X, targets, groups=patients, genes=GeneCounts(counts, GENES))


@pytest.fixture(scope="module")
def few() -> AbundanceRegressor:
    return learned(100, "cuca", hidden=128)


def test_with_few_spots_it_beats_the_network_of_the_method(few: AbundanceRegressor) -> None:
    found = {"cuca": few, "mlp": learned(100, "mlp")}
    cc = {name: mean_cc(TEST[1], model.predict(TEST[0]), TEST[3]) for name, model in found.items()}
    assert cc["cuca"] > cc["mlp"] > 0.3


def test_the_joint_embedding_is_that_of_every_network(few: AbundanceRegressor) -> None:
    joint = few.represent(TEST[0])
    assert joint.shape == (len(TEST[0]), 2 * 128)
    assert np.isfinite(joint).all()
    again = AbundanceRegressor.from_bytes(few.to_bytes())
    np.testing.assert_array_equal(again.represent(TEST[0]), joint)


def test_the_network_of_genes_is_not_kept(few: AbundanceRegressor) -> None:
    assert not any("gene" in name for name in few.learner_.arrays())
    assert "genes" not in few.training_


def test_alignment_draws_the_two_projections_together() -> None:
    """With nothing but alignment to learn, their distance falls by nearly half, in spite of dropout."""
    only = learned(200, "cuca", hidden=32, abundance=0.0, expression=0.0, alignment=1.0)
    losses = only.history_["network_0"]["training_loss"]
    assert losses[-1] < 0.6 * losses[0]


def test_without_genes_it_says_so() -> None:
    X, W, _, patients = WORLD.cohort(30, range(4))
    with pytest.raises(hd.InputError, match=r"BI-123.*needed to learn, not to predict"):
        AbundanceRegressor("cuca", device="cpu").fit(X, W, groups=patients)
