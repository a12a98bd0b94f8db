"""What every registered encoder must do, and how names are found."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from histodecon import InputError
from histodecon.encoders import EncoderCard, _registry, get_encoder_card, list_encoders, load_encoder, register_encoder
from histodecon.encoders._card import NETWORKS

TABLE = list_encoders()
# weights of networks are not part of the package: tests/encoders/cards makes some
WITHOUT_WEIGHTS = list(TABLE.index[~TABLE["loader"].isin(NETWORKS)])


@pytest.fixture(scope="module", params=WITHOUT_WEIGHTS)
def encoder(request):
    return load_encoder(request.param)


@pytest.fixture(scope="module")
def tiles() -> np.ndarray:
    """Blobs on a noisy ground, and the corners of what can happen."""
    rng = np.random.default_rng(0)
    out = rng.normal((215, 170, 200), 8, (9, 224, 224, 3))
    y, x = np.indices((224, 224))
    for tile in out[:6]:
        for cy, cx, r in rng.uniform((10, 10, 5), (214, 214, 12), (30, 3)):
            tile[(y - cy) ** 2 + (x - cx) ** 2 < r**2] -= (110, 110, 60)
    out[6], out[7], out[8] = 255, 0, (200, 120, 170)
    return np.clip(out, 0, 255).astype(np.uint8)


def test_shape_dtype_and_finiteness(encoder, tiles):
    values = encoder.encode(tiles)
    assert values.shape == (len(tiles), encoder.dim)
    assert values.dtype == np.float32
    assert np.isfinite(values).all()
    assert encoder.encode(tiles[:0]).shape == (0, encoder.dim)


def test_determinism_and_independence_of_the_batch(encoder, tiles):
    values = encoder.encode(tiles)
    np.testing.assert_array_equal(encoder.encode(tiles), values)
    np.testing.assert_allclose(encoder.encode(tiles[::-1])[::-1], values, rtol=1e-5, atol=1e-5)
    single = np.concatenate([encoder.encode(tile[None]) for tile in tiles])
    np.testing.assert_allclose(single, values, rtol=1e-5, atol=1e-5)
    tiles_before = tiles.copy()
    encoder.encode(tiles)
    np.testing.assert_array_equal(tiles, tiles_before)


def test_tiles_differ(encoder, tiles):
    values = encoder.encode(tiles)
    assert len(np.unique(values.round(4), axis=0)) == len(tiles)


def test_the_card_of_the_loaded_encoder(encoder):
    assert encoder.fingerprint == load_encoder(encoder.name).fingerprint
    assert len(encoder.fingerprint) == 64
    assert encoder.name in repr(encoder)


@pytest.mark.parametrize("name", TABLE.index)
def test_every_card_says_what_a_user_must_know(name):
    card = get_encoder_card(name)
    assert name in str(card)
    assert card.summary.endswith(".")
    assert card.license != "unknown"
    assert card.citation
    assert card.tile_um > 0
    if card.loader in NETWORKS:
        assert card.repo.count("/") == 1
        assert card.weights_file
        assert card.revision is None or re.fullmatch(r"[0-9a-f]{40}", card.revision)
        assert card.weights_sha256 is None or re.fullmatch(r"[0-9a-f]{64}", card.weights_sha256)
        assert (card.access_url is not None) == card.gated
        assert not (card.commercial and "-NC-" in card.license)


def test_the_table_has_what_the_cards_say():
    table = list_encoders()
    assert list(table.index) == sorted(table.index)
    assert not table.isna().to_numpy().any()
    row, card = table.loc["virchow2"], get_encoder_card("virchow2")
    assert row["normalization"] == "ImageNet"
    assert row["safe_dtypes"] == "float16, bfloat16"
    for column in ("dim", "repo", "revision", "gated", "license", "commercial", "citation", "loader", "pooling", "mpp"):
        assert row[column] == getattr(card, column)
    assert table.loc["gigapath", ["resize_px", "input_px"]].to_list() == [256, 224]
    assert table.loc["color_stats", ["normalization", "repo", "tile_px"]].to_list() == ["none", "", 0]


def test_registering(monkeypatch):
    monkeypatch.setattr(_registry, "_REGISTRY", dict(_registry.registered()))
    card = EncoderCard(name="mine", loader="function", model="numpy:array", dim=3, revision="1")
    assert register_encoder(card) is card
    assert get_encoder_card("mine") is card
    assert "mine" in list_encoders().index
    register_encoder(card)
    with pytest.raises(InputError, match="registered already"):
        register_encoder(replace(card, dim=4))


@pytest.mark.parametrize("lookup", [get_encoder_card, load_encoder])
def test_an_unknown_name_shows_the_closest(lookup):
    with pytest.raises(InputError, match=r"BI-51.*did you mean `color_stats`"):
        lookup("colour_stats")


def test_a_misspelled_timm_name_shows_the_closest():
    with pytest.raises(InputError, match="mobilenetv2_100"):
        load_encoder("mobilenet_v2_100")
    with pytest.raises(InputError, match=r"mobilenetv2_100\.ra_in1k"):
        load_encoder("mobilenetv2_100.ra_in2k")
