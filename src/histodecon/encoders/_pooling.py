"""From the tokens of a transformer to one row for each tile."""

from __future__ import annotations

import torch

from histodecon._core import InputError

WHOLE_MODEL = "model"


def pool_tokens(tokens: torch.Tensor, pooling: str, *, prefix: int, model: str = "The model") -> torch.Tensor:
    """Pool the tokens of a transformer.

    Parameters
    ----------
    tokens
        Shape (n, n_tokens, width), class token first, then registers, then patches.
    pooling
        ``"token"``, ``"mean"`` or ``"token_mean"``, see :class:`EncoderCard`.
    prefix
        Number of tokens before those of the patches.
    model
        Name of the model, for errors.

    Returns
    -------
    Shape (n, width), twice as wide for ``"token_mean"``.

    Raises
    ------
    InputError
        There are no such tokens.
    """
    if tokens.ndim != 3 or (pooling != "mean" and prefix == 0):
        msg = f"{model} has no {'patch' if pooling == 'mean' else 'class'} tokens"
        raise InputError(msg, fix='use `pooling="model"`', code="BI-44")
    if pooling == "token":
        return tokens[:, 0]
    mean = tokens[:, prefix:].mean(dim=1)
    return mean if pooling == "mean" else torch.cat([tokens[:, 0], mean], dim=1)


class PooledModel(torch.nn.Module):
    """A timm model that answers with one row for each tile.

    Parameters
    ----------
    inner
        The model; its parameters are named as in its weight file.
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

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        """Encode normalized tiles of shape (n, 3, side, side)."""
        if self.pooling == WHOLE_MODEL:
            values: torch.Tensor = self.inner(batch)
            return values
        prefix = getattr(self.inner, "num_prefix_tokens", 0)
        tokens = self.inner.forward_features(batch)  # type: ignore[operator] # a method of timm's models
        return pool_tokens(tokens, self.pooling, prefix=prefix, model=repr(self.name))
