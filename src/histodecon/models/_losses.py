"""The loss of the network."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

PEARSON_MIN_ROWS = 8
"""Correlations over fewer rows are noise; they take no part in the loss."""


def composite_loss(
    predicted: torch.Tensor,
    target: torch.Tensor,
    *,
    l1: float = 1.0,
    l2: float = 1.0,
    eps: float = 1e-3,
    weights: torch.Tensor | None = None,
) -> torch.Tensor:
    r"""Squared error, absolute error and correlation in one number.

    .. math:: \mathrm{MSE} + \lambda_1\,\mathrm{MAE} - \lambda_2\,\frac{1}{K}\sum_k r_k

    with :math:`r_k` the Pearson correlation of cell type k over the rows of the batch. Weights multiply squared and absolute
    errors, whose means stay means over rows and cell types, and stand in the means, variances and covariance of
    :math:`r_k`.

    Parameters
    ----------
    predicted, target
        Shape (rows, K).
    l1
        Weight of the mean absolute error.
    l2
        Weight of the mean correlation.
    eps
        Added to the variance of the prediction and of the target inside the root, in units of the target's variance:
        gradients stay bounded for a constant prediction, and the term does not depend on the scale of the targets.
    weights
        How much each target counts, shape (rows, K), about 1 on average; all alike by default.

    Returns
    -------
    A scalar. Cell types whose target is constant in the batch, and batches below 8 rows, have correlation 0.

    References
    ----------
    Sun, Zhu and Qiu 2025, arXiv 2507.07013.

    Examples
    --------
    >>> import torch
    >>> from histodecon.models import composite_loss
    >>> target = torch.arange(10.0)[:, None]
    >>> round(float(composite_loss(target, target, eps=1e-8)), 4)
    -1.0
    """
    error = predicted - target
    if weights is None:
        loss = (error * error).mean() + l1 * error.abs().mean()
    else:
        loss = (weights * error * error).mean() + l1 * (weights * error.abs()).mean()
    if l2 and len(target) >= PEARSON_MIN_ROWS:
        loss = loss - l2 * pearson_per_column(predicted, target, eps=eps, weights=weights).mean()
    return loss


def pearson_per_column(
    predicted: torch.Tensor, target: torch.Tensor, *, eps: float = 1e-3, weights: torch.Tensor | None = None
) -> torch.Tensor:
    """Correlation of each column with bounded gradients.

    Parameters
    ----------
    predicted, target
        Shape (rows, K).
    eps, weights
        See :func:`composite_loss`.

    Returns
    -------
    Shape (K,); 0 where the target is constant.
    """
    import torch

    def mean(values: torch.Tensor) -> torch.Tensor:
        return values.mean(dim=0) if weights is None else (weights * values).sum(dim=0) / weights.sum(dim=0)

    p = predicted - mean(predicted)
    t = target - mean(target)
    scale = t.abs().amax(dim=0)
    rounding = 4 * torch.finfo(target.dtype).eps * target.abs().amax(dim=0)
    flat = scale <= rounding
    scale = torch.where(flat, torch.ones_like(scale), scale)
    p, t = p / scale, t / scale  # squares of 1e-30 or 1e30 would leave the range of float32
    t_var = mean(t * t)
    t_var = torch.where(flat, torch.ones_like(t_var), t_var)
    root = torch.sqrt((mean(p * p) + eps * t_var) * (t_var * (1 + eps)))
    return torch.where(flat, torch.zeros_like(root), mean(p * t) / root)
