"""Embeddings are recognized by recipe and order, never by width."""

from __future__ import annotations

import json

import pytest

import histodecon as hd
from histodecon.models import EncoderRecord
from histodecon.models._records import check_records, check_same_encoders, describe

CONCH = EncoderRecord("X_conch", "conch", 512, "c" * 64, "CC-BY-NC-ND-4.0")
UNI = EncoderRecord("X_uni", "uni", 1024, "u" * 64, "CC-BY-NC-ND-4.0")
UNI2 = EncoderRecord("X_uni2h", "uni2h", 1536, "2" * 64)


def test_the_same_encoders_pass_under_another_key() -> None:
    check_same_encoders([CONCH, UNI], [EncoderRecord("mine", "conch", 512, "c" * 64), UNI])


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ([UNI], "BI-44"),
        ([UNI2], "BI-44"),
        ([EncoderRecord("X_conch", "conch", 512, "other"), UNI], "BI-45"),
        ([UNI, CONCH], "BI-46"),
    ],
)
def test_other_encoders_are_refused(given: list[EncoderRecord], code: str) -> None:
    with pytest.raises(hd.ModelMismatchError, match=code) as caught:
        check_same_encoders([CONCH, UNI], given)
    assert "1536 = conch(512) + uni(1024)" in str(caught.value)


def test_equal_width_and_other_recipe_is_refused() -> None:
    twin = EncoderRecord("X_other", "other", 1536, "o" * 64)
    with pytest.raises(hd.ModelMismatchError, match="BI-45"):
        check_same_encoders([UNI2], [twin])


def test_another_precision_is_refused_with_its_cure() -> None:
    """BI-45: float32 and bfloat16 of one encoder are two recipes."""
    recipe = '{{"dtype": "{}", "loader": "timm"}}'
    half, full = (
        EncoderRecord.from_dict({**CONCH.to_dict(), "fingerprint": dtype, "recipe": recipe.format(dtype)})
        for dtype in ("bfloat16", "float32")
    )
    assert EncoderRecord.from_dict(half.to_dict()) == half
    with pytest.raises(hd.ModelMismatchError, match="BI-45") as caught:
        check_same_encoders([full], [half])
    assert "computed in bfloat16, the model was trained on float32" in str(caught.value)
    assert "`precision='float32'`" in str(caught.value)
    other = EncoderRecord.from_dict({**full.to_dict(), "fingerprint": "other weights"})
    with pytest.raises(hd.ModelMismatchError) as caught:
        check_same_encoders([full], [other])
    assert "precision" not in str(caught.value)


@pytest.mark.parametrize("recipe", [None, 7, "no JSON", "[1]", "7", "{}", "[" * 100_000])
def test_other_recipes_say_nothing_of_precision(recipe) -> None:
    assert EncoderRecord.from_dict({"key": "X_a", "width": 3, "recipe": recipe}).precision is None


def test_what_differs_in_the_recipes_is_named() -> None:
    """BI-45."""
    here, there = (
        EncoderRecord.from_dict({"key": "X_a", "width": 3, "fingerprint": side, "recipe": json.dumps(recipe)})
        for side, recipe in [
            ("f1", {"input_px": 224, "mean": [0.5], "field_of_view": "112um"}),
            ("f2", {"input_px": 448}),
        ]
    )
    with pytest.raises(hd.ModelMismatchError, match="BI-45") as caught:
        check_same_encoders([here], [there])
    told = "it has field_of_view none instead of 112um, input_px 448 instead of 224, mean none instead of [0.5]"
    assert told in str(caught.value)


@pytest.mark.parametrize("recipe", [None, "no JSON", "[1]", "{}", json.dumps({"long": "x" * 20_000})])
def test_recipes_that_say_nothing_or_too_much_are_not_kept(recipe) -> None:
    assert EncoderRecord.from_dict({"key": "X_a", "width": 3, "recipe": recipe}).recipe is None


def test_where_the_weights_come_from_is_kept() -> None:
    given = {"key": "X_a", "encoder": "a", "width": 3, "repo": "lab/net", "revision": "1" * 40, "recipe": '{"x": 1}'}
    record = EncoderRecord.from_dict(given)
    assert (record.repo, record.revision, record.recipe) == ("lab/net", "1" * 40, '{"x": 1}')
    assert EncoderRecord.from_dict(record.to_dict()) == record


def test_records_survive_as_dict() -> None:
    assert EncoderRecord.from_dict(CONCH.to_dict()) == CONCH
    assert EncoderRecord.from_dict({"key": "X_a", "encoder": "a", "width": 3}).name == "a"


def test_widths_must_add_up() -> None:
    check_records([CONCH, UNI], 1536)
    with pytest.raises(hd.InputError, match=r"1536 = conch"):
        check_records([CONCH, UNI], 1500)
    assert describe([UNI]) == "1024 = uni(1024)"
