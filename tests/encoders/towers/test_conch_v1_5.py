"""CONCH v1.5's image tower: layout of the published file, positions resampled as its authors do, and a plain forward pass."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from plain_vit import Published

from histodecon import ModelMismatchError
from histodecon._core import import_timm
from histodecon.encoders import Encoder, get_encoder_card, load_encoder
from histodecon.encoders._normalization import normalized
from histodecon.encoders._towers import build_torch
from histodecon.encoders._weights import load_strictly
from histodecon.encoders.towers.conch_v1_5 import resample_positions

import_timm()  # makes torchvision importable
from torchvision import transforms  # noqa: E402 after the operators are there

TRUNK = Published(1024, 24, 16, 16, 4096, 14)
HEAD = {
    "attn_pool_contrast.query": (1, 768),
    "attn_pool_contrast.ln_k.weight": (1024,),
    "attn_pool_contrast.ln_k.bias": (1024,),
    "attn_pool_contrast.ln_q.weight": (768,),
    "attn_pool_contrast.ln_q.bias": (768,),
    "attn_pool_contrast.to_q.weight": (768, 768),
    "attn_pool_contrast.to_kv.weight": (1536, 1024),
    "attn_pool_contrast.to_out.weight": (768, 768),
    "ln_contrast.weight": (768,),
    "ln_contrast.bias": (768,),
}
CONCH = get_encoder_card("conch_v1_5")


def layout(depth: int = 24) -> dict[str, tuple[int, ...]]:
    return {f"trunk.{name}": shape for name, shape in TRUNK.cut(depth).layout().items()} | HEAD


def draw(depth: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    state = {f"trunk.{name}": value for name, value in TRUNK.cut(depth).draw().items()}
    for name, shape in HEAD.items():
        value = torch.empty(shape).normal_(generator=generator)
        state[name] = value / math.sqrt(shape[-1]) if ".to_" in name else value
    return state


def norm(x, state, name):
    centered = x - x.mean(-1, keepdim=True)
    scaled = centered / torch.sqrt(centered.square().mean(-1, keepdim=True) + 1e-5)
    return scaled * state[f"{name}.weight"] + state[f"{name}.bias"]


def cubic(side: int, grid: int) -> torch.Tensor:
    """Weights of the old positions for each new one, along an axis: cubic convolution as torch has it, borders repeated."""
    weights = torch.zeros(side, grid, dtype=torch.float64)
    scale = (side + 0.1) / grid
    for new in range(side):
        at = (new + 0.5) / scale - 0.5
        for tap in range(math.floor(at) - 1, math.floor(at) + 3):
            x = abs(at - tap)
            near = 1.25 * x**3 - 2.25 * x**2 + 1
            far = -0.75 * x**3 + 3.75 * x**2 - 6 * x + 3
            weights[new, min(max(tap, 0), grid - 1)] += near if x <= 1 else far
    return weights


def resampled(positions: torch.Tensor, side: int) -> torch.Tensor:
    grid = math.isqrt(positions.shape[1] - 1)
    square = positions[0, 1:].double().reshape(grid, grid, -1)
    new = torch.einsum("ai,bj,ijc->abc", cubic(side, grid), cubic(side, grid), square)
    return torch.cat([positions[0, :1], new.reshape(side * side, -1).float()])[None]


def reference(state, images, depth):
    """The tower written down head by head, on positions that are resampled beforehand."""
    side = images.shape[-1] // 16
    trunk = {name.removeprefix("trunk."): value for name, value in state.items() if name.startswith("trunk.")}
    trunk["pos_embed"] = resampled(trunk["pos_embed"], side)
    tokens = replace(TRUNK, grid=side, depth=depth).tokens(trunk, images)
    pooler = {name.removeprefix("attn_pool_contrast."): value for name, value in state.items()}
    q = norm(pooler["query"], pooler, "ln_q") @ pooler["to_q.weight"].T
    k, v = (norm(tokens, pooler, "ln_k") @ half.T for half in pooler["to_kv.weight"].split(768))
    heads = []
    for head in range(8):
        part = slice(96 * head, 96 * head + 96)
        weights = torch.softmax(torch.einsum("qd,ntd->nqt", q[:, part], k[..., part]) / math.sqrt(96), dim=-1)
        heads.append(torch.einsum("nqt,ntd->nqd", weights, v[..., part]))
    pooled = torch.cat(heads, dim=-1)[:, 0] @ pooler["to_out.weight"].T
    return norm(pooled, state, "ln_contrast")


def card_of(depth: int, **changes):
    return replace(CONCH, name="cut", model_kwargs={"depth": depth}, **changes)


def tiles_of(n: int, side: int) -> np.ndarray:
    return np.random.default_rng(side).integers(0, 256, (n, side, side, 3), dtype=np.uint8)


def preprocess(tiles: np.ndarray, side: int = 448) -> torch.Tensor:
    """As the authors do."""
    bilinear, channels = transforms.InterpolationMode.BILINEAR, ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    steps = [transforms.Resize(side, bilinear), transforms.CenterCrop(side), transforms.ToTensor()]
    chain = transforms.Compose([*steps, transforms.Normalize(*channels)])
    return torch.stack([chain(Image.fromarray(tile)) for tile in tiles])


def test_the_published_layout_loads_strictly():
    with torch.device("meta"):
        network = build_torch(CONCH)
        assert network(torch.empty(2, 3, 448, 448)).shape == (2, 768)
    assert {name: tuple(value.shape) for name, value in network.state_dict().items()} == layout()
    state = {name: torch.empty(shape, device="meta") for name, shape in layout().items()}
    count = load_strictly(network, state, prefix=CONCH.prefix, dropped=CONCH.dropped, name="conch_v1_5")
    assert (len(state), count) == (352, 306_109_184)


@pytest.mark.parametrize("fault", ["is missing", "is unknown", "has shape"])
def test_another_layout_is_refused(fault):
    """BI-84."""
    with torch.device("meta"):
        network = build_torch(CONCH)
    state = {name: torch.empty(shape, device="meta") for name, shape in layout().items()}
    if fault == "is missing":
        del state["attn_pool_contrast.to_out.weight"]
    elif fault == "is unknown":
        state["attn_pool_contrast.to_out.bias"] = torch.empty(768, device="meta")
    else:
        state["trunk.pos_embed"] = torch.empty(1, 785, 1024, device="meta")
    with pytest.raises(ModelMismatchError, match=rf"BI-84.*1 faults.*{fault}"):
        load_strictly(network, state, prefix=CONCH.prefix, dropped=CONCH.dropped, name="conch_v1_5")


def test_the_forward_pass_is_the_plain_one(tmp_path):
    state = draw(1)
    torch.save(state, tmp_path / "pytorch_model_vision.bin")
    encoder = load_encoder(card_of(1), weights=tmp_path / "pytorch_model_vision.bin", device="cpu")
    tiles = tiles_of(2, 448)
    with torch.inference_mode():
        expected = reference(state, preprocess(tiles), depth=1)
    values = encoder.encode(tiles)
    assert values.shape == (2, 768)
    assert (expected[0] - expected[1]).abs().max() > 1e-3
    np.testing.assert_allclose(values, expected.numpy(), rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_the_whole_encoder_is_the_plain_one():
    state, images = draw(24), preprocess(tiles_of(1, 448))
    with torch.device("meta"):
        network = build_torch(CONCH)
    network.load_state_dict(state, strict=True, assign=True)
    with torch.inference_mode():
        torch.testing.assert_close(network(images), reference(state, images, 24), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("side", [28, 9])
def test_positions_are_resampled_with_a_tenth_of_a_patch_more(side):
    """timm's own way, without that tenth and with smoothing, gives others."""
    positions = torch.randn(1, 1 + 14 * 14, 5, generator=torch.Generator().manual_seed(side))
    found = resample_positions(positions, side)
    torch.testing.assert_close(found, resampled(positions, side), rtol=1e-5, atol=1e-5)
    import_timm()
    from timm.layers import resample_abs_pos_embed

    assert (found - resample_abs_pos_embed(positions, [side, side])).abs().max() > 0.01


