"""Networks of every loader: weights, numbers that nothing outside changes, precision, overflow."""

from __future__ import annotations

import importlib
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_networks import DIM, LOADERS, PX, Loud, tiny_card

from histodecon import FallbackWarning, InputError, ModelMismatchError
from histodecon.encoders import EncoderCard, load_encoder
from histodecon.encoders import _network as networks
from histodecon.encoders._network import Network, build_network

CPU = torch.device("cpu")
HALVES = ("bfloat16", "float16")


@pytest.fixture(params=LOADERS)
def card(request, tmp_path) -> EncoderCard:
    return tiny_card(request.param, tmp_path)


@pytest.fixture
def tiles() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (64, PX, PX, 3), dtype=np.uint8)


def _bare(encoder, tiles: np.ndarray) -> np.ndarray:
    """The forward pass of the network itself, on tiles that are normalized here."""
    mean, std = (torch.tensor(value).view(1, 3, 1, 1) for value in (encoder.card.mean, encoder.card.std))
    batch = (torch.tensor(tiles).permute(0, 3, 1, 2) / 255.0 - mean) / std
    with torch.inference_mode():
        return encoder.network.module(batch).numpy()


def _cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def test_the_answer_is_that_of_the_network(card, tiles):
    encoder = load_encoder(card, device="cpu")
    values = encoder.encode(tiles)
    assert (values.shape, values.dtype) == ((64, DIM), np.float32)
    assert values.std(axis=0).min() > 0.01
    np.testing.assert_allclose(values, _bare(encoder, tiles), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [1, 7, 64])
