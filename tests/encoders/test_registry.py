"""What every registered encoder must do, and how names are found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from histodecon import InputError
from histodecon.encoders import EncoderCard, _registry, get_encoder_card, list_encoders, load_encoder, register_encoder

NAMES = list(list_encoders().index)


@pytest.fixture(scope="module", params=NAMES)
def encoder(request):
    card = get_encoder_card(request.param)
    if card.loader == "timm":
        pytest.skip("weights of registered networks are not part of the package")
    return load_encoder(card)


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
    card = get_encoder_card(encoder.name)
    assert encoder.fingerprint == load_encoder(encoder.name).fingerprint
    assert len(encoder.fingerprint) == 64
    assert encoder.name in str(card)
    assert encoder.name in repr(encoder)
    assert card.summary
    assert card.license != "unknown"


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
