"""CONCH's image tower: layout of the published file, preprocessing, and a plain forward pass, without its package."""

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
from histodecon.encoders import get_encoder_card, load_encoder
from histodecon.encoders._towers import build_torch
from histodecon.encoders._weights import load_strictly

import_timm()  # makes torchvision importable
from torchvision import transforms  # noqa: E402 after the operators are there

TRUNK = Published(768, 12, 12, 16, 3072, 28, scaled=False)
HEAD = {
    "attn_pool_contrast.query": (1, 512),
    "attn_pool_contrast.ln_q.weight": (512,),
    "attn_pool_contrast.ln_q.bias": (512,),
    "attn_pool_contrast.ln_k.weight": (768,),
    "attn_pool_contrast.ln_k.bias": (768,),
    "attn_pool_contrast.attn.q_proj_weight": (512, 512),
    "attn_pool_contrast.attn.k_proj_weight": (512, 768),
    "attn_pool_contrast.attn.v_proj_weight": (512, 768),
    "attn_pool_contrast.attn.in_proj_bias": (1536,),
    "attn_pool_contrast.attn.out_proj.weight": (512, 512),
    "attn_pool_contrast.attn.out_proj.bias": (512,),
    "ln_contrast.weight": (512,),
    "ln_contrast.bias": (512,),
    "proj_contrast": (512, 512),
}
CAPTIONS = {
    "visual.attn_pool_caption.query": (256, 768),
    "visual.attn_pool_caption.attn.in_proj_weight": (2304, 768),
    "visual.attn_pool_caption.attn.in_proj_bias": (2304,),
    "visual.attn_pool_caption.attn.out_proj.weight": (768, 768),
    "visual.attn_pool_caption.attn.out_proj.bias": (768,),
    "visual.attn_pool_caption.ln_q.weight": (768,),
    "visual.attn_pool_caption.ln_q.bias": (768,),
    "visual.attn_pool_caption.ln_k.weight": (768,),
    "visual.attn_pool_caption.ln_k.bias": (768,),
    "visual.ln_caption.weight": (768,),
    "visual.ln_caption.bias": (768,),
}
TEXT_BLOCK = {
    "ln_1.weight": (768,),
    "ln_1.bias": (768,),
    "attn.in_proj_weight": (2304, 768),
    "attn.in_proj_bias": (2304,),
    "attn.out_proj.weight": (768, 768),
    "attn.out_proj.bias": (768,),
    "ln_2.weight": (768,),
    "ln_2.bias": (768,),
    "mlp.c_fc.weight": (3072, 768),
    "mlp.c_fc.bias": (3072,),
    "mlp.c_proj.weight": (768, 3072),
    "mlp.c_proj.bias": (768,),
}
TEXT = {
    "text.token_embedding.weight": (32007, 768),
    "text.positional_embedding": (128, 768),
    "text.cls_emb": (768,),
    "text.text_projection": (768, 512),
    "text.ln_final.weight": (768,),
    "text.ln_final.bias": (768,),
    "logit_scale": (),
    **{f"text.transformer.resblocks.{i}.{name}": shape for i in range(12) for name, shape in TEXT_BLOCK.items()},
}
FILE_BYTES = 802_235_437  # of the published file, a zip archive with a table of contents
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
CONCH = get_encoder_card("conch")


def layout(depth: int = 12) -> dict[str, tuple[int, ...]]:
    """Names, after ``visual.``, and shapes of the tensors of the image tower."""
    return {f"trunk.{name}": shape for name, shape in TRUNK.cut(depth).layout().items()} | HEAD


