"""What an encoder is: one frozen card that says where its numbers come from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from histodecon._core import InputError, digest, is_safe_key

LOADERS = ("timm", "function", "callable")
INTERPOLATIONS = ("bilinear", "bicubic")
POOLINGS = ("model", "token", "mean")
_RECIPE = {
    "timm": (
        "loader",
        "model",
        "model_kwargs",
        "pooling",
        "input_px",
        "mean",
        "std",
        "interpolation",
        "weights_sha256",
    ),
    "function": ("loader", "model", "revision", "input_px", "interpolation"),
    "callable": ("loader", "revision", "input_px", "interpolation"),
}


@dataclass(frozen=True, kw_only=True)
class EncoderCard:
    """Describe an encoder: everything that decides its numbers, and what a user must know of it.

    Parameters
    ----------
    name
        What users type; the embedding is stored as ``obsm["X_<name>"]``.
    loader
        ``"timm"``: a timm model with weights. ``"function"``: a function of a module that needs no weights.
        ``"callable"``: a function handed in by the user.
    model
        Name of the timm architecture, or ``"module:function"``.
    dim
        Width of the embedding.
    input_px
        Side of the tiles that are encoded.
    mean, std
        Normalization of the channels on the scale 0 to 1; None for a function, which sees uint8.
    interpolation
        ``"bilinear"`` or ``"bicubic"``: how tiles of another size are resampled.
    pooling
        ``"model"``: as the model itself pools. ``"token"``: the class token. ``"mean"``: the mean of the patch tokens.
    model_kwargs
        Arguments of :func:`timm.create_model`; a mapping, kept as pairs.
    tile_um
        Side in µm of the tissue that the encoder was trained to see in a tile, where known.
    repo
        Repository on the Hugging Face Hub that holds the weights.
    revision
        Commit of the repository, or version of a function.
    weights_file
        Name of the file in the repository, or path of a local file.
    weights_sha256
        Digest of that file. Known before loading, it is checked; otherwise loading fills it in.
    dropped
        Beginnings of the names of parameters in the file that the encoder does not use, such as ``"classifier."``.
    gated
        The repository asks for consent first.
    license
        License of the weights.
    commercial
        Whether that license permits commercial use of what is derived from them.
    citation
        What to cite.
    summary
        One sentence.

    Raises
    ------
    InputError
        A field makes no sense.

    Examples
    --------
    >>> import histodecon as hd
    >>> card = hd.encoders.get_encoder_card("color_stats")
    >>> card.dim, card.input_px, card.license
    (119, 224, 'BSD-3-Clause')
    """

    name: str
    loader: str
    model: str
    dim: int
    input_px: int = 224
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    interpolation: str = "bilinear"
    pooling: str = "model"
    model_kwargs: Mapping[str, Any] | tuple[tuple[str, Any], ...] = ()
    tile_um: float | None = None
    repo: str | None = None
    revision: str | None = None
    weights_file: str | None = None
    weights_sha256: str | None = None
    dropped: tuple[str, ...] = ()
    gated: bool = False
    license: str = "unknown"
    commercial: bool = False
    citation: str = ""
    summary: str = ""

    def __post_init__(self) -> None:
        pairs = sorted(dict(self.model_kwargs).items())
        object.__setattr__(self, "model_kwargs", tuple((key, _frozen(value)) for key, value in pairs))
        for name in ("mean", "std"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, tuple(float(number) for number in value))
        object.__setattr__(self, "dropped", tuple(self.dropped))
        self._check()

    def _check(self) -> None:
        def refuse(field: str, fix: str) -> None:
            msg = f"Encoder {self.name!r}: `{field}={getattr(self, field)!r}` makes no sense"
            raise InputError(msg, fix=fix, code="BI-51")

        if not is_safe_key(str(self.name)):
            refuse("name", "use letters, digits, '_', '.' and '-' only: it becomes a key of obsm")
        for field, allowed in (("loader", LOADERS), ("interpolation", INTERPOLATIONS), ("pooling", POOLINGS)):
            if getattr(self, field) not in allowed:
                refuse(field, f"use one of {', '.join(allowed)}")
        for field in ("dim", "input_px"):
            if not isinstance(getattr(self, field), int) or getattr(self, field) < 1:
                refuse(field, "use a whole number above 0")
        for field in ("mean", "std"):
            value = getattr(self, field)
            if (value is None) != (self.loader != "timm") or (value is not None and len(value) != 3):
                refuse(field, "give three numbers for a timm model, none for a function")
        if self.std is not None and min(self.std) <= 0:
            refuse("std", "use numbers above 0")

    def recipe(self) -> dict[str, Any]:
        """Return everything that changes the numbers, and nothing else.

        Returns
        -------
        A dict of texts, numbers, lists and None; ``dtype`` is that of the computation.
        """
        values = {name: getattr(self, name) for name in _RECIPE[self.loader]} | {"dtype": "float32"}
        if "model_kwargs" in values:
            values["model_kwargs"] = dict(values["model_kwargs"])
        plain: dict[str, Any] = json.loads(json.dumps(values, sort_keys=True))
        return plain

    def fingerprint(self) -> str:
        """Digest the recipe.

        Returns
        -------
        64 hexadecimal digits: equal exactly when the recipe is.

        Raises
        ------
        InputError
            The digest of the weights is not known yet.
        """
        if self.loader == "timm" and self.weights_sha256 is None:
            msg = f"The weights of {self.name!r} are not known before they are loaded"
            fix = "`load_encoder(card).fingerprint`, or `timm_card(..., weights=path)`"
            raise InputError(msg, why="other weights give other numbers", fix=fix, code="BI-85")
        return digest(json.dumps(self.recipe(), sort_keys=True))

    def __str__(self) -> str:
        skipped = {"name", "summary"}
        shown = [(field.name, getattr(self, field.name)) for field in fields(self) if field.name not in skipped]
        rows = [f"  {name:15} {_text(value)}" for name, value in shown if value not in (None, (), "")]
        return "\n".join([f"EncoderCard {self.name!r}: {self.summary}", *rows])


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        pairs = [
            f"{item[0]}={item[1]!r}"
            if isinstance(item, tuple)
            else f"{item:g}"
            if isinstance(item, float)
            else str(item)
            for item in value
        ]
        return ", ".join(pairs)
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _frozen(value: Any) -> Any:
    """Make an argument hashable; what JSON cannot say is refused."""
    if isinstance(value, (list, tuple)):
        return tuple(_frozen(item) for item in value)
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    msg = f"An argument of type {type(value).__name__} cannot be part of an encoder's recipe"
    raise InputError(
        msg, why="the recipe is written as text and compared", fix="use texts, numbers and lists", code="BI-51"
    )
