"""The mean of several learners."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix, identity

import histodecon as hd
from histodecon.models.learners.ensemble import SEED_STEP
from histodecon.models.learners.mean import MeanLearner

SMALL = {"n_networks": 1, "max_epochs": 3, "hidden": 8}


@pytest.fixture
def data() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(90, 6)).astype("float32")
    return X, np.clip(4 + X[:, :3] + 0.2 * rng.normal(size=(90, 3)), 0, None), np.repeat(["a", "b", "c"], 30)


def alone(name: str, data: tuple, params: dict | None, seed: int = 0) -> np.ndarray:
    X, Y, groups = data
    model = hd.AbundanceRegressor(name, params=params, device="cpu", random_state=seed).fit(X, Y, groups=groups)
    return model.learner_.predict(model._inputs(X))


def test_it_is_the_mean_of_its_members_each_trained_alone(data: tuple) -> None:
    params = {"members": ["ridge", "mlp"], "n_seeds": 2, "params": {"mlp": SMALL}}
    one, other = (alone("mlp", data, SMALL, seed) for seed in (0, SEED_STEP))
    assert not np.array_equal(one, other), "seeds differ"
    expected = (alone("ridge", data, None) + (one + other) / 2) / 2
    np.testing.assert_allclose(alone("ensemble", data, params), expected, atol=1e-12)


def test_one_member_alone_is_that_learner_to_the_last_bit(data: tuple) -> None:
    params = {"members": ["mlp"], "params": {"mlp": SMALL}}
    np.testing.assert_array_equal(alone("ensemble", data, params), alone("mlp", data, SMALL))


def test_who_draws_nothing_is_trained_once_and_the_file_keeps_float32() -> None:
    params = {"members": ["ridge", "mlp", "context"], "n_seeds": 2}
    learner = hd.models.get_learner("ensemble").build(params)
    shapes = learner.shapes(3 * 5, 2)
    labels = {name.split(".")[0] for name in shapes}
    assert labels == {"ridge_0", "mlp_0", "mlp_1", "context_0", "context_1"}
    assert {name for name in shapes if learner.float_of(name) == "float64"} == {
        "ridge_0.coefficients",
        "ridge_0.intercept",
    }


def test_it_takes_weights_when_all_members_do(monkeypatch: pytest.MonkeyPatch) -> None:
    assert hd.models.get_learner("ensemble").build({"members": ["ridge", "mean"]}).takes_weights
    monkeypatch.setattr(MeanLearner, "takes_weights", False)
    assert not hd.models.get_learner("ensemble").build({"members": ["ridge", "mean"]}).takes_weights


def test_members_read_their_own_columns_and_the_file_keeps_every_bit(data: tuple, tmp_path) -> None:
    X, Y, groups = data
    ring: csr_matrix = csr_matrix(np.roll(identity(len(X)).toarray(), 1, axis=0))
    params = {"members": ["context", "ridge"], "params": {"context": {**SMALL, "rings": 1}}}
    model = hd.AbundanceRegressor("ensemble", params=params, device="cpu").fit(X, Y, groups=groups, neighbors=[ring])
    again = hd.AbundanceRegressor.load(model.save(tmp_path / "m.safetensors"))
    np.testing.assert_array_equal(again.predict(X, neighbors=[ring]), model.predict(X, neighbors=[ring]))
    ridge = model.learner_.members_["ridge"][0]
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
        {"members": [["ridge"]]},
        {"members": {"ridge": 1}},
        {"params": {"other": {}}},
        {"params": {"ridge": ["strength"]}},
        {"params": None},
        {"members": ["mlp"], "params": {"mlp": {"hidden": 0}}},
    ],
)
def test_parameters_that_make_no_sense_are_refused(params: dict) -> None:
    with pytest.raises(hd.InputError, match=r"BI-72|BI-51"):
        hd.models.get_learner("ensemble").build(params)


def test_members_may_learn_from_genes_and_weigh_encoders(data: tuple) -> None:
    from learner_material import counts_of

    X, Y, groups = data
    records = [hd.models.EncoderRecord("X_a", "a", 2), hd.models.EncoderRecord("X_b", "b", 4)]
    params = {"members": ["cuca", "fusion"], "params": {"cuca": SMALL, "fusion": SMALL}}
    model = hd.AbundanceRegressor("ensemble", params=params, device="cpu")
    with pytest.raises(hd.InputError, match="BI-123"):
        model.fit(X, Y, groups=groups, encoders=records)
    model.fit(X, Y, groups=groups, encoders=records, genes=counts_of(len(X), ["a", "b", "c"]))
    assert "fusion_0.network_0.compress.1.weight" in model.learner_.arrays()
    again = hd.AbundanceRegressor.from_bytes(model.to_bytes())
    np.testing.assert_array_equal(again.predict(X), model.predict(X))


@pytest.mark.parametrize("member", ["cpnn", "cpnn_abundance", "graph_attention", "nuclei"])
def test_learners_on_another_scale_are_no_members(member: str) -> None:
    with pytest.raises(hd.InputError, match=r"BI-72.*no member"):
        hd.models.get_learner("ensemble").build({"members": ["ridge", member]})