def draw(depth: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    state = {f"trunk.{name}": value for name, value in TRUNK.cut(depth).draw().items()}
    for name, shape in HEAD.items():
        value = torch.empty(shape).normal_(generator=generator)
        wide = 1 / math.sqrt(shape[-1]) if len(shape) == 2 and "query" not in name else 1
        state[name] = 1 + 0.2 * value if name.endswith(("ln_q.weight", "ln_k.weight", "ast.weight")) else value * wide
    return state


def save(path, state, **others):
    """Write the published file: the image tower among what writes captions and reads text."""
    strangers = {"visual.attn_pool_caption.query": (2, 768), "visual.ln_caption.bias": (768,), "text.cls_emb": (768,)}
    strange = {name: torch.full(shape, 9.0) for name, shape in strangers.items()}
    torch.save({**strange, **{f"visual.{name}": value for name, value in state.items()}, **others}, path)
    return path


def card_of(depth: int, **changes):
    kwargs = {**dict(CONCH.model_kwargs), "depth": depth, **changes.pop("model_kwargs", {})}
    return replace(CONCH, name="cut", model_kwargs=kwargs, weights_sha256=None, **changes)


def norm(x, state, name):
    centered = x - x.mean(-1, keepdim=True)
    scaled = centered / torch.sqrt(centered.square().mean(-1, keepdim=True) + 1e-5)
    return scaled * state[f"{name}.weight"] + state[f"{name}.bias"]


def reference(state, images, *, projection=False, normalize=False, depth=12):
    """The tower written down head by head."""
    trunk = {name.removeprefix("trunk."): value for name, value in state.items() if name.startswith("trunk.")}
    tokens = TRUNK.cut(depth).tokens(trunk, images)
    pooler = {name.removeprefix("attn_pool_contrast."): value for name, value in state.items()}
    query, keys = norm(pooler["query"], pooler, "ln_q"), norm(tokens, pooler, "ln_k")
    biases = pooler["attn.in_proj_bias"].split(512)
    q, k, v = (
        x @ pooler[f"attn.{name}_proj_weight"].T + bias
        for x, name, bias in zip((query, keys, keys), "qkv", biases, strict=True)
    )
    heads = []
    for head in range(8):
        part = slice(64 * head, 64 * head + 64)
        weights = torch.softmax(torch.einsum("qd,ntd->nqt", q[:, part], k[..., part]) / 8, dim=-1)
        heads.append(torch.einsum("nqt,ntd->nqd", weights, v[..., part]))
    pooled = torch.cat(heads, dim=-1) @ pooler["attn.out_proj.weight"].T + pooler["attn.out_proj.bias"]
    answer = norm(pooled[:, 0], state, "ln_contrast")
    answer = answer @ state["proj_contrast"] if projection else answer
    return answer / answer.square().sum(-1, keepdim=True).sqrt() if normalize else answer


def tiles_of(n: int, side: int) -> np.ndarray:
    return np.random.default_rng(side).integers(0, 256, (n, side, side, 3), dtype=np.uint8)


def preprocess(tiles: np.ndarray, side: int = 448) -> torch.Tensor:
    """As CONCH's own package does."""
    bicubic = transforms.InterpolationMode.BICUBIC
    steps = [transforms.Resize(side, bicubic), transforms.CenterCrop(side), transforms.ToTensor()]
    chain = transforms.Compose([*steps, transforms.Normalize(MEAN, STD)])
    return torch.stack([chain(Image.fromarray(tile)) for tile in tiles])


def test_the_published_layout_loads_strictly():
    """164 tensors of 87.83 million numbers, whatever else the file holds."""
    with torch.device("meta"):
        network = build_torch(CONCH)
    assert {name: tuple(value.shape) for name, value in network.state_dict().items()} == layout()
    file = {f"visual.{name}": shape for name, shape in layout().items()} | CAPTIONS | TEXT
    state = {name: torch.empty(shape, device="meta") for name, shape in file.items()}
    count = load_strictly(network, state, prefix=CONCH.prefix, dropped=CONCH.dropped, name="conch")
    assert (len(network.state_dict()), count) == (164, 87_829_248)


def test_the_published_file_is_as_large_as_its_layout():
    """It holds what writes captions under the same prefix; without it ten million bytes were left over."""
    file = {f"visual.{name}": shape for name, shape in layout().items()} | CAPTIONS | TEXT
    left = FILE_BYTES - 4 * sum(math.prod(shape) for shape in file.values())
    assert 0 < left < 1000 * len(file)


@pytest.mark.parametrize("fault", ["is missing", "is unknown", "has shape"])
def test_another_layout_is_refused(tmp_path, fault):
    """BI-84."""
    state = draw(1)
    if fault == "is missing":
        del state["ln_contrast.bias"]
    elif fault == "is unknown":
        state["ln_contrast.extra"] = torch.zeros(3)
    else:
        state["trunk.pos_embed"] = torch.zeros(1, 197, 768)
    with pytest.raises(ModelMismatchError, match=rf"BI-84.*1 faults.*{fault}"):
        load_encoder(card_of(1), weights=save(tmp_path / "pytorch_model.bin", state), device="cpu")


def test_a_file_without_the_image_tower_is_refused(tmp_path):
    torch.save({"text.cls_emb": torch.zeros(768)}, tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelMismatchError, match="BI-84"):
        load_encoder(card_of(1), weights=tmp_path / "pytorch_model.bin", device="cpu")


def test_other_weights_than_those_of_the_card_are_refused(tmp_path):
    """BI-85."""
    with pytest.raises(ModelMismatchError, match=r"BI-85.*40a9644b9ba0"):
        load_encoder("conch", weights=save(tmp_path / "pytorch_model.bin", {}), device="cpu")


@pytest.mark.parametrize("projection", [False, True])
@pytest.mark.parametrize("normalize", [False, True])
def test_the_forward_pass_is_the_plain_one(tmp_path, projection, normalize):
    state = draw(1)
    card = card_of(1, model_kwargs={"projection": projection, "normalize": normalize})
    encoder = load_encoder(card, weights=save(tmp_path / "pytorch_model.bin", state), device="cpu")
    tiles = tiles_of(2, 448)
    with torch.inference_mode():
        expected = reference(state, preprocess(tiles), projection=projection, normalize=normalize, depth=1)
    values = encoder.encode(tiles)
    assert values.shape == (2, 512)
    assert (expected[0] - expected[1]).abs().max() > 1e-3
    np.testing.assert_allclose(values, expected.numpy(), rtol=1e-5, atol=1e-5)


def test_the_whole_encoder_is_the_plain_one():
    state, images = draw(12), preprocess(tiles_of(1, 448))
    with torch.device("meta"):
        network = build_torch(CONCH)
    network.load_state_dict(state, strict=True, assign=True)
    with torch.inference_mode():
        torch.testing.assert_close(network(images), reference(state, images), rtol=1e-5, atol=1e-5)


def test_three_variants_of_one_width_have_three_fingerprints(tmp_path):
    path = save(tmp_path / "pytorch_model.bin", draw(1))
    choices = [{}, {"projection": True}, {"projection": True, "normalize": True}, {"normalize": True}]
    encoders = [load_encoder(card_of(1, model_kwargs=choice), weights=path, device="cpu") for choice in choices]
    assert {encoder.card.dim for encoder in encoders} == {512}
    assert len({encoder.fingerprint for encoder in encoders}) == len(choices)
    assert dict(CONCH.model_kwargs) == {"projection": False, "normalize": False}


def test_the_size_of_the_batch_does_not_count(tmp_path):
    path = save(tmp_path / "pytorch_model.bin", draw(1))
    encoder = load_encoder(card_of(1, input_px=64), weights=path, device="cpu")
    tiles = tiles_of(64, 64)
    values = encoder.encode(tiles, batch_size=64)
    for size in (1, 7):
        np.testing.assert_allclose(encoder.encode(tiles, batch_size=size), values, rtol=1e-5, atol=1e-5)


def test_half_precision_files_are_read_as_float32(tmp_path):
    state = {name: value.half() for name, value in draw(1).items()}
    path = save(tmp_path / "pytorch_model.bin", state)
    encoder = load_encoder(card_of(1, input_px=64), weights=path, device="cpu")
    whole = {name: value.float() for name, value in state.items()}
    other = load_encoder(card_of(1, input_px=64), weights=save(tmp_path / "whole.bin", whole), device="cpu")
    np.testing.assert_array_equal(encoder.encode(tiles_of(2, 64)), other.encode(tiles_of(2, 64)))


@pytest.mark.parametrize("side", [448, 512])
def test_preprocessing_is_the_published_one(side):
    """To the last bit without resampling, to two gray levels with it."""
    from histodecon.encoders import Encoder
    from histodecon.encoders._normalization import normalized

    seen = []
    Encoder(CONCH, lambda batch: seen.append(batch) or np.zeros((len(batch), 512), np.float32)).encode(
        tiles_of(2, side)
    )
    mean, std = (torch.tensor(channels).view(1, 3, 1, 1) for channels in (CONCH.mean, CONCH.std))
    found = normalized(torch.from_numpy(np.concatenate(seen)).permute(0, 3, 1, 2), mean, std)
    expected = preprocess(tiles_of(2, side))
    levels = (found - expected).abs() * 255 * std
    assert torch.equal(found, expected) if side == 448 else levels.max() < 2.01
