"""Encoders that are functions."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histodecon._core import InputError, digest
from histodecon.encoders._card import EncoderCard

DEFAULT_PX = 224
DIGITS = 3
_PROBES = 4


def import_function(model: str) -> Callable[[NDArray[np.uint8]], NDArray]:
    """Import the function that a card names.

    Parameters
    ----------
    model
        ``"module:function"``.

    Returns
    -------
    The function.

    Raises
    ------
    InputError
        There is none.
    """
    module, _, function = model.partition(":")
    try:
        found: Callable[[NDArray[np.uint8]], NDArray] = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        msg = f"The function {model!r} of an encoder cannot be imported"
        raise InputError(msg, where=str(error), fix='name it as "module:function"', code="BI-51") from error
    return found


def describe_callable(function: Callable[[NDArray[np.uint8]], Any]) -> EncoderCard:
    """Make the card of a function that a user hands in, by asking it.

    Parameters
    ----------
    function
        Function of uint8 (n, side, side, 3) that returns (n, dim). Its attribute ``input_px`` says the side, default 224.

    Returns
    -------
    The card. Its ``revision`` is a digest of what the function answers to four fixed tiles, to three digits: functions that
    answer alike share a fingerprint, whatever they are called.

    Raises
    ------
    InputError
        It does not answer with one row for each tile.
    """
    side = int(getattr(function, "input_px", DEFAULT_PX))
    probes = np.random.default_rng(0).integers(0, 256, (_PROBES, side, side, 3), dtype=np.uint8)
    probes[0], probes[1] = 255, np.linspace(80, 220, side, dtype=np.uint8)[:, None, None]
    answer = function(probes.copy())
    values = np.asarray(answer.detach().cpu() if hasattr(answer, "detach") else answer)
    if values.ndim != 2 or len(values) != _PROBES or values.shape[1] == 0 or values.dtype.kind not in "fiu":
        msg = "The function handed in as encoder does not answer with one row of numbers for each tile"
        where = f"{_PROBES} tiles of {side} px in, shape {values.shape}, dtype {values.dtype} out"
        fix = "let it return an array of shape (n, dim) for uint8 tiles of shape (n, side, side, 3)"
        raise InputError(msg, where=where, fix=fix, code="BI-44")
    stated = str(getattr(function, "__name__", type(function).__name__))
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", stated).strip("_.-") or "function"
    return EncoderCard(
        name="function" if stated == "<lambda>" else name,
        loader="callable",
        model=stated,
        dim=int(values.shape[1]),
        input_px=side,
        revision=_behavior(values.astype(np.float64)),
        summary="A function that was handed in.",
    )


def _behavior(values: NDArray[np.float64]) -> str:
    """Digest a few summaries of the answers, rounded so that the last bits of another processor do not count."""
    order = np.cos(np.arange(values.shape[1]))
    with np.errstate(all="ignore"):
        summaries = np.concatenate([values.mean(axis=1), values.std(axis=1), (values * order).mean(axis=1)])
    return digest(values.shape[1], *(f"{value:.{DIGITS - 1}e}" for value in summaries))
