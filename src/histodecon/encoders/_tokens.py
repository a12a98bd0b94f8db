"""Models of transformers: their tokens pooled, their parameters by the names of published files."""

from __future__ import annotations

from typing import Any

import torch

from histodecon.encoders._pooling import WHOLE_MODEL, pool_tokens

_PUBLISHED = {
    ".attention.q_proj.": ".attention.attention.query.",
    ".attention.k_proj.": ".attention.attention.key.",
    ".attention.v_proj.": ".attention.attention.value.",
    ".attention.o_proj.": ".attention.output.dense.",
    ".mlp.down_proj.": ".mlp.weights_out.",
}
_GATE, _UP, _BOTH = ".mlp.gate_proj.", ".mlp.up_proj.", ".mlp.weights_in."
_MARK = ".attention.q_proj."


class TokenModel(torch.nn.Module):
    """A model of transformers that answers with one row for each tile.

    Parameters
    ----------
    inner
        The model.
    pooling
        See :class:`EncoderCard`.
    name
        Name of the model, for errors.
    """

    def __init__(self, inner: torch.nn.Module, pooling: str, name: str) -> None:
        super().__init__()
        self.inner = inner
        self.pooling = pooling
        self.name = name
        self.prefix = 1 + int(getattr(inner.config, "num_register_tokens", 0))

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        """Encode normalized tiles of shape (n, 3, side, side)."""
        answer = self.inner(pixel_values=batch)
        if self.pooling == WHOLE_MODEL:
            values: torch.Tensor = answer.pooler_output
            return values
        return pool_tokens(answer.last_hidden_state, self.pooling, prefix=self.prefix, model=repr(self.name))


def keep_published_names(model: torch.nn.Module) -> None:
    """Let a DINOv2 of any version of transformers save and load parameters by the names that published files have.

    Parameters
    ----------
    model
        The model. Versions before 5 have these names themselves and are left as they are; later ones call the layers of the
        attention otherwise, and split the first layer of a gated perceptron in two.
    """
    if any(_MARK in name for name in model.state_dict()):
        model.register_state_dict_post_hook(_to_published)
        model.register_load_state_dict_pre_hook(_from_published)


def _to_published(_module: torch.nn.Module, state: dict[str, Any], prefix: str, _metadata: dict[str, Any]) -> None:
    for name in [name for name in state if name.startswith(prefix)]:
        if _UP in name:
            continue
        value = state.pop(name)
        if _GATE in name:
            state[name.replace(_GATE, _BOTH)] = torch.cat([value, state.pop(name.replace(_GATE, _UP))])
        else:
            state[_renamed(name, _PUBLISHED)] = value


def _from_published(_module: torch.nn.Module, state: dict[str, Any], prefix: str, *_others: Any) -> None:
    own = {published: name for name, published in _PUBLISHED.items()}
    for name in [name for name in state if name.startswith(prefix)]:
        value = state.pop(name)
        if _BOTH in name:
            state[name.replace(_BOTH, _GATE)], state[name.replace(_BOTH, _UP)] = value.chunk(2)
        else:
            state[_renamed(name, own)] = value


def _renamed(name: str, names: dict[str, str]) -> str:
    for old, new in names.items():
        if old in name:
            return name.replace(old, new)
    return name
