"""The registry: what a card promises, and what every learner keeps."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from learner_material import SMALL, context_of

import histodecon as hd
from histodecon.models import Learner, LearnerCard, get_learner, list_learners, register_learner
from histodecon.models import _learners as registry

NAMES = list(list_learners().index)


def task(n: int = 60, d: int = 9, k: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    X = rng.normal(size=(n, d))
    Y = X[:, :k] + 0.1 * rng.normal(size=(n, k))
    return X, Y, np.arange(n) % 3


def fitted(name: str, Y: np.ndarray | None = None, n: int = 60) -> tuple[Learner, np.ndarray]:
    """A learner, and the inputs it learned from."""
    X, own, groups = task(n)
    learner = get_learner(name).build(SMALL.get(name))
    targets = own if Y is None else Y
    targets = np.abs(targets) if learner.absolute else targets
    learner.blocks = (4, 5)
    X = X if learner.n_parts == 1 else np.tile(X, (1, learner.n_parts))
    return learner.fit(X, targets, groups, context_of(name, n, 3, random_state=3)), X


def test_the_own_learners_are_there() -> None:
    ours = {
        "mean",
        "ridge",
        "mlp",
        "context",
        "ensemble",
        "cuca",
        "cpnn",
        "cpnn_abundance",
        "fusion",
        "graph_attention",
        "nuclei",
    }
    assert set(NAMES) >= ours


@pytest.mark.parametrize("name", NAMES)
def test_arrays_are_as_declared_and_restore_predicts_the_same_bits(name: str) -> None:
    learner, X = fitted(name)
    arrays = learner.arrays()
    assert {key: value.shape for key, value in arrays.items()} == learner.shapes(X.shape[1], 3)
    assert {key: str(value.dtype) for key, value in arrays.items()} == {key: learner.float_of(key) for key in arrays}
    again = get_learner(name).build(SMALL.get(name))
    again.blocks, again.genes = learner.blocks, learner.genes
    again.restore({key: value.copy() for key, value in arrays.items()})
    np.testing.assert_array_equal(again.predict(X), learner.predict(X))
    assert learner.predict(X).shape == (60, 3)
    for what in ("represent", "express"):
        one, two = getattr(learner, what)(X), getattr(again, what)(X)
        assert (one is None) == (two is None)
        if one is not None:
            assert np.isfinite(one).all()
            np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_bits(name: str) -> None:
    (one, X), (two, _) = fitted(name), fitted(name)
    np.testing.assert_array_equal(one.predict(X), two.predict(X))


@pytest.mark.parametrize("name", NAMES)
def test_one_row_and_no_row_are_predicted(name: str) -> None:
    learner, X = fitted(name)
    np.testing.assert_allclose(learner.predict(X[:1]), learner.predict(X)[:1], rtol=1e-5, atol=1e-6)
    assert learner.predict(X[:0]).shape == (0, 3)


@pytest.mark.parametrize("name", [name for name in NAMES if not get_learner(name).cls.reads_targets])
def test_a_learner_that_reads_no_targets_does_not_look_at_them(name: str) -> None:
    (one, X), (two, _) = fitted(name), fitted(name, Y=np.full((60, 3), np.nan))
    np.testing.assert_array_equal(one.predict(X), two.predict(X))


@pytest.mark.parametrize("name", [name for name in NAMES if name not in {"ridge", "mean"}])
@pytest.mark.parametrize("spoil", ["constant", "far", "zero", "one group"])
@pytest.mark.filterwarnings("ignore")
def test_nasty_points_leave_finite_weights(name: str, spoil: str) -> None:
    X, Y, groups = task()
    learner = get_learner(name).build(SMALL.get(name))
    learner.blocks = (4, 5)
    X = np.tile(X, (1, learner.n_parts))
    X = {"constant": np.ones_like(X), "far": X * 1e4}.get(spoil, X)
    Y = np.abs(np.zeros_like(Y) if spoil == "zero" else Y)
    groups = np.zeros_like(groups) if spoil == "one group" else groups
    learner.fit(X, Y, groups, context_of(name, 60, 3))
    assert all(np.isfinite(value).all() for value in learner.arrays().values())
    assert np.isfinite(learner.predict(X)).all()


def test_cards_are_frozen() -> None:
    card = get_learner("mlp")
    with pytest.raises(dataclasses.FrozenInstanceError):
        card.name = "other"
    with pytest.raises(TypeError):
        card.defaults["hidden"] = 3


def test_a_misspelled_learner_or_parameter_gets_a_proposal() -> None:
    with pytest.raises(hd.InputError, match="did you mean `ridge`"):
        get_learner("rigde")
    with pytest.raises(hd.InputError, match="did you mean `dropout`"):
        get_learner("mlp").build({"drop_out": 0.1})


def test_adding_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_REGISTRY", dict(registry._REGISTRY))
    mean = get_learner("mean")
    card = LearnerCard("floor", "The same under another name.", mean.cls, {}, "none")
    register_learner(card)
    assert "floor" in list_learners().index
    assert get_learner("floor") is card
    register_learner(card)
    with pytest.raises(hd.InputError, match="already"):
        register_learner(LearnerCard("floor", "Another.", mean.cls, {}, "none"))


def test_a_learner_must_fill_in_the_interface() -> None:
    class Half(Learner):
        pass

    with pytest.raises(TypeError, match="abstract"):
        Half()
