"""The registry: what a card promises, and what every learner keeps."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import histodecon as hd
from histodecon.models import FitContext, Learner, LearnerCard, get_learner, list_learners, register_learner
from histodecon.models import _learners as registry

NAMES = list(list_learners().index)
CONTEXT = FitContext(random_state=3, device="cpu")


def task(n: int = 60, d: int = 9, k: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    X = rng.normal(size=(n, d))
    Y = X[:, :k] + 0.1 * rng.normal(size=(n, k))
    return X, Y, np.arange(n) % 3


def test_the_own_learners_are_there() -> None:
    assert set(NAMES) >= {"mean", "ridge", "mlp", "context", "ensemble"}


@pytest.mark.parametrize("name", NAMES)
def test_arrays_are_as_declared_and_restore_predicts_the_same_bits(name: str) -> None:
    X, Y, groups = task()
    card = get_learner(name)
    learner = card.build().fit(X, Y, groups, CONTEXT)
    arrays = learner.arrays()
    assert {key: value.shape for key, value in arrays.items()} == learner.shapes(X.shape[1], Y.shape[1])
    assert {key: str(value.dtype) for key, value in arrays.items()} == {key: learner.float_of(key) for key in arrays}
    again = card.build().restore({key: value.copy() for key, value in arrays.items()})
    np.testing.assert_array_equal(again.predict(X), learner.predict(X))
    assert learner.predict(X).shape == Y.shape


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_bits(name: str) -> None:
    X, Y, groups = task()
    one, two = (get_learner(name).build().fit(X, Y, groups, CONTEXT).predict(X) for _ in range(2))
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("name", NAMES)
def test_one_row_and_no_row_are_predicted(name: str) -> None:
    X, Y, groups = task()
    learner = get_learner(name).build().fit(X, Y, groups, CONTEXT)
    np.testing.assert_allclose(learner.predict(X[:1]), learner.predict(X)[:1], rtol=1e-5, atol=1e-6)
    assert learner.predict(X[:0]).shape == (0, 3)


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
