"""The network: seven linear layers."""

from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

N_LINEAR = 7


def layer_widths(n_inputs: int, n_outputs: int, hidden: int) -> list[tuple[int, int]]:
    """List (inputs, outputs) of the seven linear layers.

    Parameters
    ----------
    n_inputs
        Columns of the embedding.
    n_outputs
        Cell types.
    hidden
        Width of the six hidden layers.

    Returns
    -------
    Seven pairs.
    """
    widths = [n_inputs, *[hidden] * (N_LINEAR - 1), n_outputs]
    return list(pairwise(widths))


def build_mlp(
    n_inputs: int, n_outputs: int, *, hidden: int, dropout: float = 0.0, input_dropout: float = 0.0
) -> torch.nn.Sequential:
    """Build the network: seven linear layers, SiLU between them, a linear output.

    Parameters
    ----------
    n_inputs
        Columns of the embedding.
    n_outputs
        Cell types.
    hidden
        Width of the six hidden layers.
    dropout
        Share of hidden units left out in a training step.
    input_dropout
        Share of inputs left out in a training step.

    Returns
    -------
    The network, with torch's own initial weights; linear layers are called ``linear_0`` to ``linear_6``.
    """
    from torch import nn

    from histodecon.models._dropout import FastDropout

    modules: OrderedDict[str, nn.Module] = OrderedDict(dropout_input=FastDropout(input_dropout))
    for i, (inputs, outputs) in enumerate(layer_widths(n_inputs, n_outputs, hidden)):
        modules[f"linear_{i}"] = nn.Linear(inputs, outputs)
        if i < N_LINEAR - 1:
            modules[f"silu_{i}"] = nn.SiLU()
            modules[f"dropout_{i}"] = FastDropout(dropout)
    return nn.Sequential(modules)


def start_linear(network: torch.nn.Sequential, directions: NDArray, readout: NDArray, intercept: NDArray) -> None:
    """Set the weights so that the network is exactly a linear map, from which training departs.

    SiLU(x) - SiLU(-x) = x, so a pair of hidden units that see x and -x passes x on unchanged. The first layer projects on
    ``directions``, the middle layers rotate at random, the last layer turns back and reads out.

    Parameters
    ----------
    network
        What :func:`build_mlp` made, ``2 * c`` hidden units wide or one more.
    directions
        Shape (d, c).
    readout
        Shape (c, K). The network becomes ``x @ directions @ readout + intercept``.
    intercept
        Shape (K,).
    """
    import torch

    layers = [module for module in network if isinstance(module, torch.nn.Linear)]
    channels = directions.shape[1]
    turned = torch.as_tensor(readout, dtype=torch.float64).T
    with torch.no_grad():
        for layer in layers:
            layer.weight.zero_()
            layer.bias.zero_()
        first = torch.as_tensor(directions.T.copy(), dtype=torch.float64)
        layers[0].weight[: 2 * channels] = torch.cat([first, -first])
        for layer in layers[1:-1]:
            turn = torch.linalg.qr(torch.randn(channels, channels, dtype=torch.float64))[0]
            pair = torch.cat([turn, -turn], dim=1)
            layer.weight[: 2 * channels, : 2 * channels] = torch.cat([pair, -pair])
            turned = turned @ turn.T
        layers[-1].weight[:, : 2 * channels] = torch.cat([turned, -turned], dim=1)
        layers[-1].bias.copy_(torch.as_tensor(intercept))
