"""What an encoder is: one frozen card that says where its numbers come from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from itertools import chain
from typing import Any

from histodecon._core import InputError, digest, is_safe_key

NETWORKS = ("timm", "torch", "transformers")
LOADERS = (*NETWORKS, "function", "callable")
INTERPOLATIONS = ("bilinear", "bicubic")
POOLINGS = ("model", "token", "mean", "token_mean")
HALF_DTYPES = ("bfloat16", "float16")
DTYPES = ("float32", *HALF_DTYPES)
_OF_A_NETWORK = (
    "loader",
    "model",
    "model_kwargs",
    "pooling",
    "input_px",
    "mean",
    "std",
    "interpolation",
    "weights_sha256",
    "dtype",
)
_RECIPE = {
    **dict.fromkeys(NETWORKS, _OF_A_NETWORK),
    "function": ("loader", "model", "revision", "input_px", "interpolation", "dtype"),
    "callable": ("loader", "revision", "input_px", "interpolation", "dtype"),
}
_CHOICES = {"loader": LOADERS, "interpolation": INTERPOLATIONS, "pooling": POOLINGS, "dtype": DTYPES}
_WHERE_GIVEN = (
    "resize_px",
    "prefix",
    "orientations",
    "low_rank_scale",
)  # younger than the first fingerprints, which must stay
ORIENTATIONS = 8


@dataclass(frozen=True, kw_only=True)
class EncoderCard:
    """Describe an encoder: everything that decides its numbers, and what a user must know of it.

    Parameters
    ----------
    name
        What users type; the embedding is stored as ``obsm["X_<name>"]``.
    loader
        ``"timm"``: a timm model with weights. ``"torch"``: a network that a function of a module builds, with weights.
        ``"transformers"``: a model of transformers with weights. ``"function"``: a function of a module that needs no
        weights. ``"callable"``: a function handed in by the user.
    model
        Name of the architecture in timm or transformers, or ``"module:function"``.
    dim
        Width of the embedding.
    input_px
        Side of the tiles that are encoded.
    resize_px
        Side that tiles are resampled to before their center of ``input_px`` is cut out; None where that is ``input_px``.
    mean, std
        Normalization of the channels on the scale 0 to 1; None for a function, which sees uint8.
    interpolation
        ``"bilinear"`` or ``"bicubic"``: how tiles of another size are resampled.
    pooling
        ``"model"``: as the model itself pools. ``"token"``: the class token. ``"mean"``: the mean of the patch tokens.
        ``"token_mean"``: both, side by side. Register tokens are left out.
    model_kwargs
        Arguments of :func:`timm.create_model`, of the builder or of the configuration; a mapping, kept as pairs. Layers
        are named, such as ``"SwiGLUPacked"``.
    tile_px, mpp
        Side in pixels, and µm per pixel, of the tiles that the encoder was trained on, where known.
    tile_um
        Side in µm of the tissue that the encoder was trained to see in a tile, where known; follows from ``tile_px`` and
        ``mpp`` where both are given.
    dtype
        What it is computed in: ``"float32"``, ``"bfloat16"`` or ``"float16"``. Loading sets it.
    orientations
        8: the embedding is the mean over the eight orientations of a tile (four turns, each also mirrored), which tissue does
        not tell apart; eight times the cost. None: the tile as it lies. Loading sets it.
    safe_dtypes
        Half precisions in which its embeddings may be computed; the first one is used on a GPU.
    repo
        Repository on the Hugging Face Hub that holds the weights.
    revision
        Commit of the repository, or version of a function.
    weights_file
        Name of the file in the repository, or path of a local file.
    weights_sha256
        Digest of that file. Known before loading, it is checked; otherwise loading fills it in.
    prefix
        Beginning of the names of the parameters in the file that belong to the encoder, such as ``"visual."``; it is taken
        off, and parameters without it are left out.
    dropped
        Beginnings of the names of parameters in the file that the encoder does not use, such as ``"classifier."``.
    low_rank_scale
        Factor with which low-rank layers of the file, named as the package peft does, are added to their weights; None where
        there are none.
    gated
        The repository asks for consent first.
    access_url
        Page where that is done.
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
    resize_px: int | None = None
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    interpolation: str = "bilinear"
    pooling: str = "model"
    model_kwargs: Mapping[str, Any] | tuple[tuple[str, Any], ...] = ()
    tile_px: int | None = None
    mpp: float | None = None
    tile_um: float | None = None
    dtype: str = "float32"
    orientations: int | None = None
    safe_dtypes: tuple[str, ...] = ()
    repo: str | None = None
    revision: str | None = None
    weights_file: str | None = None
    weights_sha256: str | None = None
    prefix: str = ""
    dropped: tuple[str, ...] = ()
    low_rank_scale: float | None = None
    gated: bool = False
    access_url: str | None = None
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
        for name in ("dropped", "safe_dtypes"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if self.resize_px == self.input_px:
            object.__setattr__(self, "resize_px", None)
        if self.orientations == 1:
            object.__setattr__(self, "orientations", None)
        if self.tile_px and self.mpp:
            object.__setattr__(self, "tile_um", self.tile_px * float(self.mpp))
        self._check()

    def _check(self) -> None:
        for field, fix in chain(_wrong_choices(self), _wrong_sizes(self), _wrong_channels(self)):
            msg = f"Encoder {self.name!r}: `{field}={getattr(self, field)!r}` makes no sense"
            raise InputError(msg, fix=fix, code="BI-51")

    def recipe(self) -> dict[str, Any]:
        """Return everything that changes the numbers, and nothing else.

        Returns
        -------
        A dict of texts, numbers, lists and None; ``dtype`` is that of the computation.
        """
        names = (*_RECIPE[self.loader], *(name for name in _WHERE_GIVEN if getattr(self, name)))
        values = {name: getattr(self, name) for name in names}
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
        if self.loader in NETWORKS and self.weights_sha256 is None:
            msg = f"The weights of {self.name!r} are not known before they are loaded"
            fix = "`load_encoder(card).fingerprint`, or `timm_card(..., weights=path)`"
            raise InputError(msg, why="other weights give other numbers", fix=fix, code="BI-85")
        return digest(json.dumps(self.recipe(), sort_keys=True))

    def __str__(self) -> str:
        skipped = {"name", "summary"}
        shown = [(field.name, getattr(self, field.name)) for field in fields(self) if field.name not in skipped]
        rows = [f"  {name:15} {_text(value)}" for name, value in shown if value not in (None, (), "")]
        return "\n".join([f"EncoderCard {self.name!r}: {self.summary}", *rows])


def _wrong_choices(card: EncoderCard) -> Iterator[tuple[str, str]]:
    """Yield fields whose texts make no sense, and what to do."""
    if not is_safe_key(str(card.name)):
        yield "name", "use letters, digits, '_', '.' and '-' only: it becomes a key of obsm"
    for field, allowed in _CHOICES.items():
        if getattr(card, field) not in allowed:
            yield field, f"use one of {', '.join(allowed)}"
    if not set(card.safe_dtypes) <= set(HALF_DTYPES):
        yield "safe_dtypes", f"use {' and '.join(HALF_DTYPES)}"


def _wrong_sizes(card: EncoderCard) -> Iterator[tuple[str, str]]:
    for field in ("dim", "input_px", "resize_px", "tile_px"):
        value = getattr(card, field)
        absent = value is None and field in ("resize_px", "tile_px")
        if not absent and (not isinstance(value, int) or value < 1):
            yield field, "use a whole number above 0"
    if card.resize_px is not None and card.resize_px < card.input_px:
        yield "resize_px", f"the center of {card.input_px} px is cut out of it: use a larger number"
    if card.orientations not in (None, ORIENTATIONS):
        yield "orientations", f"a tile has {ORIENTATIONS} orientations: use 1 or {ORIENTATIONS}"
    if card.mpp is not None and card.mpp <= 0:
        yield "mpp", "use a number above 0"


def _wrong_channels(card: EncoderCard) -> Iterator[tuple[str, str]]:
    for field in ("mean", "std"):
        value = getattr(card, field)
        if (value is None) != (card.loader not in NETWORKS) or (value is not None and len(value) != 3):
            yield field, "give three numbers for a network, none for a function"
    if card.std is not None and min(card.std) <= 0:
        yield "std", "use numbers above 0"


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
