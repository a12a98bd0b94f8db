"""Low-rank layers are merged into what the network with them computes."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from histodecon import ModelMismatchError
from histodecon.encoders._low_rank import merge_low_rank

LAYER = "encoder.base_model.model.blocks.1.attn.qkv"


def drawn(rows: int, columns: int, rank: int, seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)

    def numbers(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    return {
        f"{LAYER}.base_layer.weight": numbers(rows, columns),
        f"{LAYER}.base_layer.bias": numbers(rows),
        f"{LAYER}.lora_A.default.weight": numbers(rank, columns),
        f"{LAYER}.lora_B.default.weight": numbers(rows, rank),
        "decoder.decoder.0.weight": numbers(2, 2),
    }


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 4), st.floats(-3, 3), st.booleans())
def test_the_merged_layer_computes_what_the_two_paths_do(rows, columns, rank, scale, parallel):
    state = drawn(rows, columns, rank, seed=rows)
    x = torch.randn(5, columns, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    frozen = x @ state[f"{LAYER}.base_layer.weight"].T + state[f"{LAYER}.base_layer.bias"]
    beside = x @ state[f"{LAYER}.lora_A.default.weight"].T @ state[f"{LAYER}.lora_B.default.weight"].T
    given_names = {f"module.{key}" if parallel else key: value for key, value in state.items()}
    merged = merge_low_rank(given_names, scale, name="e")
    assert set(merged) == {f"{LAYER}.weight", f"{LAYER}.bias", "decoder.decoder.0.weight"}
    torch.testing.assert_close(x @ merged[f"{LAYER}.weight"].T + merged[f"{LAYER}.bias"], frozen + scale * beside)
    assert merged["decoder.decoder.0.weight"] is state["decoder.decoder.0.weight"]


def test_without_low_rank_layers_nothing_changes():
    state = {"a.weight": torch.ones(2, 2), "a.bias": torch.ones(2)}
    merged = merge_low_rank(state, 1.0, name="e")
    assert set(merged) == set(state)
    assert all(merged[key] is state[key] for key in state)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({f"{LAYER}.lora_B.default.weight": None}, "no second factor"),
        ({f"{LAYER}.base_layer.weight": None}, "no weight"),
        ({f"{LAYER}.lora_B.default.weight": torch.ones(3, 2)}, r"\(3, 2\) by \(2, 5\) onto \(4, 5\)"),
        ({f"{LAYER}.lora_A.default.weight": torch.ones(3, 5)}, r"\(4, 2\) by \(3, 5\)"),
        ({f"{LAYER}.lora_A.default.weight": torch.ones(2, 5, 1)}, "onto"),
        ({f"{LAYER}.lora_A.other.weight": torch.ones(2, 5)}, "2 adapters: default, other"),
    ],
)
def test_layers_that_do_not_fit_are_refused(change, said):
    """BI-84."""
    state = {key: value for key, value in (drawn(4, 5, 2) | change).items() if value is not None}
    with pytest.raises(ModelMismatchError, match=f"BI-84.*'e'.*{said}"):
        merge_low_rank(state, 1.0, name="e")
