"""A card is frozen, prints, and its fingerprint changes exactly when the recipe does."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from histodecon import InputError
from histodecon.encoders import EncoderCard, get_encoder_card

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
    "resize_px": 256,
    "mean": (0.5, 0.5, 0.4),
    "std": (0.2, 0.2, 0.3),
    "interpolation": "bicubic",
    "pooling": "token",
    "model_kwargs": {"pad_type": ""},
    "tile_px": 256,
    "mpp": 0.5,
    "tile_um": 128.0,
    "dtype": "bfloat16",
    "safe_dtypes": ("bfloat16",),
    "repo": "a/b",
    "revision": "1" * 40,
    "weights_file": "model.safetensors",
    "weights_sha256": "1" * 64,
    "prefix": "visual.",
    "dropped": ("fc.",),
    "gated": True,
    "access_url": "https://huggingface.co/a/b",
    "license": "MIT",
    "commercial": True,
    "citation": "Someone 2020",
    "summary": "A net.",
    "orientations": 8,
    "low_rank_scale": 0.5,
}
OF_THE_RECIPE = {
    "loader",
    "model",
    "input_px",
    "resize_px",
    "mean",
    "std",
    "interpolation",
    "pooling",
    "model_kwargs",
    "weights_sha256",
    "prefix",
    "dtype",
    "orientations",
    "low_rank_scale",
}


@pytest.mark.parametrize("field", [field.name for field in fields(EncoderCard)])
def test_fingerprint_changes_exactly_with_the_recipe(field):
    changes = {field: CHANGED[field]}
    if field == "loader":
        changes |= {"mean": None, "std": None}
    other = replace(CARD, **changes)
    assert other != CARD
    assert (other.fingerprint() != CARD.fingerprint()) == (field in OF_THE_RECIPE)


def test_fingerprints_of_old_stay():
    """Models and embeddings that were saved name them."""
    function = EncoderCard(name="f", loader="callable", model="f", dim=3, revision="1")
    other = replace(CARD, pooling="mean", input_px=448, interpolation="bicubic")
    assert [card.fingerprint()[:16] for card in (CARD, other, function, get_encoder_card("color_stats"))] == [
        "80576f750eadc81c",
        "c154ecff2a5df2e4",
        "7c2f7f88334e7674",
        "e481b4c24c061018",
    ]


@pytest.mark.parametrize("loader", ["torch", "transformers"])
def test_networks_share_their_rules(loader):
    card = replace(CARD, loader=loader)
    assert set(card.recipe()) == set(CARD.recipe())
    assert card.fingerprint() != CARD.fingerprint()
    with pytest.raises(InputError, match="not known before"):
        replace(card, weights_sha256=None).fingerprint()
    with pytest.raises(InputError, match="three numbers"):
        replace(card, mean=None)


def test_sizes():
    assert replace(CARD, resize_px=224) == CARD
    card = replace(CARD, tile_px=256, mpp=0.5, resize_px=256)
    assert (card.tile_um, card.recipe()["resize_px"]) == (128.0, 256)
    assert "resize_px" not in CARD.recipe()


def test_one_orientation_is_how_it_always_was():
    assert replace(CARD, orientations=1) == CARD
    assert "orientations" not in CARD.recipe()
    with pytest.raises(InputError, match="8 orientations"):
        replace(CARD, orientations=4)


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
        ({"loader": "pickle"}, "timm, torch"),
        ({"interpolation": "nearest"}, "bicubic"),
        ({"pooling": "max"}, "token"),
        ({"dtype": "int8"}, "bfloat16"),
        ({"safe_dtypes": ("float64",)}, "float16"),
        ({"resize_px": 200}, "cut out"),
        ({"resize_px": 0}, "whole number"),
        ({"tile_px": 1.5}, "whole number"),
        ({"mpp": 0.0}, "above 0"),
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
