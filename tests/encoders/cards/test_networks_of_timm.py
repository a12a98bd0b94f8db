"""Every encoder that timm builds: layout of its published file, preprocessing and forward pass as its authors have them."""

from __future__ import annotations

import functools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from plain_vit import Published, safetensors_bytes
from safetensors.torch import save_file

from histodecon import ModelMismatchError
from histodecon._core import import_timm
from histodecon.encoders import Encoder, get_encoder_card, list_encoders, load_encoder
from histodecon.encoders._normalization import normalized
from histodecon.encoders._timm import build_timm
from histodecon.encoders._weights import load_strictly

import_timm()  # makes torchvision importable
from timm.data import create_transform  # noqa: E402 after torchvision
from torchvision import transforms  # noqa: E402 after the operators are there
from torchvision.transforms import InterpolationMode, v2  # noqa: E402

GIANT = Published(1536, 40, 24, 14, 8192, 16, gated=True, registers=4, patches_only=True)
SMALL = Published(384, 12, 6, 16, 1536, 14, scaled=False)
BASE = Published(768, 12, 12, 16, 3072, 14, scaled=False)
PUBLISHED = {
    "uni": Published(1024, 24, 16, 16, 4096, 14),
    "uni2h": Published(1536, 24, 24, 14, 8192, 16, gated=True, registers=8, patches_only=True),
    "virchow2": Published(1280, 32, 16, 14, 6832, 16, gated=True, registers=4),
    "gigapath": Published(1536, 40, 24, 16, 8192, 14, gated=True),
    "h_optimus_0": GIANT,
    "h_optimus_1": GIANT,
    "h0_mini": Published(768, 12, 12, 14, 4096, 16, gated=True, registers=4, patches_only=True),
    "gpfm": Published(1024, 24, 16, 14, 4096, 16),
    "kaiko_s16": SMALL,
    "kaiko_s8": replace(SMALL, patch=8, grid=28),
    "kaiko_b16": BASE,
    "kaiko_b8": replace(BASE, patch=8, grid=28),
    "kaiko_l14": Published(1024, 24, 16, 14, 4096, 37, registers=4, patches_only=True),
}
# millions of parameters, as the pages and papers of the encoders say
MILLIONS = {
    "uni": 303.4,
    "uni2h": 681.4,
    "virchow2": 631.2,
    "gigapath": 1135.0,
    "h_optimus_0": 1134.8,
    "h_optimus_1": 1134.8,
    "h0_mini": 85.7,
    "gpfm": 303.2,
    "kaiko_s16": 21.7,
    "kaiko_s8": 21.7,
    "kaiko_b16": 85.8,
    "kaiko_b8": 85.8,
    "kaiko_l14": 304.4,
}
# bytes of the published safetensors files; of the others, which are zip archives with a table of contents
SAFETENSORS_BYTES = {"virchow2": 2_525_001_112, "h_optimus_1": 4_539_151_464, "h0_mini": 342_974_184}
TORCH_BYTES = {
    "uni": 1_213_527_781,
    "uni2h": 2_725_669_217,
    "gigapath": 4_540_023_137,
    "h_optimus_0": 4_539_305_018,
}
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
OPTIMUS = {"mean": (0.707223, 0.578729, 0.703617), "std": (0.211883, 0.230117, 0.177517)}
HALF = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
KAIKO = [name for name in PUBLISHED if name.startswith("kaiko")]


def _pil(resize: int | None, interpolation: InterpolationMode, channels: dict) -> transforms.Compose:
    sizes = [] if resize is None else [transforms.Resize(resize, interpolation), transforms.CenterCrop(224)]
    return transforms.Compose([*sizes, transforms.ToTensor(), transforms.Normalize(**channels)])


def _timm(channels: dict):
    return create_transform(input_size=(3, 224, 224), interpolation="bicubic", crop_pct=1.0, **channels)


