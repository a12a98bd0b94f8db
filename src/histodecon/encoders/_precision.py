"""What a network is computed in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from histodecon._core import InputError
from histodecon.encoders._card import HALF_DTYPES, EncoderCard

if TYPE_CHECKING:
    import torch


def choose_dtype(card: EncoderCard, device: torch.device, precision: str = "auto") -> str:
    """Choose what an encoder is computed in.

    Parameters
    ----------
    card
        Its card.
    device
        Where it is computed.
    precision
        ``"auto"``: the first of the card's ``safe_dtypes`` that a CUDA device has, float32 where it names none and on other
        devices. Or ``"float32"``, ``"bfloat16"``, ``"float16"``.

    Returns
    -------
    The name of the dtype.

    Raises
    ------
    InputError
        The precision is unknown, or the card does not allow it.
    """
    if precision == "auto":
        if device.type != "cuda":
            return "float32"
        return next((dtype for dtype in card.safe_dtypes if _is_native(dtype)), "float32")
    if precision not in ("float32", *HALF_DTYPES):
        msg = f"The precision {precision!r} is unknown"
        fix = f'use "auto", "float32", {" or ".join(repr(name) for name in HALF_DTYPES)}'.replace("'", '"')
        raise InputError(msg, fix=fix, code="BI-51")
    if precision in HALF_DTYPES and precision not in card.safe_dtypes:
        allowed = ", ".join(("float32", *card.safe_dtypes))
        msg = f"Encoder {card.name!r} is not computed in {precision}"
        why = "its card does not say that its embeddings survive it"
        fix = f'`precision="auto"`, or at your own risk `dataclasses.replace(card, safe_dtypes=("{precision}",))`'
        raise InputError(msg, where=f"its card allows {allowed}", why=why, fix=fix, code="BI-51")
    return precision


def _is_native(dtype: str) -> bool:
    import torch

    return dtype != "bfloat16" or torch.cuda.is_bf16_supported(including_emulation=False)
