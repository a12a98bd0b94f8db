"""The gene encoder that is told the patient."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch

if importlib.util.find_spec("scvi") is None:
    pytest.skip("the extra cell2location is absent", allow_module_level=True)

from histodecon.encoders._gene_vae import gene_latent


def test_the_latent_holds_the_cells_and_not_the_patient() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat([0, 1], 80)
    share = rng.random(160)
    signatures = rng.gamma(1.0, 3.0, size=(2, 40))
    mean = share[:, None] * signatures[0] + (1 - share)[:, None] * signatures[1]
    mean = mean * np.where(groups[:, None] == 1, rng.gamma(2.0, 0.5, size=40), 1.0)  # every gene is caught differently
    counts = rng.poisson(mean).astype(np.float32)

    def read(values: np.ndarray, target: np.ndarray) -> float:
        Z = np.c_[values, np.ones(len(values))]
        return float(np.corrcoef(Z @ np.linalg.lstsq(Z, target, rcond=None)[0], target)[0, 1])

    options = {"n_latent": 3, "max_epochs": 120, "random_state": 0, "device": torch.device("cpu")}
    latent = gene_latent(counts, groups, **options)
    assert latent.shape == (160, 3)
    assert latent.dtype == np.float32
    assert read(latent, share) > 0.85
    assert read(latent, groups) < 0.5 < read(np.log1p(counts)[:, :10], groups)


def test_the_same_seed_gives_the_same_latent() -> None:
    rng = np.random.default_rng(0)
    counts, groups = rng.poisson(2.0, size=(30, 8)).astype(np.float32), np.repeat([0, 1], 15)
    options = {"n_latent": 2, "max_epochs": 2, "random_state": 1, "device": torch.device("cpu")}
    np.testing.assert_array_equal(gene_latent(counts, groups, **options), gene_latent(counts, groups, **options))