BILINEAR, BICUBIC = InterpolationMode.BILINEAR, InterpolationMode.BICUBIC
OF_KAIKO = v2.Compose(
    [v2.ToImage(), v2.Resize(224), v2.CenterCrop(224), v2.ToDtype(torch.float32, scale=True), v2.Normalize(**HALF)]
)
TRANSFORMS = {
    "uni": _pil(224, BILINEAR, IMAGENET),
    "uni2h": _pil(224, BILINEAR, IMAGENET),
    "virchow2": _timm(IMAGENET),
    "gigapath": _pil(256, BICUBIC, IMAGENET),
    "h_optimus_0": _pil(None, BICUBIC, OPTIMUS),
    "h_optimus_1": _pil(None, BICUBIC, OPTIMUS),
    "h0_mini": _timm(OPTIMUS),
    "gpfm": _pil(224, BICUBIC, IMAGENET),
    **dict.fromkeys(KAIKO, OF_KAIKO),
}
ONE_ULP = 2.4e-7  # of numbers around 1, twice as large after the division by 0.5
SIDES = {"gigapath": 256}  # of tiles that need no resampling
FIRST_PATCH = {"virchow2": 5}  # of the encoders that add the mean of the patches


def _embedding(name: str, tokens: torch.Tensor) -> torch.Tensor:
    """As the page of the encoder says."""
    first = tokens[:, 0]
    return torch.cat([first, tokens[:, FIRST_PATCH[name] :].mean(1)], dim=-1) if name in FIRST_PATCH else first


@functools.cache
def _on_meta(name: str):
    """The whole network without numbers; meta tensors are never written."""
    with torch.device("meta"):
        return build_timm(get_encoder_card(name)).inner


