"""The estimator: scikit-learn's manners, scales from training rows only, answers that are finite and not negative."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from learner_material import needs, small
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import histodecon as hd
from histodecon.models import TRANSFORMS, AbundanceRegressor, EncoderRecord, get_learner, list_learners

LEARNERS = list(list_learners().index)
QUICK = {name: small(name, max_epochs=10, hidden=16) for name in LEARNERS}
STANDARDIZED = [name for name in LEARNERS if not get_learner(name).cls.absolute]


def task(n: int = 80, d: int = 10, k: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)).astype(np.float32) * 3 + 1
    Y = np.clip(X[:, :k] + rng.normal(size=(n, k)) * 0.3, 0, None) + 0.01
    return X, Y, rng.integers(0, 3, n)


class OnALine(AbundanceRegressor):
    """Rows stand on a line: learners that read neighbors get those one and two steps away."""

    def fit(self, X, y, **kwargs) -> AbundanceRegressor:
        types = kwargs.get("cell_types") or [f"type_{k}" for k in range(np.shape(y)[1])] if np.ndim(y) == 2 else []
        return super().fit(X, y, **kwargs, **needs(get_learner(self.learner).build(self.params), len(y), types))

    def predict(self, X, **kwargs) -> np.ndarray:
        return super().predict(X, **kwargs, **needs(self.learner_, X.shape[0], self.cell_types_, predicting=True))


def model(learner: str = "ridge", **kwargs) -> AbundanceRegressor:
    return OnALine(learner, params=QUICK.get(learner), device="cpu", **kwargs)


def test_init_only_stores_and_clone_is_unfitted() -> None:
    params = {"strength": 1.0}
    regressor = AbundanceRegressor("ridge", params=params, transform="sqrt", random_state=4)
    assert regressor.params is params
    X, Y, _ = task()
    again = clone(regressor.fit(X, Y))
    assert again.get_params() == regressor.get_params()
    assert not hasattr(again, "learner_")
    with pytest.raises(NotFittedError):
        again.predict(X)


@pytest.mark.parametrize("learner", LEARNERS)
def test_fit_returns_self_and_the_same_seed_gives_the_same_bits(learner: str) -> None:
    X, Y, groups = task()
    one = model(learner)
    assert one.fit(X, Y, groups=groups) is one
    np.testing.assert_array_equal(one.predict(X), model(learner).fit(X, Y, groups=groups).predict(X))


@pytest.mark.parametrize("learner", LEARNERS)
@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.filterwarnings("ignore")
def test_answers_are_finite_and_not_negative(learner: str, transform: str) -> None:
    X, Y, groups = task()
    if get_learner(learner).cls.absolute and transform != "none":
        with pytest.raises(hd.InputError, match=r"BI-72.*as they are"):
            model(learner, transform=transform).fit(X, Y, groups=groups)
        return
    predicted = model(learner, transform=transform).fit(X, Y, groups=groups).predict(X * 50)
    assert np.isfinite(predicted).all()
    assert (predicted >= 0).all()
    if transform == "proportion":
        np.testing.assert_allclose(predicted.sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("learner", LEARNERS)
def test_proportions_sum_to_one(learner: str) -> None:
    X, Y, groups = task()
    regressor = model(learner).fit(X, Y / Y.sum(1, keepdims=True), groups=groups, kind="proportion")
    np.testing.assert_allclose(regressor.predict(X).sum(axis=1), 1, atol=1e-6)


def test_the_scale_of_the_targets_does_not_matter() -> None:
    X, Y, groups = task()
    small, large = (model("mlp").fit(X, Y * scale, groups=groups).predict(X) / scale for scale in (1e-4, 1e6))
    np.testing.assert_allclose(small, large, rtol=1e-3, atol=1e-4)


def test_the_scale_of_the_inputs_does_not_matter() -> None:
    X, Y, groups = task()
    factors = np.float32(2.0) ** np.arange(-5, 5)
    one = model().fit(X, Y, groups=groups).predict(X)
    np.testing.assert_allclose(model().fit(X * factors, Y, groups=groups).predict(X * factors), one, rtol=1e-5)


def test_a_weak_second_encoder_does_not_drown_the_first() -> None:
    X, Y, groups = task(200)
    noise = np.random.default_rng(9).normal(size=(200, 5)).astype(np.float32) * 1000
    records = [EncoderRecord("X_a", "a", 10), EncoderRecord("X_b", "b", 5)]
    both = model().fit(np.hstack([X, noise])[:100], Y[:100], groups=groups[:100], encoders=records)
    error = np.abs(both.predict(np.hstack([X, noise])[100:]) - Y[100:]).mean()
    alone = np.abs(model().fit(X[:100], Y[:100], groups=groups[:100]).predict(X[100:]) - Y[100:]).mean()
    assert error < 1.2 * alone


def test_a_wide_encoder_does_not_drown_a_narrow_one_where_they_weigh_the_same() -> None:
    X, Y, groups = task(200)
    both = np.hstack([X, np.random.default_rng(9).normal(size=(200, 400)).astype(np.float32)])
    records = [EncoderRecord("X_a", "a", 10), EncoderRecord("X_b", "b", 400)]
    error = {}
    for how in ("none", "width"):
        fitted = model(block_scaling=how).fit(both[:100], Y[:100], groups=groups[:100], encoders=records)
        error[how] = np.abs(fitted.predict(both[100:]) - Y[100:]).mean()
        again = AbundanceRegressor.from_bytes(fitted.to_bytes())
        assert again.block_scaling == how
        np.testing.assert_array_equal(again.predict(both), fitted.predict(both))
    assert error["width"] < 0.8 * error["none"]


def test_a_constant_cell_type_stays_and_is_named() -> None:
    X, Y, groups = task()
    Y[:, 1] = 0.0
    for learner in STANDARDIZED:
        params = {"params": small(learner, max_epochs=150, hidden=16)} if learner == "graph_attention" else {}
        regressor = model(learner).set_params(**params).fit(X, Y, groups=groups, cell_types=["a", "b", "c"])
        assert regressor.training_["constant_types"] == ["b"]
        assert np.abs(regressor.predict(X)[:, 1]).max() < 0.5, learner


def test_a_constant_column_is_harmless() -> None:
    X, Y, groups = task()
    X[:, 4] = 2.5
    assert np.isfinite(model("mlp").fit(X, Y, groups=groups).predict(X)).all()


@pytest.mark.parametrize("learner", LEARNERS)
def test_the_container_of_the_embedding_does_not_matter(learner: str) -> None:
    import pandas as pd
    import scipy.sparse as sp

    X, Y, groups = task()
    expected = model(learner).fit(X, Y, groups=groups).predict(X)
    frozen = X.copy()
    frozen.flags.writeable = False
    for other in (np.asfortranarray(X), sp.csr_matrix(X), pd.DataFrame(X), X.astype(np.float64), frozen):
        np.testing.assert_array_equal(model(learner).fit(other, Y, groups=groups).predict(other), expected)


@pytest.mark.parametrize(
    ("spoil", "error", "words"),
    [
        (lambda X, Y: (np.where(X > 2, np.nan, X), Y), hd.InputError, "BI-42"),
        (lambda X, Y: (X.astype(str), Y), hd.InputError, "BI-48"),
        (lambda X, Y: (np.ones_like(X), Y), hd.InputError, "BI-43"),
        (lambda X, Y: (X, -Y), hd.TargetError, "BI-59"),
        (lambda X, Y: (X, np.full_like(Y, np.nan)), hd.TargetError, "BI-60"),
        (lambda X, Y: (X, Y[:5]), hd.InputError, "y must have shape"),
        (lambda X, Y: (X[:1], Y[:1]), hd.InputError, "BI-31"),
    ],
)
def test_bad_input_is_told(spoil, error: type[Exception], words: str) -> None:
    X, Y, _ = task()
    with pytest.raises(error, match=words):
        model().fit(*spoil(X, Y))


def test_bad_options_are_told() -> None:
    X, Y, groups = task()
    for call in (
        lambda: model(transform="log").fit(X, Y),
        lambda: model(block_scaling="depth").fit(X, Y),
        lambda: model().fit(X, Y, kind="share"),
        lambda: model().fit(X, Y, cell_types=["a", "a", "b"]),
        lambda: model().fit(X, Y, groups=groups[:3]),
        lambda: model().fit(X, Y, encoders=[EncoderRecord("X_a", "a", 9)]),
    ):
        with pytest.raises(hd.InputError):
            call()


def test_another_width_is_refused() -> None:
    X, Y, _ = task()
    with pytest.raises(hd.ModelMismatchError, match="BI-44"):
        model().fit(X, Y).predict(X[:, :4])


def test_shuffled_targets_teach_nothing() -> None:
    X, Y, groups = task(600, 20)
    order = np.random.default_rng(0).permutation(600)
    for learner in ("ridge", "mlp"):
        regressor = model(learner).fit(X[:300], Y[order][:300], groups=groups[:300])
        predicted = regressor.predict(X[300:])
        r = [np.corrcoef(predicted[:, k], Y[order][300:, k])[0, 1] for k in range(3)]
        assert abs(np.nanmean(r)) < 0.1


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(2, 12), st.integers(1, 6), st.integers(1, 5), st.integers(0, 10))
def test_any_small_table_gives_finite_answers(n: int, d: int, k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    X, Y = rng.normal(size=(n, d)), rng.gamma(0.5, 10, size=(n, k))
    assert np.isfinite(model("ridge").fit(X, Y, groups=rng.integers(0, 2, n)).predict(X)).all()


@pytest.mark.parametrize("learner", [name for name in LEARNERS if get_learner(name).build().takes_weights])
def test_weights_travel_with_the_model(learner: str) -> None:
    X, Y, groups = task()
    weights = np.random.default_rng(1).gamma(1.0, 1.0, Y.shape) + 0.01
    plain, weighted = model(learner).fit(X, Y, groups=groups), model(learner).fit(X, Y, groups=groups, weights=weights)
    assert "weights" not in plain.training_
    assert weighted.training_["weights"]["effective_rows"] < len(X)
    again = AbundanceRegressor.from_bytes(weighted.to_bytes())
    assert again.training_ == weighted.training_
    told = needs(again.learner_, len(X), again.cell_types_, predicting=True)
    np.testing.assert_array_equal(again.predict(X, **told), weighted.predict(X))
    assert np.abs(weighted.predict(X) - plain.predict(X)).max() > 1e-4
    scaled = model(learner).fit(X, Y, groups=groups, weights=weights * 8.0)
    np.testing.assert_array_equal(scaled.predict(X), weighted.predict(X))


def test_a_learner_without_weights_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from histodecon.models.learners.mean import MeanLearner

    class Old(MeanLearner):
        takes_weights = False

        def fit(self, X, Y, groups, context):  # written before weights were
            return super().fit(X, Y, groups, context)

    card = dataclasses.replace(hd.models.get_learner("mean"), cls=Old)
    monkeypatch.setattr("histodecon.models._given.get_learner", lambda name: card)
    X, Y, _ = task()
    model("mean").fit(X, Y)
    with pytest.raises(hd.InputError, match=r"(?s)BI-72.*takes no weights"):
        model("mean").fit(X, Y, weights=np.ones(len(X)))


@pytest.mark.parametrize("weights", [np.ones(5), np.zeros(80), -np.ones((80, 3)), np.ones((80, 2))])
def test_senseless_weights_are_told(weights: np.ndarray) -> None:
    X, Y, _ = task()
    with pytest.raises(hd.InputError, match="BI-72"):
        model().fit(X, Y, weights=weights)
