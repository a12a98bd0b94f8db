"""Encoders that a function of a module builds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from histodecon._core import InputError
from histodecon.encoders._callable import import_function
from histodecon.encoders._card import EncoderCard

if TYPE_CHECKING:
    import torch


def build_torch(card: EncoderCard) -> torch.nn.Module:
    """Build the network of an encoder whose card names a builder, without weights.

    Parameters
    ----------
    card
        Its card: ``model`` is ``"module:function"``, ``model_kwargs`` are the arguments of that function.

    Returns
    -------
    The network in evaluation mode, from normalized tiles (n, 3, input_px, input_px) to (n, dim). Its parameters are named
    as in the weight file, after the ``prefix`` of the card.

    Raises
    ------
    InputError
        There is no such function, or it does not know these arguments.
    """
    builder = import_function(card.model)
    try:
        network: torch.nn.Module = builder(**dict(card.model_kwargs))  # type: ignore[assignment,call-arg] # a builder
    except TypeError as error:
        msg = f"{card.model!r} cannot build a network with these arguments"
        where = f"{dict(card.model_kwargs)}: {error}"
        raise InputError(msg, where=where, fix="check `model_kwargs=`", code="BI-51") from error
    return network.eval()