def test_size_of_the_batch_threads_and_turns_do_not_count(card, tiles, size):
    encoder = load_encoder(card, device="cpu")
    values = encoder.encode(tiles)
    np.testing.assert_array_equal(encoder.encode(tiles), values)
    np.testing.assert_allclose(encoder.encode(tiles, batch_size=size), values, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(encoder.encode(tiles[::-1], batch_size=size)[::-1], values, rtol=1e-5, atol=1e-5)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(encoder.encode, [tiles] * 8):
            np.testing.assert_array_equal(found, values)
    torch.set_num_threads(2)
    np.testing.assert_allclose(encoder.encode(tiles), values, rtol=1e-5, atol=1e-5)


def test_loading_leaves_the_random_state_and_the_network_is_at_rest(card):
    before = torch.get_rng_state()
    encoder = load_encoder(card, device="cpu")
    assert torch.equal(torch.get_rng_state(), before)
    assert not encoder.network.module.training
    assert not any(value.requires_grad for value in encoder.network.module.parameters())
    assert load_encoder(card, device="cpu").fingerprint == encoder.fingerprint


def test_networks_are_built_without_memory(card):
    file, function = networks.BUILDERS[card.loader]
    builder = getattr(importlib.import_module(f"{networks.__package__}.{file}"), function)
    with torch.device("meta"):
        module = builder(card)
        answer = module(torch.empty(2, 3, PX, PX))
    assert answer.device.type == "meta"
    assert answer.shape == (2, DIM)


def test_nothing_that_the_process_sets_changes_the_numbers(card, tiles):
    """FI-39."""
    encoder = load_encoder(card, device="cpu")
    expected, fingerprint = encoder.encode(tiles), encoder.fingerprint
    errors, dtype = np.seterr(all="raise"), torch.get_default_dtype()
    try:
        torch.set_default_dtype(torch.float64)
        torch.set_float32_matmul_precision("medium")
        with warnings.catch_warnings(), torch.autocast("cpu", dtype=torch.bfloat16):
            warnings.simplefilter("error")
            again = load_encoder(card, device="cpu")
            found, other = again.encode(tiles), encoder.encode(tiles)
        assert torch.get_default_dtype() == torch.float64
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        np.seterr(**errors)
        torch.set_default_dtype(dtype)
        torch.set_float32_matmul_precision("highest")
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(other, expected)
    assert again.fingerprint == fingerprint
    assert {value.dtype for value in again.network.module.parameters()} == {torch.float32}


@pytest.mark.parametrize("dtype", HALVES)
def test_half_precision_is_near_and_another_recipe(card, tiles, dtype):
    full, half = load_encoder(card, device="cpu"), load_encoder(card, device="cpu", precision=dtype)
    expected, values = full.encode(tiles), half.encode(tiles)
    assert values.dtype == np.float32
    assert np.abs(values - expected).max() > 0
    assert _cosine(values, expected).min() >= 0.999
    assert full.dtype == "float32" == full.card.recipe()["dtype"]
    assert half.dtype == dtype == half.card.recipe()["dtype"]
    assert half.fingerprint != full.fingerprint
    assert {str(value.dtype) for value in half.network.module.parameters()} == {f"torch.{dtype}"}


def _loud(tmp_path) -> EncoderCard:
    save_file(Loud().state_dict(), tmp_path / "loud.safetensors")
    return EncoderCard(
        name="loud",
        loader="torch",
        model="tiny_networks:Loud",
        dim=2,
        input_px=PX,
        mean=(0.0,) * 3,
        std=(1.0,) * 3,
        safe_dtypes=HALVES,
        weights_file=str(tmp_path / "loud.safetensors"),
    )


def test_an_overflow_is_computed_again_in_float32(tmp_path):
    """BI-42: the tiles that overflow, and no others."""
    card = _loud(tmp_path)
    tiles = np.full((12, PX, PX, 3), 10, dtype=np.uint8)
    tiles[[3, 5, 6, 7, 8, 10]] = 255
    expected = load_encoder(card, device="cpu").encode(tiles)
    half = load_encoder(card, device="cpu", precision="float16")
    with pytest.warns(FallbackWarning, match=r"BI-42.*float16.*precision=\"float32\""):
        values = half.encode(tiles)
    np.testing.assert_allclose(values, expected, rtol=2e-3)
    assert {value.dtype for value in half.network.module.parameters()} == {torch.float16}
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # said once
        np.testing.assert_array_equal(half.encode(tiles), values)
    np.testing.assert_array_equal(half.encode(tiles[:3]), values[:3])


def test_weights_that_overflow_are_refused(tmp_path):
    card = _loud(tmp_path)
    save_file({"gain": torch.tensor(1e6)}, card.weights_file)
    assert np.isfinite(load_encoder(card, device="cpu").encode(np.ones((1, PX, PX, 3), dtype=np.uint8))).all()
    with pytest.raises(InputError, match=r"BI-42.*too large for float16.*gain"):
        load_encoder(card, device="cpu", precision="float16")


def test_parameters_of_others_in_the_file_are_left_out(tmp_path):
    """A prefix names those of the encoder; within it, strictness holds."""
    card = tiny_card("torch", tmp_path)
    state = load_file(card.weights_file)
    assert "text.embedding" in state
    save_file({**state, "visual.extra": torch.zeros(2)}, card.weights_file)
    with pytest.raises(ModelMismatchError, match=r"BI-84.*extra is unknown"):
        load_encoder(card)
    save_file({key: value for key, value in state.items() if key != "visual.norm.bias"}, card.weights_file)
    with pytest.raises(ModelMismatchError, match=r"BI-84.*norm\.bias is missing"):
        load_encoder(card)


def test_a_network_moves(tmp_path, tiles):
    encoder = load_encoder(tiny_card("timm", tmp_path), device="cpu")
    expected = encoder.encode(tiles)
    encoder.network.move("meta")
    assert isinstance(encoder.network, Network)
    assert encoder.network.start(tiles).device.type == "meta"
    other = build_network(encoder.card)
    other.inner.load_state_dict(
        {key: value for key, value in load_file(encoder.card.weights_file).items() if not key.startswith("head.")}
    )
    np.testing.assert_array_equal(Network(other, encoder.card, CPU)(tiles[:8]), expected[:8])
