"""Pooling of tokens, against sums written out."""

from __future__ import annotations

import pytest
import torch

from histodecon import InputError
from histodecon.encoders._pooling import PooledModel, pool_tokens

TOKENS = torch.arange(24.0).reshape(2, 4, 3)


@pytest.mark.parametrize(
    ("pooling", "prefix", "expected"),
    [
        ("token", 1, [[0, 1, 2], [12, 13, 14]]),
        ("mean", 1, [[6, 7, 8], [18, 19, 20]]),
        ("mean", 2, [[7.5, 8.5, 9.5], [19.5, 20.5, 21.5]]),
        ("mean", 0, [[4.5, 5.5, 6.5], [16.5, 17.5, 18.5]]),
        ("token_mean", 2, [[0, 1, 2, 7.5, 8.5, 9.5], [12, 13, 14, 19.5, 20.5, 21.5]]),
    ],
)
def test_registers_are_left_out(pooling, prefix, expected):
    assert pool_tokens(TOKENS, pooling, prefix=prefix).tolist() == expected


@pytest.mark.parametrize(("pooling", "prefix"), [("token", 0), ("token_mean", 0)])
def test_without_class_token(pooling, prefix):
    with pytest.raises(InputError, match=r"BI-44.*no class tokens"):
        pool_tokens(TOKENS, pooling, prefix=prefix)


def test_a_picture_of_features_has_no_tokens():
    with pytest.raises(InputError, match="'net' has no patch tokens"):
        pool_tokens(torch.zeros(2, 3, 4, 4), "mean", prefix=0, model="'net'")


def test_a_model_that_pools_by_itself():
    inner = torch.nn.Flatten()
    assert torch.equal(PooledModel(inner, "model", "net")(TOKENS), TOKENS.flatten(1))
