"""Pooled tokens, and parameters by the names of published files."""

from __future__ import annotations

import pytest
import torch

from histodecon._core import declare_vision_operators
from histodecon.encoders._tokens import TokenModel, keep_published_names

pytest.importorskip("transformers")
declare_vision_operators()
from transformers import (  # noqa: E402 after the operators are there
    Dinov2Config,
    Dinov2Model,
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersModel,
)

SIZES = {"image_size": 28, "patch_size": 14, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}


@pytest.fixture(params=[True, False], ids=["gated", "plain"])
def model(request):
    torch.manual_seed(0)
    model = Dinov2Model(Dinov2Config(**SIZES, use_swiglu_ffn=request.param)).eval()
    for value in model.parameters():
        torch.nn.init.normal_(value)
    return model


def test_published_names_go_out_and_come_back(model):
    own = {name: value.clone() for name, value in model.named_parameters()}
    keep_published_names(model)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    assert "encoder.layer.1.attention.attention.query.weight" in state
    assert not any("q_proj" in name or "gate" in name for name in state)
    for value in model.parameters():
        torch.nn.init.zeros_(value)
    model.load_state_dict(state, strict=True)
    assert all(torch.equal(value, own[name]) for name, value in model.named_parameters())


def test_the_first_half_of_a_gated_layer_is_the_gate():
    model = Dinov2Model(Dinov2Config(**SIZES, use_swiglu_ffn=True))
    keep_published_names(model)
    state = model.state_dict()
    both = state["encoder.layer.0.mlp.weights_in.weight"]
    half = len(both) // 2
    state["encoder.layer.0.mlp.weights_in.weight"] = torch.arange(2.0).repeat_interleave(half)[:, None].expand_as(both)
    model.load_state_dict(state, strict=True)
    layers = model.encoder.layer[0].mlp.state_dict()
    if "gate_proj.weight" in layers:
        assert float(layers["gate_proj.weight"].max()) == 0
        assert float(layers["up_proj.weight"].min()) == 1


def test_inside_another_module_only_its_own_names_change(model):
    keep_published_names(model)
    outer = torch.nn.ModuleDict({"inner": model, "gate_proj": torch.nn.Linear(2, 2)})
    state = {name: value.clone() for name, value in outer.state_dict().items()}
    assert {"gate_proj.weight", "inner.encoder.layer.0.attention.output.dense.bias"} <= set(state)
    outer.load_state_dict(state, strict=True)


def test_names_that_are_published_already_stay(model):
    """Versions of transformers before 5."""
    linear = torch.nn.ModuleDict({"attention": torch.nn.ModuleDict({"query": torch.nn.Linear(2, 2)})})
    keep_published_names(linear)
    assert list(linear.state_dict()) == ["attention.query.weight", "attention.query.bias"]


def test_registers_are_left_out_of_the_mean():
    inner = Dinov2WithRegistersModel(Dinov2WithRegistersConfig(**SIZES, num_register_tokens=3)).eval()
    images = torch.randn(2, 3, 28, 28)
    with torch.inference_mode():
        tokens = inner(images).last_hidden_state
        assert tokens.shape[1] == 1 + 3 + 4
        values = TokenModel(inner, "token_mean", "a model")(images)
    torch.testing.assert_close(values, torch.cat([tokens[:, 0], tokens[:, 4:].mean(1)], dim=1))


@pytest.mark.parametrize("pooling", ["model", "token"])
def test_the_class_token_is_what_the_model_pools(model, pooling):
    images = torch.randn(2, 3, 28, 28)
    with torch.inference_mode():
        torch.testing.assert_close(TokenModel(model, pooling, "x")(images), model(images).last_hidden_state[:, 0])
