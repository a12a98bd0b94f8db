"""The residual adapter: the identity at first, and where nothing helps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from planted_stain import planted

from histodecon.encoders._adapters import AdapterData, get_adapter
from histodecon.encoders._expression import standardize
from histodecon.encoders._residual import REACH

QUICK = {"max_epochs": 3, "n_held_in": 2, "bottleneck": 8, "hidden": 16}


def data(stain: float = 1.0) -> AdapterData:
    X, _, counts, patients = planted(stain, n_patients=3, n_spots=30)
    groups = np.unique(patients, return_inverse=True)[1]
    Z = ((X - X.mean(axis=0)) / X.std(axis=0)).astype(np.float32)
    return AdapterData(Z, counts.astype(np.float32), standardize(np.log1p(counts), groups), groups)


def test_it_starts_as_the_identity_and_stays_it_where_held_in_groups_gain_nothing() -> None:
    given = data()
    adapter = get_adapter("seal").build({**QUICK, "min_gain": 1.0}).fit(given, device="cpu")
    assert adapter.is_identity
    assert adapter.history_["trained_epochs"] == 0
    assert not adapter.shift(given.X).any()


def test_the_same_seed_gives_the_same_arrays_and_leaves_torch_alone() -> None:
    given, before = data(), torch.get_rng_state()
    one, other = (get_adapter("seal").build({**QUICK, "min_gain": 0.0, "learning_rate": 0.02}) for _ in range(2))
    one.fit(given, random_state=3, device="cpu")
    other.fit(given, random_state=3, device="cpu")
    assert torch.equal(before, torch.get_rng_state())
    for name, array in one.arrays().items():
        np.testing.assert_array_equal(array, other.arrays()[name])
        assert array.shape == one.shapes(given.X.shape[1])[name]
        assert array.dtype == np.float32


def test_far_embeddings_are_moved_no_farther_than_those_at_the_edge() -> None:
    given = data()
    adapter = get_adapter("seal").build(QUICK)
    rng = np.random.default_rng(0)
    adapter.restore({name: rng.normal(size=shape).astype(np.float32) for name, shape in adapter.shapes(24).items()})
    far = np.full((1, 24), 100.0, np.float32)
    np.testing.assert_array_equal(adapter.shift(far), adapter.shift(np.full((1, 24), REACH, np.float32)))
    assert adapter.shift(given.X).shape == given.X.shape


@pytest.mark.parametrize("method", ["seal", "batch_free"])
def test_parameters_that_make_no_sense_are_refused(method: str) -> None:
    card = get_adapter(method)
    for key in card.defaults:
        for value in (None, "much", -1, float("nan"), float("inf"), True, [], 10**30):
            with pytest.raises(ValueError, match="BI-72"):
                card.build({key: value})
    with pytest.raises(ValueError, match="did you mean `temperature`"):
        card.build({"temperatur": 1.0})
