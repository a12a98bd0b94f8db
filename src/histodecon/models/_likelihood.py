"""Likelihood of counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

SMALLEST, LARGEST = -10.0, 10.0
"""Bounds of the logarithm of the inverse dispersion: beyond them a negative binomial is Poisson, or all but undefined."""
FLOOR = 1e-6
"""Least expected count, so that a gene that is expected nowhere and found all the same costs much, not infinitely much."""


def negative_binomial_loss(
    counts: torch.Tensor, mean: torch.Tensor, log_inverse_dispersion: torch.Tensor
) -> torch.Tensor:
    r"""Negative log-likelihood of counts, less what does not depend on the model.

    With mean :math:`\mu` and inverse dispersion :math:`\theta` the variance is :math:`\mu + \mu^2 / \theta`.

    Parameters
    ----------
    counts
        Shape (rows, genes).
    mean
        Expected counts, from 0 on, of the same shape.
    log_inverse_dispersion
        Logarithm of :math:`\theta`, one a gene.

    Returns
    -------
    Shape (rows, genes); finite with finite gradients for any finite counts and means.
    """
    import torch

    log_theta = log_inverse_dispersion.clamp(SMALLEST, LARGEST)
    theta = log_theta.exp()
    mu = mean.clamp_min(FLOOR)
    log_sum = torch.log(theta + mu)
    likelihood = (
        theta * (log_theta - log_sum)
        + counts * (torch.log(mu) - log_sum)
        + torch.lgamma(counts + theta)
        - torch.lgamma(theta)
        - torch.lgamma(counts + 1.0)
    )
    return -likelihood