def test_positions_of_the_own_size_stay_as_they_are():
    positions = torch.randn(1, 1 + 14 * 14, 5)
    assert resample_positions(positions, 14) is positions


def test_the_size_of_the_batch_does_not_count(tmp_path):
    torch.save(draw(1), tmp_path / "weights.pth")
    encoder = load_encoder(card_of(1, input_px=64), weights=tmp_path / "weights.pth", device="cpu")
    tiles = tiles_of(64, 64)
    values = encoder.encode(tiles, batch_size=64)
    for size in (1, 7):
        np.testing.assert_allclose(encoder.encode(tiles, batch_size=size), values, rtol=1e-5, atol=1e-5)


def test_half_precision_stays_near(tmp_path):
    torch.save(draw(1), tmp_path / "weights.pth")
    card, tiles = card_of(1, input_px=64), tiles_of(2, 64)
    whole = load_encoder(card, weights=tmp_path / "weights.pth", device="cpu")
    half = load_encoder(card, weights=tmp_path / "weights.pth", device="cpu", precision="bfloat16")
    expected = whole.encode(tiles)
    assert np.abs(half.encode(tiles) - expected).max() < 0.1 * np.abs(expected).max()
    assert half.fingerprint != whole.fingerprint


@pytest.mark.parametrize("side", [448, 512])
def test_preprocessing_is_the_published_one(side):
    """To the last bit without resampling, to two gray levels with it."""
    seen = []
    Encoder(CONCH, lambda batch: seen.append(batch) or np.zeros((len(batch), 768), np.float32)).encode(
        tiles_of(2, side)
    )
    mean, std = (torch.tensor(channels).view(1, 3, 1, 1) for channels in (CONCH.mean, CONCH.std))
    found = normalized(torch.from_numpy(np.concatenate(seen)).permute(0, 3, 1, 2), mean, std)
    expected = preprocess(tiles_of(2, side))
    levels = (found - expected).abs() * 255 * std
    assert torch.equal(found, expected) if side == 448 else levels.max() < 2.01
