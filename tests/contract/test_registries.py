"""Every entry of every registry is printable, complete and named once."""

from __future__ import annotations

import dataclasses
import json

import pytest

import histodecon as hd
from histodecon.tl._deconvolution import get_deconvolution_method


@pytest.mark.parametrize(
    "listing",
    [hd.encoders.list_encoders, hd.encoders.list_adapters, hd.models.list_learners, hd.tl.list_deconvolution_methods],
    ids=["encoders", "adapters", "learners", "deconvolution methods"],
)
def test_a_registry_prints_as_a_table(listing) -> None:
    table = listing()
    assert len(table) >= 1
    assert table.index.is_unique
    assert not table.isna().any().any()


@pytest.mark.parametrize("name", list(hd.encoders.list_encoders().index))
def test_encoder_cards_are_frozen_and_complete(name: str) -> None:
    card = hd.encoders.get_encoder_card(name)
    assert card.name == name
    assert card.dim > 0
    assert card.license
    with pytest.raises(dataclasses.FrozenInstanceError):
        card.name = "other"


@pytest.mark.parametrize("name", list(hd.encoders.list_adapters().index))
def test_adapter_cards_are_frozen_and_complete(name: str) -> None:
    card = hd.encoders.get_adapter(name)
    assert card.name == name
    assert card.summary
    assert card.citation
    json.dumps(dict(card.defaults), allow_nan=False)
    assert card.build().params == dict(card.defaults)
    with pytest.raises(dataclasses.FrozenInstanceError):
        card.name = "other"
    with pytest.raises(hd.InputError, match="BI-72"):
        card.build({"nonsense": 1})


@pytest.mark.parametrize("name", list(hd.models.list_learners().index))
def test_learner_cards_are_frozen_and_complete(name: str) -> None:
    card = hd.models.get_learner(name)
    assert card.name == name
    assert card.summary
    with pytest.raises(dataclasses.FrozenInstanceError):
        card.name = "other"


def _code_of_refusal(card: hd.models.LearnerCard, params: dict) -> str:
    """Code of the error that refuses parameters; empty where they are taken."""
    try:
        card.build(params)
    except hd.InputError as error:
        return error.code
    return ""


@pytest.mark.parametrize("name", list(hd.models.list_learners().index))
def test_no_parameter_of_a_learner_breaks_it(name: str) -> None:
    card = hd.models.get_learner(name)
    json.dumps(dict(card.defaults), allow_nan=False)
    assert card.build().params == dict(card.defaults)
    with pytest.raises(hd.InputError, match="BI-72"):
        card.build({"nonsense": 1})
    for key in card.defaults:
        refused = 0
        for value in (
            None,
            "nonsense",
            -1,
            0.5,
            float("nan"),
            float("inf"),
            10**30,
            True,
            [],
            ["nonsense"],
            [[]],
            {},
            {"a": 1},
        ):
            code = _code_of_refusal(card, {key: value})
            assert code in {"", "BI-72", "BI-51"}
            refused += bool(code)
        assert refused >= 8, key


@pytest.mark.parametrize("name", list(hd.tl.list_deconvolution_methods().index))
def test_deconvolution_cards_are_frozen_and_complete(name: str) -> None:
    card = get_deconvolution_method(name)
    assert card.name == name
    assert card.summary
    assert card.kind in {"abundance", "proportion"}
    assert set(card.choices) <= set(card.defaults)
    assert card.options({}) == dict(card.defaults)
    assert card.options(dict(card.defaults)) == dict(card.defaults)
    with pytest.raises(dataclasses.FrozenInstanceError):
        card.name = "other"
    with pytest.raises(TypeError):
        card.defaults["new"] = 1
