"""Scales of the inputs and targets, fitted on training rows only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from histodecon._core import InputError

TRANSFORMS = ("none", "log1p", "sqrt", "proportion")
BLOCK_SCALINGS = ("none", "width")

Array = NDArray[np.float64]


def fit_scale(X: NDArray) -> tuple[Array, Array]:
    """Center and scale that give every column mean 0 and variance 1; a constant column keeps scale 1.

    Columns of different encoders are treated alike, so an encoder weighs as much as it is wide; see :func:`block_stretch`.

    Parameters
    ----------
    X
        Training rows, shape (n, d).

    Returns
    -------
    Center and scale, each of shape (d,); standardized values are ``(X - center) / scale``.
    """
    center = X.mean(axis=0, dtype=np.float64)
    scale = X.std(axis=0, dtype=np.float64)
    rounding = 10 * np.finfo(X.dtype).eps * np.abs(center)
    scale[scale <= np.maximum(rounding, np.finfo(np.float32).tiny)] = 1.0
    return center, scale


def block_stretch(widths: Sequence[int], block_scaling: str) -> Array:
    """Factors on the scales of the columns that decide how much each encoder weighs.

    Parameters
    ----------
    widths
        Columns of each encoder.
    block_scaling
        ``"none"``: an encoder weighs as much as it is wide. ``"width"``: all weigh the same, and all of them together as
        much as without.

    Returns
    -------
    Shape (d,).

    Raises
    ------
    InputError
        The name is unknown.
    """
    if block_scaling not in BLOCK_SCALINGS:
        msg = f"Unknown block_scaling {block_scaling!r}"
        raise InputError(msg, fix=f"use one of {BLOCK_SCALINGS}", code="BI-72")
    sizes = np.asarray(widths, dtype=np.intp)
    factors = np.sqrt(sizes / sizes.mean()) if block_scaling == "width" else np.ones(len(sizes))
    return np.repeat(factors, sizes)


def forward_target(Y: Array, transform: str) -> Array:
    """Transform targets before training.

    Parameters
    ----------
    Y
        Shape (n, K), not negative.
    transform
        One of ``TRANSFORMS``.

    Returns
    -------
    Shape (n, K).

    Raises
    ------
    InputError
        The name is unknown, or a row to be made a proportion sums to 0.
    """
    if transform == "none":
        return Y
    if transform == "log1p":
        return np.log1p(Y)
    if transform == "sqrt":
        return np.sqrt(Y)
    if transform == "proportion":
        sums = Y.sum(axis=1, keepdims=True)
        if (sums <= 0).any():
            msg = "Some targets sum to 0 and have no proportions"
            where = f"{int((sums <= 0).sum())} of {len(Y)} rows"
            raise InputError(msg, where=where, fix='leave these spots out, or use `transform="none"`', code="BI-61")
        return Y / sums
    msg = f"Unknown transform {transform!r}"
    raise InputError(msg, fix=f"use one of {TRANSFORMS}", code="BI-72")


def inverse_target(Y: Array, transform: str) -> Array:
    """Bring predictions back to the scale of the targets; no value is negative.

    Parameters
    ----------
    Y
        Shape (n, K).
    transform
        One of ``TRANSFORMS``.

    Returns
    -------
    Shape (n, K).
    """
    Y = np.clip(Y, 0.0, None)
    if transform == "log1p":
        return np.expm1(Y)
    if transform == "sqrt":
        return Y**2
    return Y


def to_proportions(Y: Array, fallback: Array) -> Array:
    """Make every row sum to 1.

    Parameters
    ----------
    Y
        Shape (n, K), not negative.
    fallback
        Proportions given to a row of zeros, shape (K,).

    Returns
    -------
    Shape (n, K).
    """
    sums = Y.sum(axis=1, keepdims=True)
    empty = sums[:, 0] <= 0
    out = Y / np.where(sums > 0, sums, 1.0)
    out[empty] = fallback
    return out