def _empty(layout: dict[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    return {key: torch.empty(shape, device="meta") for key, shape in layout.items()}


def _cut(name: str, depth: int):
    """The card and the layout of an encoder of fewer blocks."""
    card = get_encoder_card(name)
    kwargs = {**dict(card.model_kwargs), "depth": depth}
    card = replace(card, name=f"{name}_cut", model_kwargs=kwargs, weights_sha256=None)
    return card, PUBLISHED[name].cut(depth)


def _tiles(n: int, side: int) -> np.ndarray:
    return np.random.default_rng(side).integers(0, 256, (n, side, side, 3), dtype=np.uint8)


def _network_input(name: str, tiles: np.ndarray) -> torch.Tensor:
    """What the network of an encoder is fed with."""
    card, seen = get_encoder_card(name), []

    def run(batch: np.ndarray) -> np.ndarray:
        seen.append(batch)
        return np.zeros((len(batch), card.dim), dtype=np.float32)

    Encoder(card, run).encode(tiles)
    mean, std = (torch.tensor(value).view(1, 3, 1, 1) for value in (card.mean, card.std))
    return normalized(torch.from_numpy(np.concatenate(seen)).permute(0, 3, 1, 2), mean, std)


def test_every_card_of_timm_is_tested_here():
    table = list_encoders()
    assert set(table.index[table["loader"] == "timm"]) == set(PUBLISHED)


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_layout_loads_strictly(name):
    network, layout = _on_meta(name), PUBLISHED[name].layout()
    assert {key: tuple(value.shape) for key, value in network.state_dict().items()} == layout
    count = load_strictly(network, _empty(layout), dropped=get_encoder_card(name).dropped, name=name)
    assert round(count / 1e6, 1) == MILLIONS[name]
    if name in SAFETENSORS_BYTES:
        assert safetensors_bytes(layout) == SAFETENSORS_BYTES[name]
    if name in TORCH_BYTES:
        assert 0 < TORCH_BYTES[name] - 4 * count < 1000 * len(layout)


@pytest.mark.parametrize("fault", ["missing", "unknown", "has shape"])
@pytest.mark.parametrize("name", PUBLISHED)
def test_another_layout_is_refused(name, fault):
    """BI-84."""
    layout = PUBLISHED[name].layout()
    if fault == "missing":
        del layout["blocks.0.attn.qkv.bias"]
    elif fault == "unknown":
        layout["blocks.0.attn.extra"] = (3,)
    else:
        layout["pos_embed"] = (1, 7, PUBLISHED[name].dim)
    with pytest.raises(ModelMismatchError, match=rf"BI-84.*1 faults.*{fault}"):
        load_strictly(_on_meta(name), _empty(layout), dropped=get_encoder_card(name).dropped, name=name)


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_forward_pass_is_the_plain_one(name):
    card, published = _cut(name, 2)
    state = published.draw()
    network = build_timm(card)
    load_strictly(network.inner, state, dropped=card.dropped, name=name)
    images = torch.stack([TRANSFORMS[name](Image.fromarray(tile)) for tile in _tiles(2, SIDES.get(name, 224))])
    with torch.inference_mode():
        expected = _embedding(name, published.tokens(state, images))
        values = network(images)
    assert values.shape == (2, card.dim)
    assert (expected[0] - expected[1]).abs().max() > 0.1
    torch.testing.assert_close(values, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", PUBLISHED)
def test_preprocessing_is_the_published_one(name):
    """To the last bit, where a tile needs no resampling; kaiko.ai multiply by 1 / 255 instead of dividing."""
    tiles = _tiles(3, SIDES.get(name, 224))
    expected = torch.stack([TRANSFORMS[name](Image.fromarray(tile)) for tile in tiles])
    found = _network_input(name, tiles)
    assert (found - expected).abs().max() < ONE_ULP if name in KAIKO else torch.equal(found, expected)


@pytest.mark.parametrize("side", [181, 256, 448])
@pytest.mark.parametrize("name", [name for name in PUBLISHED if "optimus" not in name])
def test_resampling_is_the_published_one_to_two_gray_levels(name, side):
    """Pillow and torch round otherwise between the two directions; kaiko.ai publish torch's own.

    H-optimus is published without resampling.
    """
    tiles = _tiles(2, side)
    expected = torch.stack([TRANSFORMS[name](Image.fromarray(tile)) for tile in tiles])
    found = _network_input(name, tiles)
    if name in KAIKO:
        assert (found - expected).abs().max() < ONE_ULP
        return
    levels = (found - expected).abs() * 255 * torch.tensor(get_encoder_card(name).std).view(1, 3, 1, 1)
    assert levels.max() < 2.01
    assert (levels > 0.5).float().mean() < 0.01


@pytest.mark.parametrize("name", ["kaiko_s16", pytest.param("kaiko_b16", marks=pytest.mark.slow)])
def test_a_whole_encoder_from_its_file(name, tmp_path):
    published, state = PUBLISHED[name], PUBLISHED[name].draw()
    path = tmp_path / "model.safetensors"
    save_file(state, path)
    encoder = load_encoder(name, weights=path, device="cpu")
    tiles = _tiles(2, 224)
    with torch.inference_mode():
        images = torch.stack([OF_KAIKO(Image.fromarray(tile)) for tile in tiles])
        expected = _embedding(name, published.tokens(state, images)).numpy()
    values = encoder.encode(tiles)
    np.testing.assert_allclose(values, expected, rtol=1e-3, atol=1e-3)
    assert len(encoder.fingerprint) == 64


def test_other_weights_than_those_of_the_card_are_refused(tmp_path):
    """BI-85: the digest is compared before the file is opened."""
    path = tmp_path / "pytorch_model.bin"
    torch.save({"cls_token": torch.zeros(1, 1, 1024)}, path)
    with pytest.raises(ModelMismatchError, match=r"BI-85.*56ef09b44a25"):
        load_encoder("uni", weights=path)


def test_the_size_of_the_batch_does_not_count(tmp_path):
    card, published = _cut("kaiko_s16", 2)
    path = tmp_path / "weights.pth"
    torch.save(published.draw(), path)
    encoder = load_encoder(replace(card, input_px=112), weights=path, device="cpu")
    tiles = _tiles(64, 112)
    values = encoder.encode(tiles, batch_size=64)
    for size in (1, 7):
        np.testing.assert_allclose(encoder.encode(tiles, batch_size=size), values, rtol=1e-5, atol=1e-5)


def test_random_weights_all_matter():
    """The plain reference reads every tensor: the comparisons above would notice any of them."""
    published = replace(SMALL.cut(1), dim=24, heads=3, hidden=48, registers=2, gated=True, scaled=True)
    state, images = published.draw(), torch.randn(1, 3, 224, 224)
    expected = published.tokens(state, images)
    for key, value in state.items():
        changed = published.tokens({**state, key: value + torch.randn(value.shape)}, images)
        assert not math.isclose(float((changed - expected).abs().max()), 0, abs_tol=1e-4), key
