"""As torch's dropout in everything that can be said about random numbers."""

from __future__ import annotations

import pytest
import torch

from histodecon.models._dropout import FastDropout


@pytest.mark.parametrize("p", [0.05, 0.35, 0.95])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_share_is_left_out_and_the_mean_stays(p: float, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    ones = torch.ones(401, 997, dtype=dtype, requires_grad=True)
    out = FastDropout(p)(ones)
    zero = (out == 0).double()
    assert float(zero.mean()) == pytest.approx(p, abs=0.003)
    for axis in (0, 1):  # no unit and no row is favored
        assert float((zero.mean(dim=axis) - p).abs().max()) < 6 * (p * (1 - p) / 401) ** 0.5
    kept = out[out != 0].unique()
    assert len(kept) == 1
    assert float(kept) == pytest.approx(1 / (1 - p), rel=1e-2)
    neighbors = zero.flatten().reshape(-1)[: 401 * 997 // 4 * 4].reshape(-1, 4)  # from one random number
    assert float(torch.corrcoef(neighbors.T).fill_diagonal_(0).abs().max()) < 0.02
    out.sum().backward()
    assert torch.equal(ones.grad, out.detach())


def test_seeds_decide_and_evaluation_changes_nothing() -> None:
    layer, x = FastDropout(0.5), torch.randn(7, 3)
    torch.manual_seed(1)
    one = layer(x)
    torch.manual_seed(1)
    assert torch.equal(layer(x), one)
    assert not torch.equal(layer(x), one)
    assert torch.equal(layer.eval()(x), x)
    assert torch.equal(FastDropout(0.0)(x), x)
