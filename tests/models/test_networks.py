"""Seven linear layers, SiLU between, linear output; a start that is exactly linear."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from histodecon.models._networks import N_LINEAR, build_mlp, layer_widths, start_linear


def test_there_are_seven_linear_layers_with_silu_between_and_nothing_after() -> None:
    network = build_mlp(5, 3, hidden=8)
    linear = [module for module in network if isinstance(module, nn.Linear)]
    assert len(linear) == N_LINEAR == 7
    assert [(layer.in_features, layer.out_features) for layer in linear] == layer_widths(5, 3, 8)
    assert sum(isinstance(module, nn.SiLU) for module in network) == 6
    assert isinstance(network[-1], nn.Linear)


def test_dropout_is_off_when_predicting() -> None:
    network = build_mlp(5, 3, hidden=8, dropout=0.5, input_dropout=0.5).eval()
    x = torch.randn(4, 5)
    torch.testing.assert_close(network(x), network(x), rtol=0, atol=0)


def test_the_linear_start_is_the_linear_map_for_any_input() -> None:
    rng = np.random.default_rng(0)
    directions, readout, intercept = rng.normal(size=(6, 4)), rng.normal(size=(4, 3)), rng.normal(size=3)
    network = build_mlp(6, 3, hidden=9, dropout=0.3).double().eval()
    start_linear(network, directions, readout, intercept)
    for scale in (1e-3, 1.0, 100.0):
        X = rng.normal(size=(20, 6)) * scale
        found = network(torch.as_tensor(X)).detach().numpy()
        np.testing.assert_allclose(found, X @ directions @ readout + intercept, rtol=1e-9, atol=1e-9)
