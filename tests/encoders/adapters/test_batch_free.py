"""The adapter against genes without the patient, on data with a known answer."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch
from encoders.adapters.test_seal import gain

from histodecon.encoders.adapters.batch_free import _across, _within

with_scvi = pytest.mark.skipif(importlib.util.find_spec("scvi") is None, reason="the extra cell2location is absent")
PARAMS = {"max_epochs": 60, "n_held_in": 3, "gene_epochs": 40}


@with_scvi
def test_it_raises_cc_on_patients_left_out_where_stains_differ() -> None:
    gains, epochs = zip(*(gain("batch_free", 1.0, patient, PARAMS) for patient in ("P1", "P2")), strict=True)
    assert min(epochs) > 0
    assert np.mean(gains) > 0.05


@with_scvi
@pytest.mark.filterwarnings("ignore:.*HD-BI-130")
def test_it_does_not_lower_cc_where_stains_do_not_differ() -> None:
    found, _ = gain("batch_free", 0.0, "P2", PARAMS)
    assert found >= 0


def test_within_a_patient_only_his_own_spots_are_wrong_answers() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(5, 5))
    groups = np.array([0, 0, 0, 1, 1])
    slow = []
    for one in (logits, logits.T):
        for i in range(5):
            own = np.exp(one[i][groups == groups[i]])
            slow.append(-np.log(np.exp(one[i, i]) / own.sum()))
    same = torch.as_tensor(groups[:, None] == groups[None])
    assert float(_within(torch.as_tensor(logits), same)) == pytest.approx(np.mean(slow))


def test_across_patients_those_with_like_genes_are_right_answers() -> None:
    rng = np.random.default_rng(1)
    logits, alike = rng.normal(size=(5, 5)), rng.normal(size=(5, 5))
    alike = alike + alike.T
    groups = np.array([0, 0, 0, 1, 1])
    slow = []
    for one in (logits, logits.T):
        for i in range(5):
            others = groups != groups[i]
            right, given = (np.exp(v[i][others]) / np.exp(v[i][others]).sum() for v in (alike, one))
            slow.append(-(right * np.log(given)).sum())
    same = torch.as_tensor(groups[:, None] == groups[None])
    found = _across(torch.as_tensor(logits), torch.as_tensor(alike), same)
    assert float(found) == pytest.approx(np.mean(slow))


def test_gradients_are_finite_where_a_batch_holds_one_patient_or_equal_spots() -> None:
    logits = torch.zeros(4, 4, requires_grad=True)
    for same in (torch.ones(4, 4, dtype=torch.bool), torch.eye(4, dtype=torch.bool)):
        loss = _within(logits, same) + _across(logits, logits.detach(), same)
        (gradient,) = torch.autograd.grad(loss, logits)
        assert torch.isfinite(loss)
        assert torch.isfinite(gradient).all()
