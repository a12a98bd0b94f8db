"""The mean of several learners."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix, identity

import histodecon as hd
from histodecon.models.learners.ensemble import SEED_STEP

SMALL = {"n_networks": 1, "max_epochs": 3, "hidden": 8}


@pytest.fixture
def data() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(90, 6)).astype("float32")
    return X, np.clip(4 + X[:, :3] + 0.2 * rng.normal(size=(90, 3)), 0, None), np.repeat(["a", "b", "c"], 30)


def test_it_is_the_mean_of_its_members_each_trained_alone(data: tuple) -> None:
    X, Y, groups = data
    params = {"members": ["ridge", "mlp"], "n_seeds": 2, "params": {"mlp": SMALL}}
    whole = hd.AbundanceRegressor("ensemble", params=params, device="cpu").fit(X, Y, groups=groups)
    single = []
    for i, (name, own) in enumerate([("ridge", None), ("ridge", None), ("mlp", SMALL), ("mlp", SMALL)]):
        model = hd.AbundanceRegressor(name, params=own, device="cpu", random_state=SEED_STEP * i)
        model.fit(X, Y, groups=groups)
        single.append(model.learner_.predict(model._inputs(X)))
    np.testing.assert_allclose(whole.learner_.predict(whole._inputs(X)), np.mean(single, axis=0), atol=1e-12)
    assert not np.array_equal(single[2], single[3]), "seeds differ"


def test_members_read_their_own_columns_and_the_file_keeps_every_bit(data: tuple, tmp_path) -> None:
    X, Y, groups = data
    ring: csr_matrix = csr_matrix(np.roll(identity(len(X)).toarray(), 1, axis=0))
    params = {"members": ["context", "ridge"], "params": {"context": {**SMALL, "rings": 1}}}
    model = hd.AbundanceRegressor("ensemble", params=params, device="cpu").fit(X, Y, groups=groups, neighbors=[ring])
    again = hd.AbundanceRegressor.load(model.save(tmp_path / "m.safetensors"))
    np.testing.assert_array_equal(again.predict(X, neighbors=[ring]), model.predict(X, neighbors=[ring]))
    ridge = model.learner_.members_[1]
    assert ridge.coefficients_.shape[0] == X.shape[1], "ridge reads no neighbors"


def test_weights_reach_the_members(data: tuple) -> None:
    X, Y, _ = data
    params = {"members": ["ridge"]}
    weights = np.random.default_rng(1).random(Y.shape) + 0.1
    one = hd.AbundanceRegressor("ensemble", params=params).fit(X, Y, weights=weights).predict(X)
    np.testing.assert_allclose(one, hd.AbundanceRegressor("ridge").fit(X, Y, weights=weights).predict(X), atol=1e-12)


@pytest.mark.parametrize(
    "params",
    [
        {"members": []},
        {"members": "ridge"},
        {"members": ["ridge", "ridge"]},
        {"members": ["ridge", "absent"]},
        {"members": ["ensemble"]},
        {"n_seeds": 0},
        {"n_seeds": True},
        {"n_seeds": 1.5},
        {"params": {"other": {}}},
        {"members": ["mlp"], "params": {"mlp": {"hidden": 0}}},
    ],
)
def test_parameters_that_make_no_sense_are_refused(params: dict) -> None:
    with pytest.raises(hd.InputError):
        hd.models.get_learner("ensemble").build(params)
