"""The registry of adapters: how one is added, found and refused."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import histodecon as hd
from histodecon.encoders import (
    Adapter,
    AdapterCard,
    AdapterData,
    EmbeddingAdapter,
    _adapters,
    get_adapter,
    list_adapters,
    register_adapter,
)


class Push(Adapter):
    """Adds a constant."""

    def fit(self, data: AdapterData, **_: Any) -> Push:
        self.push_ = np.full(data.X.shape[1], self.params["by"], dtype=np.float32)
        self.history_ = {"trained_epochs": 1}
        return self

    def shift(self, X: np.ndarray) -> np.ndarray:
        return np.broadcast_to(self.push_, X.shape)

    def shapes(self, n_inputs: int) -> dict[str, tuple[int, ...]]:
        return {"push": (n_inputs,)}

    def arrays(self) -> dict[str, np.ndarray]:
        return {"push": self.push_}

    def restore(self, arrays: dict[str, np.ndarray]) -> Push:
        self.push_ = arrays["push"]
        return self


class Half(Adapter):
    """Forgets most of what an adapter must do."""

    def shift(self, X: np.ndarray) -> np.ndarray:
        return X


MINE = AdapterCard("push", "Adds a constant.", Push, {"by": 2.0}, "none")


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_adapters, "_REGISTRY", dict(_adapters._cards()))


def test_one_that_was_registered_is_listed_built_used_and_kept() -> None:
    assert register_adapter(MINE) is MINE
    assert get_adapter("push") is MINE
    row = list_adapters().loc["push"]
    assert row.to_list() == ["Adds a constant.", "by=2.0", "none"]
    assert list(list_adapters().index) == ["batch_free", "push", "seal"]
    rng = np.random.default_rng(0)
    X, counts = rng.normal(size=(20, 3)).astype(np.float32), rng.poisson(3.0, (20, 5))
    adapter = EmbeddingAdapter("push", params={"by": 0.5}, device="cpu").fit(X, counts)
    np.testing.assert_allclose(adapter.transform(X), X + 0.5 * X.std(axis=0), rtol=1e-5)
    again = EmbeddingAdapter.from_bytes(adapter.to_bytes())
    np.testing.assert_array_equal(again.transform(X), adapter.transform(X))
    assert again.sha256_ == adapter.sha256_


def test_a_file_of_an_adapter_that_is_not_registered_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    register_adapter(MINE)
    rng = np.random.default_rng(0)
    content = EmbeddingAdapter("push").fit(rng.normal(size=(20, 3)), rng.poisson(3.0, (20, 5))).to_bytes()
    monkeypatch.setattr(_adapters, "_REGISTRY", {})
    with pytest.raises(hd.HistodeconError, match="names an adapter"):
        EmbeddingAdapter.from_bytes(content)


def test_a_name_is_given_once() -> None:
    register_adapter(MINE)
    register_adapter(MINE)  # the same card again, as when a cell of a notebook is run twice
    with pytest.raises(hd.InputError, match=r"BI-53.*'push' is registered already.*Adds a constant"):
        register_adapter(dataclasses.replace(MINE, summary="Another."))
    with pytest.raises(hd.InputError, match=r"BI-53.*'seal'"):
        register_adapter(dataclasses.replace(MINE, name="seal"))
    assert get_adapter("seal").cls is not Push
    assert get_adapter("push") is MINE


@pytest.mark.parametrize(
    ("field", "value", "match"),
    [
        ("name", "my adapter", "letters, digits"),
        ("name", "a/b", "letters, digits"),
        ("name", "", "letters, digits"),
        ("name", 3, "letters, digits"),
        ("cls", Half, "with arrays, fit, restore, shapes"),
        ("cls", Adapter, "subclass"),
        ("cls", dict, "subclass"),
        ("cls", MINE, "subclass"),
        ("defaults", {"by": float("nan")}, "finite numbers"),
        ("defaults", {"by": np.zeros(3)}, "finite numbers"),
    ],
)
def test_a_card_that_makes_no_sense_is_refused(field: str, value: Any, match: str) -> None:
    with pytest.raises(hd.InputError, match=rf"BI-72.*`{field}=.*{match}"):
        dataclasses.replace(MINE, **{field: value})


@pytest.mark.parametrize("card", [Push, "push", None, SimpleNamespace(name="push", summary="Adds.")])
def test_what_is_no_card_is_not_registered(card: Any) -> None:
    with pytest.raises(hd.InputError, match=r"BI-72.*by its card.*AdapterCard"):
        register_adapter(card)
    assert "push" not in list_adapters().index


def test_a_misspelled_adapter_or_parameter_gets_a_proposal() -> None:
    register_adapter(MINE)
    with pytest.raises(hd.InputError, match=r"BI-51.*did you mean `push`"):
        get_adapter("pusch")
    with pytest.raises(hd.InputError, match=r"BI-72.*it has: by"):
        MINE.build({"how": 1})
    assert MINE.build({"by": 1.0}).params == {"by": 1.0}


def test_defaults_of_a_card_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        MINE.defaults["by"] = 3.0
