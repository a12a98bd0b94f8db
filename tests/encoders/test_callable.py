"""A function is an encoder; what it answers tells it from others."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from histodecon import InputError
from histodecon.encoders import load_encoder


def mean_color(tiles):
    return tiles.mean(axis=(1, 2))


def test_name_width_and_values():
    encoder = load_encoder(mean_color)
    assert (encoder.name, encoder.dim, encoder.input_px) == ("mean_color", 3, 224)
    tiles = np.random.default_rng(0).integers(0, 256, (5, 224, 224, 3), dtype=np.uint8)
    np.testing.assert_allclose(encoder.encode(tiles), tiles.mean(axis=(1, 2)), rtol=1e-6)


def test_the_fingerprint_follows_the_answers():
    def renamed(tiles):
        return tiles.mean(axis=(1, 2))

    def scaled(weight):
        return lambda tiles: weight * tiles.mean(axis=(1, 2))

    def nearly(tiles):
        return tiles.mean(axis=(1, 2)) * (1 + 1e-7)

    own = load_encoder(mean_color).fingerprint
    assert load_encoder(renamed).fingerprint == own
    assert load_encoder(nearly).fingerprint == own
    assert load_encoder(scaled(1.1)).fingerprint != own
    assert load_encoder(scaled(1.1)).fingerprint != load_encoder(scaled(1.2)).fingerprint
    assert load_encoder(lambda tiles: mean_color(tiles)[:, ::-1]).fingerprint != own


def test_it_may_say_its_size_and_answer_with_tensors():
    class Net:
        input_px = 32

        def __call__(self, tiles):
            assert tiles.shape[1:] == (32, 32, 3)
            return torch.from_numpy(tiles).float().mean(dim=(1, 2)).requires_grad_()

    encoder = load_encoder(Net())
    assert (encoder.name, encoder.input_px) == ("Net", 32)
    assert encoder.encode(np.full((1, 32, 32, 3), 7, dtype=np.uint8)).tolist() == [[7, 7, 7]]
    assert load_encoder(lambda tiles: tiles.mean(axis=(1, 2))).name == "function"


@pytest.mark.parametrize(
    "function",
    [
        lambda tiles: tiles.mean(),
        lambda tiles: tiles.mean(axis=(1, 2))[:2],
        lambda tiles: np.empty((len(tiles), 0)),
        lambda _: "text",
    ],
)
def test_functions_that_are_no_encoders(function):
    with pytest.raises(InputError, match="BI-44"):
        load_encoder(function)


def test_things_that_are_no_encoders(tmp_path):
    with pytest.raises(InputError, match=r"BI-51.*list_encoders"):
        load_encoder(7)
    with pytest.raises(InputError, match="has no weights"):
        load_encoder("color_stats", weights=tmp_path / "a.safetensors")
    with pytest.raises(InputError, match="hand in the function itself"):
        load_encoder(load_encoder(mean_color).card)
    encoder = load_encoder(mean_color)
    assert load_encoder(encoder) is encoder
