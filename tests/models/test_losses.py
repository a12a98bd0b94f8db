"""The loss has the value of its formula, the right sign, and bounded gradients where correlations are undefined."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import pearsonr

from histodecon.models._losses import PEARSON_MIN_ROWS, composite_loss, pearson_per_column


def batch(n: int = 12, k: int = 3, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(n, k, dtype=torch.float64, generator=generator),
        torch.randn(n, k, dtype=torch.float64, generator=generator),
    )


def test_value_equals_the_formula() -> None:
    p, t = batch()
    r = np.mean([pearsonr(p[:, k], t[:, k]).statistic for k in range(3)])
    error = (p - t).numpy()
    expected = (error**2).mean() + 0.5 * np.abs(error).mean() - 2.0 * r
    assert float(composite_loss(p, t, l1=0.5, l2=2.0, eps=1e-12)) == pytest.approx(expected, abs=1e-10)


def test_correlation_is_per_cell_type_over_spots() -> None:
    p, t = batch()
    expected = [pearsonr(p[:, k], t[:, k]).statistic for k in range(3)]
    np.testing.assert_allclose(pearson_per_column(p, t, eps=1e-8), expected, atol=1e-7)


def test_better_correlation_lowers_the_loss() -> None:
    t = torch.arange(10.0, dtype=torch.float64)[:, None] - 4.5
    with_it, against_it = 20.0 + t, 20.0 - t
    gain = pearson_per_column(with_it, t).item() - pearson_per_column(against_it, t).item()
    assert gain == pytest.approx(2.0, abs=0.01)
    difference = composite_loss(with_it, t, l1=0, l2=1) - composite_loss(with_it, t, l1=0, l2=0)
    assert difference.item() == pytest.approx(-1.0, abs=0.01)


def test_gradients_agree_with_finite_differences() -> None:
    p, t = batch()
    assert torch.autograd.gradcheck(lambda x: composite_loss(x, t, l1=0.7, l2=1.3), (p.requires_grad_(),))


@pytest.mark.parametrize("scale", [1e-30, 1e-4, 1.0, 1e6])
def test_correlation_does_not_depend_on_the_scale_of_the_targets(scale: float) -> None:
    p, t = (side.float() for side in batch(40))
    expected = pearson_per_column(p, t)
    torch.testing.assert_close(pearson_per_column(p * scale, t * scale), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e6])
@pytest.mark.parametrize(
    "case", ["constant prediction", "constant target", "both constant", "one row", "no correlation"]
)
def test_gradients_are_finite_and_bounded(case: str, scale: float, dtype: torch.dtype) -> None:
    p, t = (side.to(dtype) for side in batch(16))
    p = torch.full_like(p, 0.3) if case in {"constant prediction", "both constant"} else p
    t = torch.full_like(t, 0.7) if case in {"constant target", "both constant"} else t
    if case == "one row":
        p, t = p[:1], t[:1]
    p, t = (p * scale).requires_grad_(), t * scale
    loss = composite_loss(p, t)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(p.grad).all()
    term = -pearson_per_column(p.detach().requires_grad_(), t).mean()
    assert torch.isfinite(term)
    # in units of the targets no entry can move the correlation faster than 1 / (n sqrt(eps))
    q = p.detach().requires_grad_()
    (slope,) = torch.autograd.grad(pearson_per_column(q, t).sum(), q)
    assert float(slope.abs().max()) * scale < 40


def test_few_rows_take_no_part_in_the_correlation() -> None:
    p, t = batch(PEARSON_MIN_ROWS - 1)
    assert composite_loss(p, t, l2=5.0) == composite_loss(p, t, l2=0.0)
    p, t = batch(PEARSON_MIN_ROWS)
    assert composite_loss(p, t, l2=5.0) != composite_loss(p, t, l2=0.0)


def test_a_constant_type_counts_as_uncorrelated() -> None:
    p, t = batch()
    t[:, 1] = 4.0
    assert pearson_per_column(p, t)[1] == 0


def test_equal_weights_are_no_weights_and_whole_weights_repeat_rows() -> None:
    p, t = batch()
    plain = composite_loss(p, t, l1=0.7, l2=1.3)
    torch.testing.assert_close(composite_loss(p, t, l1=0.7, l2=1.3, weights=torch.ones_like(p)), plain)
    times = torch.arange(12) % 3 + 1
    twice = torch.repeat_interleave(torch.arange(12), times)
    weights = times[:, None].expand(12, 3) / times.double().mean()
    torch.testing.assert_close(composite_loss(p, t, weights=weights), composite_loss(p[twice], t[twice]))


def test_weights_are_those_of_each_cell_type() -> None:
    p, t = batch()
    weights = torch.rand(12, 3, dtype=torch.float64) + 0.1
    together = pearson_per_column(p, t, weights=weights)
    for k in range(3):
        torch.testing.assert_close(
            pearson_per_column(p[:, [k]], t[:, [k]], weights=weights[:, [k]]), together[[k]], rtol=1e-12, atol=1e-12
        )
        cov = np.cov(p[:, k], t[:, k], aweights=weights[:, k])
        assert float(pearson_per_column(p, t, eps=1e-12, weights=weights)[k]) == pytest.approx(
            cov[0, 1] / np.sqrt(cov[0, 0] * cov[1, 1])
        )


def test_gradients_with_weights_agree_with_finite_differences() -> None:
    p, t = batch()
    weights = torch.rand(12, 3, dtype=torch.float64) + 0.1
    assert torch.autograd.gradcheck(lambda x: composite_loss(x, t, weights=weights), (p.requires_grad_(),))
