"""The shape that LazySlide asks for, declared here as it is there; nothing of LazySlide is needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pytest
import torch

import histodecon as hd
from histodecon.models import AbundanceRegressor, EncoderRecord

X = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
Y = np.abs(X[:, :2])


@runtime_checkable
class FeaturePredictionModelProtocol(Protocol):
    """As `lazyslide_models.base.FeaturePredictionModelProtocol` of lazyslide-models at 0127beb5 (June 2026) asks.

    `lazyslide.tl.feature_prediction` (LazySlide at 2dbdc42d) calls `to` and, in batches, `predict`; takes a mapping from name to
    (n,) or (n, 1), of the same names in every batch; and reads `name` and `features_model_name`.
    """

    model: Any
    name: str

    def get_transform(self) -> Callable | None: ...

    def to(self, device: Any) -> Any: ...

    def try_compile(self, **compile_kws: Any) -> Any: ...

    def predict(self, features: Any, *args: Any, **kwargs: Any) -> dict[str, Any]: ...


def fitted(learner: str = "ridge", names: tuple[str, ...] = ("conch",), **kwargs: Any) -> AbundanceRegressor:
    records = [EncoderRecord(f"X_{name}", name, 4 // len(names)) for name in names]
    params = {"max_epochs": 2, "hidden": 4} if learner in ("mlp", "context") else None
    model = AbundanceRegressor(learner, params=params, device="cpu")
    return model.fit(X, Y, encoders=records, cell_types=["T cell", "B/cell"], **kwargs)


def test_it_has_the_shape() -> None:
    adapter = fitted().as_lazyslide()
    assert isinstance(adapter, FeaturePredictionModelProtocol)
    assert adapter.get_transform() is None
    assert adapter.to("cuda:3") is adapter
    assert adapter.try_compile(mode="max-autotune") is None
    assert adapter.name == "histodecon_ridge"
    assert "conch" in repr(adapter)


@pytest.mark.parametrize("learner", ["ridge", "mlp", "mean"])
@pytest.mark.parametrize("as_features", [np.asarray, torch.as_tensor, lambda x: torch.as_tensor(x).requires_grad_()])
def test_it_predicts_what_the_regressor_does(learner: str, as_features: Callable) -> None:
    model = fitted(learner)
    adapter = model.as_lazyslide()
    batches = [adapter.predict(as_features(X[start : start + 16])) for start in range(0, 40, 16)]
    assert all(list(batch) == ["T cell", "B/cell"] for batch in batches)
    found = np.column_stack([np.concatenate([batch[name] for batch in batches]) for name in batches[0]])
    assert found.shape == (40, 2)
    np.testing.assert_allclose(found, model.predict(X), rtol=1e-5, atol=1e-6)


def test_mixed_precision_of_the_caller_changes_nothing() -> None:
    adapter = fitted("mlp").as_lazyslide()
    alone = adapter.predict(X)
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.inference_mode():
        within = adapter.predict(torch.as_tensor(X))
    for name, values in alone.items():
        np.testing.assert_array_equal(within[name], values)


@pytest.mark.parametrize(
    ("names", "given", "expected"),
    [
        (("conch",), None, "conch"),
        (("h_optimus_0",), None, "h-optimus-0"),
        (("uni2h",), None, "uni2"),
        (("phikon_v2",), None, "phikonv2"),
        (("conch",), "mine", "mine"),
        (("conch", "uni"), None, None),
        (("conch", "uni"), "both", "both"),
    ],
)
def test_where_features_are_looked_for(names: tuple[str, ...], given: str | None, expected: str | None) -> None:
    assert fitted(names=names).as_lazyslide(given).features_model_name == expected


def test_another_width_is_refused() -> None:
    with pytest.raises(hd.ModelMismatchError, match="BI-44"):
        fitted().as_lazyslide().predict(X[:, :3])


def test_learners_that_read_neighbors_are_refused() -> None:
    from scipy.sparse import identity

    ring = identity(40, format="csr")
    model = fitted("context", neighbors=[ring, ring])
    with pytest.raises(hd.InputError, match=r"BI-121.*batches.*predict_abundance"):
        model.as_lazyslide()


def test_a_regressor_that_learned_nothing() -> None:
    from sklearn.exceptions import NotFittedError

    for ask in ("as_lazyslide", "model_card"):
        with pytest.raises(NotFittedError):
            getattr(AbundanceRegressor(), ask)()
    with pytest.raises(NotFittedError):
        AbundanceRegressor().push_to_hub("lab/net")
    assert not hasattr(AbundanceRegressor(), "license_notice_")
