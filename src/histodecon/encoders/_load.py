"""Load an encoder, however it is named."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from histodecon._core import InputError, doc, resolve_device
from histodecon.encoders._callable import describe_callable, import_function
from histodecon.encoders._card import EncoderCard
from histodecon.encoders._encoder import Encoder
from histodecon.encoders._registry import registered

if TYPE_CHECKING:
    import torch

BATCH_SIZES = {"cpu": 8, "function": 64}  # on a CPU larger batches leave its cache
BATCH_SIZE_ACCELERATOR = 256


@doc
def load_encoder(
    encoder: str | EncoderCard | Encoder | Callable[[NDArray[np.uint8]], Any],
    *,
    weights: str | os.PathLike[str] | None = None,
    device: str | torch.device = "auto",
) -> Encoder:
    """Load an encoder: its function or its network with weights, ready to encode tiles.

    Parameters
    ----------
    encoder
        Name of a registered encoder (:func:`list_encoders`) or of any timm model; an :class:`EncoderCard`; or a function
        of uint8 (n, side, side, 3) that returns (n, dim), whose attribute ``input_px`` says the side (224 without it). An
        :class:`Encoder` is returned as it is.
    weights
        Path of a local weight file for a timm model. Default: the file of the card, else the local cache of the Hugging
        Face Hub, else a download.
    %(device)s

    Returns
    -------
    The encoder, in evaluation mode, computing in float32.

    Raises
    ------
    InputError
        The name is unknown, or the function does not answer with one row for each tile.
    MissingKeyError
        There is no such weight file.
    UnsafeFileError
        The weight file could run code when opened.
    IntegrityError
        The weight file is damaged.
    ModelMismatchError
        The weights are not those of the card, or do not fit the model: every parameter must be there.
    OfflineError
        Weights must be fetched and there is no network.

    Examples
    --------
    >>> import numpy as np
    >>> import histodecon as hd
    >>> encoder = hd.encoders.load_encoder("color_stats")
    >>> encoder.encode(np.full((2, 224, 224, 3), 240, dtype=np.uint8)).shape
    (2, 119)
    """
    if isinstance(encoder, Encoder):
        return encoder
    function: Callable[[NDArray[np.uint8]], Any] | None = None
    if isinstance(encoder, (str, EncoderCard)):
        card = _card_of(encoder, weights)
    elif callable(encoder):
        function, card = encoder, describe_callable(encoder)
    else:
        msg = f"A {type(encoder).__name__} is not an encoder"
        fix = "hand in a name (`encoders.list_encoders()`), an `EncoderCard` or a function"
        raise InputError(msg, fix=fix, code="BI-51")
    if card.loader != "timm" and weights is not None:
        msg = f"Encoder {card.name!r} has no weights"
        raise InputError(msg, fix="leave `weights=` out", code="BI-85")
    if card.loader == "timm":
        from histodecon.encoders._timm import load_timm

        place = resolve_device(device)
        card, run = load_timm(card, weights, place)
        batch_size = BATCH_SIZES.get(place.type, BATCH_SIZE_ACCELERATOR)
        return Encoder(card, run, device=str(place), batch_size=batch_size)
    if card.loader == "callable" and function is None:
        msg = f"The card {card.name!r} describes a function that was handed in, and does not hold it"
        raise InputError(msg, fix="hand in the function itself", code="BI-51")
    return Encoder(card, _as_array(function or import_function(card.model)), batch_size=BATCH_SIZES["function"])


def _card_of(encoder: str | EncoderCard, weights: str | os.PathLike[str] | None) -> EncoderCard:
    if isinstance(encoder, EncoderCard):
        return encoder
    if encoder in registered():
        return registered()[encoder]
    from histodecon.encoders._timm import timm_card

    return timm_card(encoder, weights=weights)


def _as_array(function: Callable[[NDArray[np.uint8]], Any]) -> Callable[[NDArray[np.uint8]], NDArray]:
    def run(tiles: NDArray[np.uint8]) -> NDArray:
        values = function(tiles)
        return np.asarray(values.detach().cpu() if hasattr(values, "detach") else values)

    return run
