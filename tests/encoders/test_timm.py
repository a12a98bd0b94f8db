"""Networks of timm: their own normalization, pooling and weights, to the last bit where that is possible."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from histodecon import InputError, MissingKeyError, ModelMismatchError
from histodecon._core import import_timm
from histodecon.encoders import load_encoder, timm_card
from histodecon.encoders._normalization import normalized
from histodecon.encoders._timm import build_timm

WEIGHTS = "weights/mobilenetv2_100_keras_in1k_dequant.safetensors"
RECIPE = {"model_kwargs": {"pad_type": "same"}, "mean": (0.5,) * 3, "std": (0.5,) * 3}
VIT = {"model_kwargs": {"img_size": 32, "patch_size": 16, "depth": 2, "embed_dim": 24, "num_heads": 3}, "input_px": 32}


@pytest.fixture(scope="module")
def tiles() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (6, 224, 224, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def vit(tmp_path_factory):
    """A small transformer with its head, its weights in a file."""
    torch.manual_seed(0)
    model = import_timm().create_model("vit_tiny_patch16_224", num_classes=5, **VIT["model_kwargs"]).eval()
    torch.nn.init.normal_(model.cls_token)
    path = tmp_path_factory.mktemp("vit") / "vit.safetensors"
    save_file(model.state_dict(), path)
    return model, path


def test_mobilenet_equals_timm(shared_data, tiles):
    path = shared_data / WEIGHTS
    encoder = load_encoder(timm_card("mobilenetv2_100", weights=path, **RECIPE))
    model = (
        import_timm()
        .create_model("mobilenetv2_100", pad_type="same", num_classes=1000, checkpoint_path=str(path))
        .eval()
    )
    with torch.inference_mode():
        batch = (torch.from_numpy(tiles).permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5
        expected = model.forward_head(model.forward_features(batch), pre_logits=True).numpy()
    values = encoder.encode(tiles)
    assert (encoder.dim, encoder.input_px, encoder.card.license, encoder.card.commercial) == (
        1280,
        224,
        "unknown",
        False,
    )
    assert expected.std() > 0.1
    np.testing.assert_allclose(values, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(encoder.encode(tiles), values)
    single = np.concatenate([encoder.encode(tile[None]) for tile in tiles])
    np.testing.assert_allclose(single, values, rtol=1e-4, atol=1e-4)


def test_the_weights_decide_the_fingerprint(shared_data, tmp_path):
    path = shared_data / WEIGHTS
    state = load_file(path)
    state["bn1.weight"] = state["bn1.weight"] * 1.01
    save_file(state, tmp_path / "other.safetensors")
    save_file(load_file(path), tmp_path / "copy.safetensors")
    card = timm_card("mobilenetv2_100", weights=path, **RECIPE)
    other = timm_card("mobilenetv2_100", weights=tmp_path / "other.safetensors", **RECIPE)
    assert card.fingerprint() == load_encoder(card).fingerprint
    assert other.fingerprint() != card.fingerprint()
    assert timm_card("mobilenetv2_100", weights=path, name="mine", **RECIPE).fingerprint() == card.fingerprint()
    with pytest.raises(ModelMismatchError, match=r"BI-85.*sha256"):
        load_encoder(card, weights=tmp_path / "other.safetensors")


@pytest.mark.parametrize("model_name", ["mobilenetv2_100", "vit_tiny_patch16_224", "resnet18"])
def test_normalization_is_that_of_timm(model_name, tiles):
    timm = import_timm()
    from PIL import Image
    from timm.data import create_transform, resolve_data_config

    card = timm_card(model_name)
    cfg = timm.get_pretrained_cfg(model_name)
    config = resolve_data_config(pretrained_cfg=cfg.to_dict()) | {"crop_pct": 1.0}
    assert (card.mean, card.std, card.interpolation) == (config["mean"], config["std"], config["interpolation"])
    transform = create_transform(**config)
    expected = torch.stack([transform(Image.fromarray(tile)) for tile in tiles])
    mean, std = (torch.tensor(value).view(1, 3, 1, 1) for value in (card.mean, card.std))
    found = normalized(torch.from_numpy(tiles).permute(0, 3, 1, 2), mean, std)
    assert torch.equal(found, expected)


@pytest.mark.parametrize("pooling", ["model", "token", "mean", "token_mean"])
def test_pooling(vit, pooling):
    model, path = vit
    encoder = load_encoder(timm_card("vit_tiny_patch16_224", weights=path, pooling=pooling, **VIT))
    tiles = np.random.default_rng(1).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    with torch.inference_mode():
        batch = (torch.from_numpy(tiles).permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5
        tokens = model.forward_features(batch)
    first, mean = tokens[:, 0], tokens[:, 1:].mean(dim=1)
    expected = {"mean": mean, "token_mean": torch.cat([first, mean], dim=1)}.get(pooling, first)
    assert encoder.dim == expected.shape[1]
    np.testing.assert_allclose(encoder.encode(tiles), expected.numpy(), rtol=1e-4, atol=1e-5)


def test_dropout_and_gradients_are_off(vit):
    _, path = vit
    kwargs = {**VIT["model_kwargs"], "drop_rate": 0.5, "proj_drop_rate": 0.5}
    card = timm_card("vit_tiny_patch16_224", weights=path, model_kwargs=kwargs, input_px=32)
    tiles = np.zeros((3, 32, 32, 3), dtype=np.uint8)
    encoder = load_encoder(card)
    np.testing.assert_array_equal(encoder.encode(tiles), encoder.encode(tiles))


def test_every_parameter_must_be_there(vit, tmp_path):
    model, path = vit
    state = model.state_dict()

    def load(changed):
        save_file(changed, tmp_path / "changed.safetensors")
        return load_encoder(timm_card("vit_tiny_patch16_224", weights=tmp_path / "changed.safetensors", **VIT))

    load({key: value for key, value in state.items() if not key.startswith("head.")})
    with pytest.raises(ModelMismatchError, match=r"BI-84.*norm.weight is missing"):
        load({key: value for key, value in state.items() if key != "norm.weight"})
    with pytest.raises(ModelMismatchError, match=r"extra\.weight is unknown"):
        load({**state, "extra.weight": torch.zeros(2)})
    with pytest.raises(ModelMismatchError, match=r"norm\.weight has shape"):
        load({**state, "norm.weight": torch.zeros(3)})
    with pytest.raises(ModelMismatchError, match="faults"):
        load({f"module.{key}": value for key, value in state.items()})
    card = replace(timm_card("vit_tiny_patch16_224", weights=path, **VIT), dropped=())
    with pytest.raises(ModelMismatchError, match=r"head\.\w+ is unknown"):
        load_encoder(card)


def test_layers_are_named():
    kwargs = {**VIT["model_kwargs"], "mlp_layer": "SwiGLUPacked", "act_layer": "SiLU", "norm_layer": "layernorm"}
    card = timm_card("vit_tiny_patch16_224", model_kwargs=kwargs, input_px=32)
    assert json.loads(json.dumps(dict(card.model_kwargs)))["act_layer"] == "SiLU"
    block = build_timm(card).inner.blocks[0]
    assert isinstance(block.mlp.act, torch.nn.SiLU)
    assert type(block.mlp).__name__ == "GluMlp"
    assert isinstance(block.norm1, torch.nn.LayerNorm)
    with pytest.raises(InputError, match=r"BI-51.*NoSuchLayer"):
        timm_card("vit_tiny_patch16_224", model_kwargs={"mlp_layer": "NoSuchLayer"})


def test_models_that_cannot_be(tmp_path):
    with pytest.raises(InputError, match="BI-51"):
        timm_card("resnet18", model_kwargs={"no_such_argument": 1})
    with pytest.raises(InputError, match="BI-49"):
        timm_card("vit_tiny_patch16_224", input_px=200)
    with pytest.raises(InputError, match="no class tokens"):
        timm_card("resnet18", pooling="token")
    with pytest.raises(InputError, match="one row for each tile"):
        timm_card("resnet18", model_kwargs={"global_pool": ""})
    with pytest.raises(MissingKeyError, match="no weight file"):
        timm_card("resnet18", weights=tmp_path / "absent.safetensors")


@pytest.mark.parametrize(
    ("model_name", "dim"),
    [("mobilenetv3_small_100", 1024), ("swin_tiny_patch4_window7_224", 768), ("resnet18.a1_in1k", 512)],
)
def test_any_timm_name(model_name, dim):
    card = timm_card(model_name)
    assert (card.name, card.dim) == (model_name, dim)
    assert card.repo.startswith("timm/")
    assert card.commercial
