"""Every encoder that transformers builds: layout of its published file, preprocessing and forward pass as its authors have them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from PIL import Image
from plain_vit import Published
from safetensors.torch import save_file
from torch.nn import functional as F

from histodecon import ModelMismatchError
from histodecon._core import import_timm
from histodecon.encoders import Encoder, get_encoder_card, list_encoders, load_encoder
from histodecon.encoders._normalization import normalized
from histodecon.encoders._transformers import build_transformers
from histodecon.encoders._weights import load_strictly

pytest.importorskip("transformers")
import_timm()  # makes torchvision importable
from torchvision import transforms  # noqa: E402 after the operators are there
from torchvision.transforms import InterpolationMode, v2  # noqa: E402


@dataclass(frozen=True)
class Dinov2:
    """Layout of a published file of a DINOv2, by the names that transformers gave it before version 5."""

    dim: int
    depth: int
    patch: int
    hidden: int
    grid: int  # positions along a side
    gated: bool = False
    registers: int = 0

    def layout(self) -> dict[str, tuple[int, ...]]:
        dim, hidden = self.dim, self.hidden
        shapes = {
            "embeddings.cls_token": (1, 1, dim),
            "embeddings.mask_token": (1, dim),
            "embeddings.position_embeddings": (1, 1 + self.grid**2, dim),
            "embeddings.patch_embeddings.projection.weight": (dim, 3, self.patch, self.patch),
            "embeddings.patch_embeddings.projection.bias": (dim,),
        }
        if self.registers:
            shapes["embeddings.register_tokens"] = (1, self.registers, dim)
        first, second = ("weights_in", "weights_out") if self.gated else ("fc1", "fc2")
        wide = 2 * hidden if self.gated else hidden
        for i in range(self.depth):
            block = {
                "norm1.weight": (dim,),
                "norm1.bias": (dim,),
                "attention.attention.query.weight": (dim, dim),
                "attention.attention.query.bias": (dim,),
                "attention.attention.key.weight": (dim, dim),
                "attention.attention.key.bias": (dim,),
                "attention.attention.value.weight": (dim, dim),
                "attention.attention.value.bias": (dim,),
                "attention.output.dense.weight": (dim, dim),
                "attention.output.dense.bias": (dim,),
                "layer_scale1.lambda1": (dim,),
                "norm2.weight": (dim,),
                "norm2.bias": (dim,),
                f"mlp.{first}.weight": (wide, dim),
                f"mlp.{first}.bias": (wide,),
                f"mlp.{second}.weight": (dim, hidden),
                f"mlp.{second}.bias": (dim,),
                "layer_scale2.lambda1": (dim,),
            }
            shapes |= {f"encoder.layer.{i}.{name}": shape for name, shape in block.items()}
        return shapes | {"layernorm.weight": (dim,), "layernorm.bias": (dim,)}

    def draw(self) -> dict[str, torch.Tensor]:
        """Draw random tensors; none is zero or one everywhere, so that every one of them matters."""
        generator, state = torch.Generator().manual_seed(0), {}
        for name, shape in self.layout().items():
            value = torch.empty(shape).normal_(generator=generator)
            if name.endswith(("lambda1", "norm.weight", "norm1.weight", "norm2.weight")):
                state[name] = 1 + 0.2 * value
            else:
                state[name] = value * (1 / math.sqrt(shape[-1]) if len(shape) == 2 else 0.05)
        return state

    def tokens(self, state: dict[str, torch.Tensor], images: torch.Tensor) -> torch.Tensor:
        """Compute tokens with a plain transformer, whose class token has its position added beforehand."""
        side, positions = images.shape[-1] // self.patch, state["embeddings.position_embeddings"]
        square = positions[:, 1:].reshape(1, self.grid, self.grid, self.dim).permute(0, 3, 1, 2)
        if side != self.grid:
            square = F.interpolate(square, size=(side, side), mode="bicubic", antialias=self.registers > 0)
        plain = {
            "cls_token": state["embeddings.cls_token"] + positions[:, :1],
            "pos_embed": square.flatten(2).transpose(1, 2),
            "reg_token": state.get("embeddings.register_tokens"),
            "patch_embed.proj.weight": state["embeddings.patch_embeddings.projection.weight"],
            "patch_embed.proj.bias": state["embeddings.patch_embeddings.projection.bias"],
            "norm.weight": state["layernorm.weight"],
            "norm.bias": state["layernorm.bias"],
        }
        first, second = ("weights_in", "weights_out") if self.gated else ("fc1", "fc2")
        same = {
            "norm1": "norm1",
            "norm2": "norm2",
            "attention.output.dense": "attn.proj",
            f"mlp.{first}": "mlp.fc1",
            f"mlp.{second}": "mlp.fc2",
        }
        for i in range(self.depth):
            old, new = f"encoder.layer.{i}", f"blocks.{i}"
            for kind in ("weight", "bias"):
                plain |= {f"{new}.{there}.{kind}": state[f"{old}.{here}.{kind}"] for here, there in same.items()}
                three = [state[f"{old}.attention.attention.{part}.{kind}"] for part in ("query", "key", "value")]
                plain[f"{new}.attn.qkv.{kind}"] = torch.cat(three)
            for j in (1, 2):
                plain[f"{new}.ls{j}.gamma"] = state[f"{old}.layer_scale{j}.lambda1"]
        published = Published(
            self.dim, self.depth, self.dim // 64, self.patch, self.hidden, side, gated=self.gated, patches_only=True
        )
        return replace(published, registers=self.registers).tokens(plain, images)


PUBLISHED = {
    "phikon_v2": Dinov2(1024, 24, 16, 4096, 14),
    "midnight": Dinov2(1536, 40, 14, 4096, 37, gated=True),
    "hibou_b": Dinov2(768, 12, 14, 2048, 16, gated=True, registers=4),
    "hibou_l": Dinov2(1024, 24, 14, 2736, 16, gated=True, registers=4),
}
# numbers of parameters, as others counted them in the published models
NUMBERS = {"phikon_v2": 303_351_808, "midnight": 1_136_480_768, "hibou_b": 85_741_056, "hibou_l": 303_659_264}
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
HIBOU = {"mean": (0.7068, 0.5755, 0.722), "std": (0.195, 0.2316, 0.1816)}
HALF = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}


def _pil(channels: dict) -> transforms.Compose:
    steps = [transforms.Resize(224, InterpolationMode.BICUBIC), transforms.CenterCrop(224), transforms.ToTensor()]
    return transforms.Compose([*steps, transforms.Normalize(**channels)])


TRANSFORMS = {
    "phikon_v2": _pil(IMAGENET),
    "midnight": v2.Compose(
        [v2.ToImage(), v2.Resize(224), v2.CenterCrop(224), v2.ToDtype(torch.float32, scale=True), v2.Normalize(**HALF)]
    ),
    "hibou_b": _pil(HIBOU),
    "hibou_l": _pil(HIBOU),
}
ONE_ULP = 2.4e-7  # of numbers around 1, twice as large after the division by 0.5


def _on_meta(name: str):
    with torch.device("meta"):
        return build_transformers(get_encoder_card(name))


def _empty(layout: dict[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    return {key: torch.empty(shape, device="meta") for key, shape in layout.items()}


def _cut(name: str, **changes):
    """The card and the layout of an encoder of one block."""
    card = get_encoder_card(name)
    kwargs = {**dict(card.model_kwargs), "num_hidden_layers": 1}
    return replace(card, model_kwargs=kwargs, weights_sha256=None, **changes), replace(PUBLISHED[name], depth=1)


def _tiles(n: int, side: int) -> np.ndarray:
    return np.random.default_rng(side).integers(0, 256, (n, side, side, 3), dtype=np.uint8)


def _embedding(name: str, tokens: torch.Tensor) -> torch.Tensor:
    """As the page of the encoder says."""
    first = tokens[:, 0]
    return torch.cat([first, tokens[:, 1:].mean(1)], dim=-1) if name == "midnight" else first


def test_every_card_of_transformers_is_tested_here():
    table = list_encoders()
    assert set(table.index[table["loader"] == "transformers"]) == set(PUBLISHED)


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_layout_loads_strictly(name):
    network, layout = _on_meta(name), PUBLISHED[name].layout()
    assert {key: tuple(value.shape) for key, value in network.inner.state_dict().items()} == layout
    assert load_strictly(network.inner, _empty(layout), dropped=(), name=name) == NUMBERS[name]
    card = get_encoder_card(name)
    with torch.inference_mode():
        answer = network(torch.empty(2, 3, 224, 224, device="meta"))
    assert answer.shape == (2, card.dim)


@pytest.mark.parametrize("fault", ["is missing", "is unknown", "has shape"])
@pytest.mark.parametrize("name", PUBLISHED)
def test_another_layout_is_refused(name, fault):
    """BI-84."""
    layout = PUBLISHED[name].layout()
    if fault == "is missing":
        del layout["encoder.layer.0.attention.attention.query.bias"]
    elif fault == "is unknown":
        layout["encoder.layer.0.attention.attention.extra"] = (3,)
    else:
        layout["embeddings.position_embeddings"] = (1, 7, PUBLISHED[name].dim)
    with pytest.raises(ModelMismatchError, match=rf"BI-84.*1 faults.*{fault}"):
        load_strictly(_on_meta(name).inner, _empty(layout), dropped=(), name=name)


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_forward_pass_is_the_plain_one(name, tmp_path):
    card, published = _cut(name)
    state = published.draw()
    save_file(state, tmp_path / "model.safetensors", metadata={"format": "pt"})
    encoder, tiles = load_encoder(card, weights=tmp_path / "model.safetensors", device="cpu"), _tiles(2, 224)
    images = torch.stack([TRANSFORMS[name](Image.fromarray(tile)) for tile in tiles])
    with torch.inference_mode():
        expected = _embedding(name, published.tokens(state, images))
    assert (expected[0] - expected[1]).abs().max() > 0.1
    np.testing.assert_allclose(encoder.encode(tiles), expected.numpy(), rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_a_whole_encoder_is_the_plain_one():
    published = PUBLISHED["hibou_b"]
    state, images = published.draw(), torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    network = build_transformers(get_encoder_card("hibou_b"))
    load_strictly(network.inner, state, dropped=(), name="hibou_b")
    with torch.inference_mode():
        torch.testing.assert_close(network(images), published.tokens(state, images)[:, 0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["midnight", "hibou_b"])
def test_the_size_of_the_batch_does_not_count(name, tmp_path):
    card, published = _cut(name, input_px=2 * PUBLISHED[name].patch)
    save_file(published.draw(), tmp_path / "model.safetensors")
    encoder, tiles = load_encoder(card, weights=tmp_path / "model.safetensors", device="cpu"), _tiles(64, card.input_px)
    values = encoder.encode(tiles, batch_size=64)
    for size in (1, 7):
        np.testing.assert_allclose(encoder.encode(tiles, batch_size=size), values, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("side", [224, 300])
@pytest.mark.parametrize("name", PUBLISHED)
def test_preprocessing_is_the_published_one(name, side):
    """To the last bit without resampling, to two gray levels with it; kaiko.ai multiply by 1 / 255 instead of dividing."""
    card, seen = get_encoder_card(name), []
    Encoder(card, lambda batch: seen.append(batch) or np.zeros((len(batch), card.dim), np.float32)).encode(
        _tiles(2, side)
    )
    mean, std = (torch.tensor(channels).view(1, 3, 1, 1) for channels in (card.mean, card.std))
    found = normalized(torch.from_numpy(np.concatenate(seen)).permute(0, 3, 1, 2), mean, std)
    expected = torch.stack([TRANSFORMS[name](Image.fromarray(tile)) for tile in _tiles(2, side)])
    if name == "midnight":
        assert (found - expected).abs().max() < ONE_ULP
    elif side == 224:
        assert torch.equal(found, expected)
    else:
        assert ((found - expected).abs() * 255 * std).max() < 2.01


def test_other_weights_than_those_of_the_card_are_refused(tmp_path):
    """BI-85."""
    save_file({"layernorm.weight": torch.zeros(1024)}, tmp_path / "model.safetensors")
    with pytest.raises(ModelMismatchError, match=r"BI-85.*261ae680fa69"):
        load_encoder("phikon_v2", weights=tmp_path / "model.safetensors")
