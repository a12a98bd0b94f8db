"""Tiles of any size go in, one checked float32 row each comes out."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_networks import PX, tiny_card

from histodecon import FallbackWarning, ImageError, InputError, ResourceError
from histodecon.encoders import Encoder, EncoderCard
from histodecon.encoders._batches import CPU
from histodecon.encoders._network import Network, build_network, load_network

CARD = EncoderCard(name="mean", loader="function", model="m:f", dim=3, input_px=16, revision="1")


def test_other_sizes_are_resampled_antialiased():
    encoder = Encoder(CARD, lambda tiles: tiles.mean(axis=(1, 2)))
    stripes = np.zeros((2, 64, 64, 3), dtype=np.uint8)
    stripes[:, ::2] = 200  # finer than a pixel of 16: only averaging keeps the mean
    np.testing.assert_allclose(encoder.encode(stripes), 100, atol=1)
    seen = []
    Encoder(CARD, lambda tiles: seen.append(tiles.copy()) or tiles.mean(axis=(1, 2))).encode(stripes[:, :16, :16])
    np.testing.assert_array_equal(seen[0], stripes[:, :16, :16])


@pytest.mark.parametrize(
    "tiles",
    [
        np.zeros((2, 16, 16, 3), dtype=np.float32),
        np.zeros((2, 16, 16, 4), dtype=np.uint8),
        np.zeros((16, 16, 3), dtype=np.uint8),
        np.zeros((2, 16, 20, 3), dtype=np.uint8),
    ],
)
def test_other_tiles_are_refused(tiles):
    with pytest.raises(ImageError, match="BI-49"):
        Encoder(CARD, lambda tiles: tiles.mean(axis=(1, 2))).encode(tiles)


@pytest.mark.parametrize(
    "answer", [np.zeros((2, 4)), np.zeros((1, 3)), np.zeros(3), np.array([["a"] * 3] * 2), np.zeros((2, 3), complex)]
)
def test_other_answers_are_refused(answer):
    with pytest.raises(InputError, match="BI-44"):
        Encoder(CARD, lambda _: answer).encode(np.zeros((2, 16, 16, 3), dtype=np.uint8))


@pytest.mark.parametrize(("resize", "side"), [(24, 24), (24, 64), (21, 21), (None, 64)])
def test_the_center_is_cut_out_after_one_resample(resize, side):
    """GigaPath: 256 to 224 px."""
    seen = []
    card = replace(CARD, resize_px=resize, interpolation="bicubic")
    encoder = Encoder(card, lambda tiles: seen.append(tiles.copy()) or tiles.mean(axis=(1, 2)))
    tiles = np.random.default_rng(0).integers(0, 256, (3, side, side, 3), dtype=np.uint8)
    encoder.encode(tiles)
    batch = torch.from_numpy(tiles).permute(0, 3, 1, 2)
    if side != encoder.resize_px:
        size = (encoder.resize_px,) * 2
        batch = torch.nn.functional.interpolate(batch, size=size, mode="bicubic", align_corners=False, antialias=True)
    rim = round((encoder.resize_px - 16) / 2)
    expected = batch[:, :, rim : rim + 16, rim : rim + 16].permute(0, 2, 3, 1).numpy()
    np.testing.assert_array_equal(seen[0], expected)
    assert encoder.resize_px == (resize or 16)


def test_tiles_of_any_memory_layout():
    tiles = np.random.default_rng(0).integers(0, 256, (5, 20, 20, 3), dtype=np.uint8)
    encoder = Encoder(CARD, lambda tiles: tiles.mean(axis=(1, 2)))
    expected = encoder.encode(tiles)
    frozen = tiles.copy()
    frozen.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(encoder.encode(frozen), expected)
        np.testing.assert_array_equal(encoder.encode(frozen[::-1], batch_size=1)[::-1], expected)
        np.testing.assert_array_equal(encoder.encode(np.asfortranarray(tiles)), expected)


def test_a_function_cannot_change_the_tiles_of_others():
    tiles = np.full((3, 16, 16, 3), 7, dtype=np.uint8)

    def greedy(tiles):
        tiles[:] = 0
        return tiles.mean(axis=(1, 2))

    Encoder(CARD, greedy).encode(tiles)
    assert (tiles == 7).all()


def test_no_tiles():
    values = Encoder(CARD, lambda tiles: tiles.mean(axis=(1, 2))).encode(np.empty((0, 16, 16, 3), dtype=np.uint8))
    assert (values.shape, values.dtype) == ((0, 3), np.float32)


def test_functions_take_batches():
    sizes = []
    encoder = Encoder(CARD, lambda tiles: sizes.append(len(tiles)) or tiles.mean(axis=(1, 2)), batch_size=4)
    tiles = np.random.default_rng(0).integers(0, 256, (10, 16, 16, 3), dtype=np.uint8)
    values = encoder.encode(tiles)
    assert sizes == [4, 4, 2]
    np.testing.assert_array_equal(encoder.encode(tiles, batch_size=9), values)
    assert sizes[3:] == [9, 1]
    np.testing.assert_allclose(values, tiles.mean(axis=(1, 2)), rtol=1e-6)


class Crowded:
    """A function with memory for a few tiles."""

    def __init__(self, fits: int, error: Exception) -> None:
        self.fits, self.error, self.sizes = fits, error, []

    def __call__(self, tiles: np.ndarray) -> np.ndarray:
        if len(tiles) > self.fits:
            raise self.error
        self.sizes.append(len(tiles))
        return tiles.mean(axis=(1, 2))


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] . DefaultCPUAllocator: can't allocate memory"),
        MemoryError(),
    ],
)
@pytest.mark.parametrize("fits", [1, 3, 5, 63])
def test_batches_that_do_not_fit_are_halved(fits, error):
    """FI-17."""
    run = Crowded(fits, error)
    encoder = Encoder(CARD, run, batch_size=64)
    tiles = np.random.default_rng(0).integers(0, 256, (100, 16, 16, 3), dtype=np.uint8)
    with pytest.warns(FallbackWarning, match=r"FI-17.*64 tiles at once"):
        values = encoder.encode(tiles)
    np.testing.assert_allclose(values, tiles.mean(axis=(1, 2)), rtol=1e-6)
    half = max(size for size in (32, 16, 8, 4, 2, 1) if size <= fits)
    assert encoder.batch_size == max(run.sizes) == half
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the halved size is kept, also where the caller asks for more
        np.testing.assert_array_equal(encoder.encode(tiles, batch_size=64), values)
    assert max(run.sizes) == half


def test_not_even_one_tile_fits():
    run = Crowded(0, torch.OutOfMemoryError("CUDA out of memory"))
    encoder = Encoder(CARD, run, device="cuda", batch_size=2, allow_cpu=True)  # a function cannot be moved
    with (
        pytest.warns(FallbackWarning, match="FI-17"),
        pytest.raises(ResourceError, match=r'FI-17.*single tile.*`device="cpu"`'),
    ):
        encoder.encode(np.zeros((2, 16, 16, 3), dtype=np.uint8))


def test_other_errors_pass():
    with pytest.raises(RuntimeError, match="shape mismatch"):
        Encoder(CARD, Crowded(0, RuntimeError("shape mismatch"))).encode(np.zeros((2, 16, 16, 3), dtype=np.uint8))


class CrowdedNetwork(Network):
    """A network on a device that is not there, with memory for a few tiles."""

    fits = 0

    def start(self, tiles: np.ndarray) -> torch.Tensor:
        if self.device.type == "cpu":
            return super().start(tiles)
        if len(tiles) > self.fits:
            msg = "CUDA out of memory"
            raise torch.OutOfMemoryError(msg)
        device, self.device = self.device, torch.device("cpu")
        try:
            return super().start(tiles)
        finally:
            self.device = device


@pytest.mark.parametrize("fits", [0, 5])
@pytest.mark.parametrize("allow_cpu", [True, False])
def test_a_network_goes_on_on_the_cpu_where_it_may(tmp_path, fits, allow_cpu):
    card, network = load_network(tiny_card("timm", tmp_path), None, torch.device("cpu"))
    tiles = np.random.default_rng(0).integers(0, 256, (20, PX, PX, 3), dtype=np.uint8)
    expected = Encoder(card, network).encode(tiles)
    crowded = CrowdedNetwork(network.module, card, torch.device("cpu"))
    crowded.device, crowded.fits = torch.device("cuda"), fits
    encoder = Encoder(card, crowded, device="cuda", batch_size=8, allow_cpu=allow_cpu)
    if fits == 0 and not allow_cpu:
        with (
            pytest.warns(FallbackWarning, match="FI-17"),
            pytest.raises(ResourceError, match=r"FI-17.*memory on cuda"),
        ):
            encoder.encode(tiles)
        return
    with pytest.warns(FallbackWarning, match="FI-17") as caught:
        values = encoder.encode(tiles)
    np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-5)
    assert (encoder.device, encoder.batch_size) == (("cpu", CPU) if fits == 0 else ("cuda", 4))
    assert any("goes on on the CPU" in str(one.message) for one in caught) == (fits == 0)


def test_the_bare_network_is_at_hand(tmp_path):
    card, network = load_network(tiny_card("timm", tmp_path), None, torch.device("cpu"))
    assert Encoder(card, network).network is network
    assert type(network.module) is type(build_network(card))
    assert Encoder(CARD, lambda tiles: tiles.mean(axis=(1, 2))).network is None
