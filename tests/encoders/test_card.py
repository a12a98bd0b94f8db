"""A card is frozen, prints, and its fingerprint changes exactly when the recipe does."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from histodecon import InputError
from histodecon.encoders import EncoderCard

CARD = EncoderCard(
    name="net",
    loader="timm",
    model="resnet18",
    dim=512,
    mean=(0.5, 0.5, 0.5),
    std=(0.2, 0.2, 0.2),
    model_kwargs={"pad_type": "same", "img_size": [224, 224]},
    weights_sha256="0" * 64,
)
CHANGED = {
    "name": "other",
    "loader": "function",
    "model": "resnet34",
    "dim": 256,
    "input_px": 448,
    "mean": (0.5, 0.5, 0.4),
    "std": (0.2, 0.2, 0.3),
    "interpolation": "bicubic",
    "pooling": "token",
    "model_kwargs": {"pad_type": ""},
    "tile_um": 128.0,
    "repo": "a/b",
    "revision": "1" * 40,
    "weights_file": "model.safetensors",
    "weights_sha256": "1" * 64,
    "dropped": ("fc.",),
    "gated": True,
    "license": "MIT",
    "commercial": True,
    "citation": "Someone 2020",
    "summary": "A net.",
}
OF_THE_RECIPE = {
    "loader",
    "model",
    "input_px",
    "mean",
    "std",
    "interpolation",
    "pooling",
    "model_kwargs",
    "weights_sha256",
}


@pytest.mark.parametrize("field", [field.name for field in fields(EncoderCard)])
def test_fingerprint_changes_exactly_with_the_recipe(field):
    changes = {field: CHANGED[field]}
    if field == "loader":
        changes |= {"mean": None, "std": None}
    other = replace(CARD, **changes)
    assert other != CARD
    assert (other.fingerprint() != CARD.fingerprint()) == (field in OF_THE_RECIPE)


def test_revision_is_the_recipe_of_a_function():
    card = EncoderCard(name="f", loader="function", model="module:f", dim=3, revision="1")
    assert replace(card, revision="2").fingerprint() != card.fingerprint()
    assert replace(card, pooling="mean").fingerprint() == card.fingerprint()


def test_unknown_weights_have_no_fingerprint():
    with pytest.raises(InputError, match="not known before they are loaded"):
        replace(CARD, weights_sha256=None).fingerprint()


def test_a_card_is_hashable_and_prints_what_matters():
    same = replace(CARD, model_kwargs={"img_size": (224, 224), "pad_type": "same"})
    assert {CARD, same} == {CARD}
    text = str(replace(CARD, license="CC-BY-NC-ND-4.0"))
    for word in ("net", "resnet18", "512", "pad_type='same'", "CC-BY-NC-ND-4.0", "commercial      no"):
        assert word in text


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"name": "a/b"}, "key of obsm"),
        ({"loader": "pickle"}, "timm, function"),
        ({"interpolation": "nearest"}, "bicubic"),
        ({"pooling": "max"}, "token"),
        ({"dim": 0}, "whole number"),
        ({"input_px": 224.0}, "whole number"),
        ({"mean": None}, "three numbers"),
        ({"std": (1.0, 1.0)}, "three numbers"),
        ({"std": (1.0, 0.0, 1.0)}, "above 0"),
        ({"model_kwargs": {"act_layer": print}}, "recipe"),
    ],
)
def test_cards_that_make_no_sense(changes, match):
    with pytest.raises(InputError, match=match):
        replace(CARD, **changes)
