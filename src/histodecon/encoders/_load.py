"""Load an encoder, however it is named."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from histodecon._core import InputError, doc, resolve_device
from histodecon.encoders._batches import FUNCTION, choose_batch_size
from histodecon.encoders._callable import describe_callable, import_function
from histodecon.encoders._card import NETWORKS, EncoderCard
from histodecon.encoders._encoder import Encoder
from histodecon.encoders._network import load_network
from histodecon.encoders._registry import registered

if TYPE_CHECKING:
    import torch


@doc
def load_encoder(
    encoder: str | EncoderCard | Encoder | Callable[[NDArray[np.uint8]], Any],
    *,
    weights: str | os.PathLike[str] | None = None,
    device: str | torch.device = "auto",
    precision: str = "auto",
    orientations: int = 1,
) -> Encoder:
    """Load an encoder: its function or its network with weights, ready to encode tiles.

    Parameters
    ----------
    encoder
        Name of a registered encoder (:func:`list_encoders`) or of any timm model; an :class:`EncoderCard`; or a function
        of uint8 (n, side, side, 3) that returns (n, dim), whose attribute ``input_px`` says the side (224 without it). An
        :class:`Encoder` is returned as it is.
    weights
        Path of a local weight file, or of a folder with one, for an encoder that is a network. Default: the file of the
        card, else the local cache of the Hugging Face Hub, else a download.
    %(device)s With ``"auto"`` a network whose tiles do not fit into the memory of the device goes on on the CPU.
    precision
        What a network is computed in: ``"float32"``, or ``"bfloat16"`` or ``"float16"`` where its card allows it
        (``safe_dtypes``); it is part of the fingerprint, and the embedding is float32 always. ``"auto"``: on CUDA the first
        of ``safe_dtypes``, float32 where there is none and on other devices.
    orientations
        8: the embedding is the mean over the eight orientations of a tile (four turns, each also mirrored), at eight times the
        cost; it is part of the fingerprint. 1: the tile as it lies.

    Returns
    -------
    The encoder, in evaluation mode.

    Raises
    ------
    InputError
        The name is unknown, the function does not answer with one row for each tile, or an encoder that is loaded has other
        orientations.
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
        if orientations not in (1, encoder.card.orientations):
            msg = f"Encoder {encoder.name!r} is loaded, and encodes tiles as they lie"
            fix = f"load it so: `load_encoder(..., orientations={orientations})`"
            raise InputError(msg, where=f"`orientations={orientations!r}`", fix=fix, code="BI-51")
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
    if orientations != 1:
        card = replace(card, orientations=orientations)
    if card.loader in NETWORKS:
        place = resolve_device(device)
        remake = partial(_load_again, weights=_absolute(card, weights), device=device)
        card, network = load_network(card, weights, place, precision)
        batch_size = choose_batch_size(network, card.input_px)
        auto = device == "auto"
        return Encoder(card, network, device=str(place), batch_size=batch_size, allow_cpu=auto, remake=remake)
    if weights is not None:
        msg = f"Encoder {card.name!r} has no weights"
        raise InputError(msg, fix="leave `weights=` out", code="BI-85")
    if precision not in ("auto", "float32"):
        msg = f"Encoder {card.name!r} is a function: what it computes in is its own affair"
        raise InputError(msg, where=f"`precision={precision!r}`", fix="leave `precision=` out", code="BI-51")
    if card.loader == "callable" and function is None:
        msg = f"The card {card.name!r} describes a function that was handed in, and does not hold it"
        raise InputError(msg, fix="hand in the function itself", code="BI-51")
    return _of_function(card, function or import_function(card.model))


def _of_function(card: EncoderCard, function: Callable[[NDArray[np.uint8]], Any]) -> Encoder:
    return Encoder(card, _as_array(function), batch_size=FUNCTION, remake=partial(_of_function, function=function))


def _load_again(card: EncoderCard, *, weights: str | None, device: str | torch.device) -> Encoder:
    """Load a network in another process: its card has the digest of its weights, and what it is computed in."""
    return load_encoder(card, weights=weights, device=device, precision=card.dtype)


def _absolute(card: EncoderCard, weights: str | os.PathLike[str] | None) -> str | None:
    """Say where local weights lie, for processes that work in another folder."""
    local = card.weights_file if weights is None and card.repo is None else weights
    return None if local is None else str(Path(local).absolute())


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
