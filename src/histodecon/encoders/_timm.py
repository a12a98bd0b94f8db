"""Encoders that are timm models."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histodecon._core import InputError, import_timm
from histodecon.encoders._card import INTERPOLATIONS, EncoderCard
from histodecon.encoders._registry import unknown_encoder
from histodecon.encoders._weights import sha256_of

if TYPE_CHECKING:
    from histodecon.encoders._pooling import PooledModel

COMMERCIAL = ("apache-2.0", "mit", "bsd-3-clause")
_OWN_HEAD = "num_classes"


def timm_card(
    model_name: str,
    *,
    name: str | None = None,
    weights: str | os.PathLike[str] | None = None,
    model_kwargs: Mapping[str, Any] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    input_px: int | None = None,
    interpolation: str | None = None,
    pooling: str = "model",
    tile_um: float | None = None,
    license: str | None = None,
    commercial: bool | None = None,
    citation: str = "",
    summary: str | None = None,
) -> EncoderCard:
    """Describe any timm model as an encoder.

    Parameters
    ----------
    model_name
        Name of the model as timm knows it, such as ``"resnet18"`` or ``"vit_small_patch16_224.dino"``.
    name
        What to call the encoder, default ``model_name``; it becomes the key ``obsm["X_<name>"]``.
    weights
        Path of a local weight file: ``.safetensors``, or ``.bin`` or ``.pth`` that holds tensors only. Default: timm's own
        weights on the Hugging Face Hub.
    model_kwargs
        Arguments of :func:`timm.create_model` that the weights need. Layers are named: ``{"mlp_layer": "SwiGLUPacked"}``.
    mean, std
        Normalization of the channels on the scale 0 to 1. Default: the model's own.
    input_px
        Side of the tiles. Default: the model's own.
    interpolation
        ``"bilinear"`` or ``"bicubic"``. Default: the model's own.
    pooling
        ``"model"``: as the model itself pools before its classifier. ``"token"``: the class token. ``"mean"``: the mean of the
        patch tokens. ``"token_mean"``: both, side by side.
    tile_um
        Side in µm of the tissue that the encoder was trained to see in a tile, where known.
    license
        License of the weights. Default: what timm states for its own weights, ``"unknown"`` for a local file.
    commercial
        Whether that license permits commercial use. Default: True for Apache-2.0, MIT and BSD-3-Clause.
    citation
        What to cite.
    summary
        One sentence.

    Returns
    -------
    The card, for :func:`load_encoder`, :func:`register_encoder` or ``pp.embed_tiles``. With local weights their digest is part
    of it.

    Raises
    ------
    InputError
        timm does not know the model, or it cannot be built with these arguments.
    MissingKeyError
        There is no such weight file.

    Notes
    -----
    A tile is resampled to ``input_px`` and not cropped: the field of view is what ``pp.tile_spots`` laid out.

    Weights of one's own, together with another encoder::

        card = timm_card(
            "mobilenetv2_100",
            name="mobilenetv2",
            weights="mobilenetv2.safetensors",
            model_kwargs={"pad_type": "same"},
            mean=(0.5,) * 3,
            std=(0.5,) * 3,
        )
        pp.embed_tiles(sdata, [card, "color_stats"])

    Examples
    --------
    >>> from histodecon.encoders import timm_card
    >>> card = timm_card("mobilenetv2_100", model_kwargs={"pad_type": "same"}, mean=(0.5,) * 3, std=(0.5,) * 3)
    >>> card.dim, card.input_px, card.interpolation
    (1280, 224, 'bicubic')
    """
    timm = import_timm()
    if not timm.is_model(model_name.partition(".")[0]):
        raise unknown_encoder(model_name, timm.list_models())
    cfg = _own_config(timm, model_name)
    local = weights is not None
    stated = "unknown" if local else (cfg.license or "unknown")
    card = EncoderCard(
        name=name or model_name,
        loader="timm",
        model=model_name,
        dim=1,
        input_px=input_px or int(cfg.input_size[-1]),
        mean=tuple(mean or cfg.mean),
        std=tuple(std or cfg.std),
        interpolation=interpolation or (cfg.interpolation if cfg.interpolation in INTERPOLATIONS else "bicubic"),
        pooling=pooling,
        model_kwargs=dict(model_kwargs or {}),
        tile_um=tile_um,
        repo=None if local else cfg.hf_hub_id,
        weights_file=str(Path(weights)) if weights is not None else cfg.hf_hub_filename,
        weights_sha256=sha256_of(weights) if weights is not None else None,
        dropped=_head_names(cfg, model_kwargs or {}),
        license=license or stated,
        commercial=stated.lower() in COMMERCIAL if commercial is None else commercial,
        citation=citation,
        summary=summary or f"{model_name} of timm{', local weights' if local else ''}.",
    )
    return replace(card, dim=_width(card))


def _own_config(timm: Any, model_name: str) -> Any:
    try:
        return timm.get_pretrained_cfg(model_name, allow_unregistered=False)
    except RuntimeError as error:
        stem = model_name.partition(".")[0]
        raise unknown_encoder(model_name, timm.list_pretrained(f"{stem}*")) from error


def _head_names(cfg: Any, model_kwargs: Mapping[str, Any]) -> tuple[str, ...]:
    """Parameters of the classifier, which the encoder is built without."""
    if model_kwargs.get(_OWN_HEAD):
        return ()
    heads = (cfg.classifier,) if isinstance(cfg.classifier, str) else tuple(cfg.classifier or ())
    return tuple(f"{head}." for head in heads)


def build_timm(card: EncoderCard) -> PooledModel:
    """Build the network of a timm encoder, without weights.

    Parameters
    ----------
    card
        Its card.

    Returns
    -------
    The network in evaluation mode, from normalized tiles (n, 3, input_px, input_px) to (n, dim). Its attribute ``inner`` is
    timm's model, whose parameters are named as in the weight file.

    Raises
    ------
    InputError
        timm cannot build it.
    """
    timm = import_timm()
    from histodecon.encoders._pooling import PooledModel

    arguments = {_OWN_HEAD: 0, **{key: _resolved(key, value) for key, value in dict(card.model_kwargs).items()}}
    try:
        inner = timm.create_model(card.model, pretrained=False, **arguments)
    except (TypeError, ValueError, RuntimeError, AssertionError) as error:
        msg = f"timm cannot build {card.model!r} with these arguments"
        where = f"{dict(card.model_kwargs)}: {error}"
        raise InputError(msg, where=where, fix="check `model_kwargs=`", code="BI-51") from error
    return PooledModel(inner, card.pooling, card.model).eval()


def _resolved(key: str, value: Any) -> Any:
    """Find the class of a layer by its name; other names are timm's to resolve."""
    if not (key.endswith("_layer") and isinstance(value, str)):
        return value
    import timm.layers
    import torch

    return getattr(timm.layers, value, getattr(torch.nn, value, value))


def _width(card: EncoderCard) -> int:
    """Width of the embedding, found without computing it."""
    import torch

    with torch.device("meta"), torch.inference_mode():
        model = build_timm(card)
        try:
            shape = model(torch.empty(1, 3, card.input_px, card.input_px)).shape
        except (AssertionError, RuntimeError, ValueError) as error:
            msg = f"{card.model!r} cannot read tiles of {card.input_px} px"
            where = str(error).splitlines()[0]
            fix = f"use its own size, or `model_kwargs={{'img_size': {card.input_px}}}` where the weights allow it"
            raise InputError(msg, where=where, fix=fix, code="BI-49") from error
    if len(shape) != 2:
        msg = f"{card.model!r} does not answer with one row for each tile"
        raise InputError(
            msg, where=f"shape {tuple(shape)}", fix='use `pooling="token"` or `pooling="mean"`', code="BI-44"
        )
    return int(shape[1])
