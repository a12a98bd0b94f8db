"""Encoders that are models of transformers, built from the card alone: no configuration and no code is fetched."""

from __future__ import annotations

from typing import TYPE_CHECKING

from histodecon._core import InputError, declare_vision_operators, import_optional
from histodecon.encoders._card import EncoderCard

if TYPE_CHECKING:
    from types import ModuleType

    import torch

    from histodecon.encoders._tokens import TokenModel

MODELS = {"Dinov2Model": "Dinov2Config", "Dinov2WithRegistersModel": "Dinov2WithRegistersConfig"}


def build_transformers(card: EncoderCard) -> TokenModel:
    """Build the network of an encoder of transformers, without weights.

    Parameters
    ----------
    card
        Its card: ``model`` is the class, ``model_kwargs`` are the arguments of its configuration.

    Returns
    -------
    The network in evaluation mode, from normalized tiles (n, 3, input_px, input_px) to (n, dim); its parameters hold nothing
    before they are loaded. Its attribute ``inner`` is the model, whose parameters are loaded by the names that published
    files have, also where transformers has others.

    Raises
    ------
    MissingDependencyError
        transformers is not installed.
    InputError
        The model is not one that is known here, or cannot be built with these arguments.
    """
    if card.model not in MODELS:
        msg = f"{card.model!r} is not a model of transformers that is known here"
        raise InputError(msg, fix=f"use {' or '.join(map(repr, MODELS))}", code="BI-51")
    declare_vision_operators()
    transformers = import_optional("transformers")
    from histodecon.encoders._tokens import TokenModel, keep_published_names

    inner = _model(transformers, card)
    keep_published_names(inner)
    return TokenModel(inner, card.pooling, card.model).eval()


def _model(transformers: ModuleType, card: EncoderCard) -> torch.nn.Module:
    """Make the model; its parameters hold nothing yet."""
    import torch

    kind, arguments = getattr(transformers, MODELS[card.model]), dict(card.model_kwargs)
    known = kind().to_dict()
    wrong = [name for name, value in arguments.items() if type(value) is not type(known.get(name))]
    if wrong:
        msg = f"transformers cannot build {card.model!r} with these arguments"
        where = f"{', '.join(wrong)}: unknown, or of another type, in {arguments}"
        raise InputError(msg, where=where, fix="check `model_kwargs=`", code="BI-51")
    place = torch.get_default_device()
    with torch.device("meta"):  # numbers drawn at random would take longer than reading the weights
        model: torch.nn.Module = getattr(transformers, card.model)(kind(**arguments))
    return model.to_empty(device=place)
