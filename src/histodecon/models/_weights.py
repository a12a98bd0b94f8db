"""How much each target counts."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histodecon._core import InputError
from histodecon.models._transforms import forward_target

EXPLAINED = 0.5
LEAST = 0.1


def posterior_weights(y: ArrayLike, sd: ArrayLike, *, transform: str = "none") -> NDArray[np.float64]:
    r"""Weights of targets whose uncertainty is known: the inverse of their variance, with a floor.

    .. math:: w_{ik} \propto \frac{1}{s_{ik}^2 + \tau_k^2}, \qquad
        \tau_k^2 = \max\left(\tfrac12 (v_k - \overline{s_k^2}),\; 0.1\, v_k\right)

    with :math:`s_{ik}` the standard deviation of the target of spot i and cell type k, :math:`v_k` the variance of the
    targets of the type over the spots, and the mean of the weights of each type 1.

    Parameters
    ----------
    y
        Targets, shape (n, K).
    sd
        Their standard deviations, shape (n, K).
    transform
        Scale the targets are learned on; the standard deviations are brought to it.

    Returns
    -------
    Shape (n, K), positive.

    Notes
    -----
    What is left when a target is predicted has two parts: the error of the target, of variance :math:`s^2`, and what the
    image does not tell, of variance :math:`\tau^2`. Least squares is best when a spot counts as the inverse of their sum.
    :math:`v - \overline{s^2}` is the variance of the abundances without the errors; half of it is taken as not told by
    the image. Without the floor the few spots that a deconvolution is most sure of, which are mostly those
    without any cell of the type, would decide alone.

    Standard deviations go to another scale by one step, :math:`f(y + s) - f(y)`, those of proportions over the sum of
    their row.

    Examples
    --------
    >>> import numpy as np
    >>> from histodecon.models import posterior_weights
    >>> y = np.array([[0.0], [2.0], [4.0], [6.0]])
    >>> posterior_weights(y, np.array([[0.1], [0.1], [3.0], [3.0]])).round(2).ravel().tolist()
    [1.9, 1.9, 0.1, 0.1]
    """
    Y, s = np.asarray(y, dtype=np.float64), np.asarray(sd, dtype=np.float64)
    if Y.shape != s.shape or Y.ndim != 2:
        msg = f"sd must have the shape of the targets, {Y.shape}, got {s.shape}"
        raise InputError(msg, code="BI-64")
    if not (np.isfinite(s).all() and (s >= 0).all()):
        msg = "Standard deviations must be finite and not negative"
        raise InputError(msg, fix="give one number from 0 on for every target", code="BI-60")
    scaled = forward_target(Y, transform)
    s = s / Y.sum(axis=1, keepdims=True) if transform == "proportion" else forward_target(Y + s, transform) - scaled
    variance = scaled.var(axis=0)
    floor = np.maximum((1 - EXPLAINED) * (variance - (s**2).mean(axis=0)), LEAST * variance)
    floor[floor <= 0] = 1.0  # a constant type: nothing to weigh
    weights = 1.0 / (s**2 + floor)
    return np.asarray(weights / weights.mean(axis=0))


def checked_weights(weights: ArrayLike, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Turn weights into positive float64 whose mean is 1 for every cell type.

    Parameters
    ----------
    weights
        Shape (n, K), or (n,) for spots that count alike for all types.
    shape
        Shape of the targets.

    Returns
    -------
    Shape (n, K).

    Raises
    ------
    InputError
        The shape does not fit, or some weights are not positive numbers.
    """
    W = np.asarray(weights, dtype=np.float64)
    W = np.repeat(W[:, None], shape[1], axis=1) if W.ndim == 1 else W
    if W.shape != shape:
        msg = f"weights must have shape {shape} or ({shape[0]},), got {np.shape(weights)}"
        raise InputError(msg, code="BI-72")
    if not (np.isfinite(W).all() and (W > 0).all()):
        bad = int((~(np.isfinite(W) & (W > 0))).any(axis=1).sum())
        msg = "Some weights are not positive numbers"
        fix = "leave out spots that shall not count"
        raise InputError(msg, where=f"{bad} of {len(W)} rows", fix=fix, code="BI-72")
    return np.asarray(W / W.mean(axis=0))


def weights_summary(weights: NDArray[np.float64]) -> dict[str, Any]:
    """Say in numbers how unequal weights are.

    Parameters
    ----------
    weights
        Shape (n, K), mean 1 for every type.

    Returns
    -------
    The smallest and largest, and as how many equal rows they count: the square of their sum over the sum of squares,
    mean over cell types.
    """
    effective = weights.sum(axis=0) ** 2 / (weights**2).sum(axis=0)
    return {
        "smallest": float(weights.min()),
        "largest": float(weights.max()),
        "effective_rows": float(effective.mean()),
    }
