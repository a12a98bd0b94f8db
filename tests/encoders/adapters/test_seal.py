"""The adapter against smoothed genes, on data with a known answer."""

from __future__ import annotations

import numpy as np
import pytest
from planted_stain import planted

from histodecon import stats
from histodecon.encoders import EmbeddingAdapter
from histodecon.models import AbundanceRegressor

PARAMS = {"max_epochs": 60, "n_held_in": 3}


def gain(method: str, stain: float, patient: str, params: dict) -> tuple[float, int]:
    """What ridge gains in CC on a patient left out, and how long the adapter was trained."""
    X, cells, counts, patients = planted(stain, n_patients=8)
    train = patients != patient
    adapter = EmbeddingAdapter(method, params=params, device="cpu")
    adapter.fit(X[train], counts[train], groups=patients[train])
    scores = []
    for Z in (X, adapter.transform(X)):
        model = AbundanceRegressor("ridge").fit(Z[train], cells[train], groups=patients[train])
        scores.append(np.mean(stats.pearson_per_type(cells[~train], model.predict(Z[~train]))))
    return float(scores[1] - scores[0]), adapter.history_["trained_epochs"]


def test_it_raises_cc_on_patients_left_out_where_stains_differ() -> None:
    gains, epochs = zip(*(gain("seal", 1.0, patient, PARAMS) for patient in ("P1", "P2")), strict=True)
    assert min(epochs) > 0
    assert np.mean(gains) > 0.05


@pytest.mark.filterwarnings("ignore:.*HD-BI-130")
def test_it_does_not_lower_cc_where_stains_do_not_differ() -> None:
    found, _ = gain("seal", 0.0, "P2", PARAMS)
    assert found >= 0
