"""What a model remembers of each encoder it was trained on."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from numpy.typing import NDArray

from histodecon._core import UNRECORDED, InputError, ModelMismatchError

SAME_SCALE = 1.1
MAX_RECIPE = 20_000


@dataclass(frozen=True)
class EncoderRecord:
    """One block of the columns a model reads.

    Parameters
    ----------
    key
        Key of ``obsm`` the block was read from.
    name
        Name of the encoder.
    width
        Number of columns.
    fingerprint
        Digest of the recipe (encoder, weights, field of view); two slides embedded alike share it.
    license
        License of the encoder's weights.
    commercial
        Whether that license permits commercial use of what is derived from them.
    mpp
        Smallest and largest µm per pixel of the tiles, where they were cut in pixels; None for tiles in µm, which show the
        same tissue on every slide.
    precision
        What the encoder was computed in, such as ``"float32"``; None where that is not recorded.
    recipe
        What the fingerprint is a digest of, as JSON; None where that is not recorded.
    repo, revision
        Repository on the Hugging Face Hub and commit of the weights, where they come from there.
    """

    key: str
    name: str
    width: int
    fingerprint: str = UNRECORDED
    license: str = "unknown"
    commercial: bool = False
    mpp: tuple[float, float] | None = None
    precision: str | None = None
    recipe: str | None = None
    repo: str | None = None
    revision: str | None = None

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> EncoderRecord:
        """Build a record from what ``uns`` holds.

        Parameters
        ----------
        values
            A mapping with ``key``, ``encoder`` or ``name``, ``width``, and the rest where known.

        Returns
        -------
        The record.
        """
        return cls(
            key=str(values["key"]),
            name=str(values.get("encoder", values.get("name", values["key"]))),
            width=int(values["width"]),
            fingerprint=str(values.get("fingerprint", UNRECORDED)),
            license=str(values.get("license", "unknown")),
            commercial=bool(values.get("commercial", False)),
            mpp=_range_of(values.get("mpp")),
            precision=values.get("precision") or recipe_entries(values.get("recipe")).get("dtype"),
            recipe=_text(values.get("recipe")) if recipe_entries(values.get("recipe")) else None,
            repo=_text(values.get("repo")),
            revision=_text(values.get("revision")),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a plain dict.

        Returns
        -------
        The dict; what is None is left out.
        """
        return {key: value for key, value in asdict(self).items() if value is not None}


def _text(value: Any) -> str | None:
    return str(value) if value and len(str(value)) <= MAX_RECIPE else None


def recipe_entries(recipe: Any) -> dict[str, Any]:
    """Read the text of a recipe, which others may have written.

    Parameters
    ----------
    recipe
        JSON, or anything else.

    Returns
    -------
    From name to value as text; empty where it is no recipe.
    """
    try:
        return {
            str(key): value if isinstance(value, str) else json.dumps(value)
            for key, value in json.loads(recipe).items()
        }
    except (TypeError, ValueError, AttributeError, RecursionError):
        return {}


def _differences(wanted: EncoderRecord, given: EncoderRecord) -> str:
    """Name what is not alike in two recipes, where both are recorded."""
    one, other = recipe_entries(wanted.recipe), recipe_entries(given.recipe)
    if not one or not other:
        return ""
    names = [name for name in sorted({*one, *other}) if one.get(name) != other.get(name)]
    told = [f"{name} {other.get(name, 'none'):.40} instead of {one.get(name, 'none'):.40}" for name in names[:3]]
    return f"; it has {', '.join(told)}" if told else ""


def _range_of(values: Any) -> tuple[float, float] | None:
    """Read a range: two numbers, or one number for each slide."""
    if values is None:
        return None
    numbers = [float(value) for value in (values.values() if isinstance(values, Mapping) else values)]
    if not numbers or not all(0 < number < math.inf for number in numbers):
        msg = f"no µm per pixel: {values!r}"
        raise ValueError(msg)
    return min(numbers), max(numbers)


def describe(records: Sequence[EncoderRecord]) -> str:
    """Write encoders in order, such as ``1536 = conch(512) + uni(1024)``.

    Parameters
    ----------
    records
        Encoders in order.

    Returns
    -------
    The text.
    """
    parts = " + ".join(f"{record.name}({record.width})" for record in records)
    return f"{sum(record.width for record in records)} = {parts}"


def check_same_encoders(wanted: Sequence[EncoderRecord], given: Sequence[EncoderRecord]) -> None:
    """Refuse embeddings that are not the ones a model was trained on.

    Parameters
    ----------
    wanted
        Encoders of the model, in order.
    given
        Encoders of the data, in order.

    Raises
    ------
    ModelMismatchError
        Number, width, order or recipe differ, or pixels of tiles are more than 10 % larger or smaller.
    """
    both = f"the model reads {describe(wanted)}; the data has {describe(given)}"
    if len(wanted) != len(given) or sorted(r.width for r in wanted) != sorted(r.width for r in given):
        _refuse("The embeddings have another width than the model was trained on", both, wanted, "BI-44")
    prints = [record.fingerprint for record in wanted]
    found = [record.fingerprint for record in given]
    if prints == found and [r.width for r in wanted] == [r.width for r in given]:
        for one, other in zip(wanted, given, strict=True):
            _check_same_scale(one, other)
        return
    if sorted(prints) == sorted(found):
        _refuse("The embeddings stand in another order than in training", both, wanted, "BI-46")
    pairs = zip(wanted, given, strict=True)
    wrong = next((w, g) for w, g in pairs if w.fingerprint != g.fingerprint)
    where = f"{wrong[1].key!r} has {wrong[1].fingerprint[:16]}, the model wants {wrong[0].fingerprint[:16]}{_differences(*wrong)}; {both}"
    trained, used = wrong[0].precision, wrong[1].precision
    how = ""
    if trained and used and trained != used:
        where = f"{wrong[1].key!r} was computed in {used}, the model was trained on {trained}; {where}"
        how = f", `precision={trained!r}`, which a CPU can, too,"
    _refuse("The embeddings were made by another recipe than in training", where, wanted, "BI-45", how)


def _check_same_scale(wanted: EncoderRecord, given: EncoderRecord) -> None:
    if wanted.mpp is None:
        return
    low, high = wanted.mpp
    trained = f"the model was trained at {low:.4g}" + ("" if low == high else f" to {high:.4g}")
    why = "cells of another size in the tile are other cells to the encoder"
    fix = f"cut the tiles at the scale of the model: `histodecon.pp.tile_spots(data, size_px=..., tile_mpp={low:.4g})`"
    if given.mpp is None:
        msg = f"It is not recorded how large the pixels of the tiles of {given.key!r} are"
        raise ModelMismatchError(msg, where=f"{trained} µm per pixel", why=why, fix=fix, code="BI-16")
    if given.mpp[0] * SAME_SCALE < low or given.mpp[1] > high * SAME_SCALE:
        msg = f"The tiles of {given.key!r} have pixels of another size than in training"
        where = f"{given.mpp[0]:.4g} to {given.mpp[1]:.4g} µm per pixel; {trained}"
        raise ModelMismatchError(msg, where=where, why=why, fix=fix, code="BI-16")


def _refuse(what: str, where: str, wanted: Sequence[EncoderRecord], code: str, how: str = "") -> None:
    keys = [record.key for record in wanted]
    raise ModelMismatchError(
        what,
        where=where,
        why="the same width does not mean the same features: predictions would be noise",
        fix=f"embed with the encoders of the model and the same tile size{how or ','} and pass `use_rep={keys}`",
        code=code,
    )


def check_records(records: Sequence[EncoderRecord], width: int) -> None:
    """Refuse records that do not add up to the columns of a matrix.

    Parameters
    ----------
    records
        Encoders in order.
    width
        Columns of the matrix.

    Raises
    ------
    InputError
        The widths differ.
    """
    if sum(record.width for record in records) != width or any(record.width < 1 for record in records):
        msg = f"The encoders do not add up to the {width} columns of X"
        raise InputError(msg, where=describe(records), code="BI-44")


def check_width(X: NDArray, records: Sequence[EncoderRecord]) -> None:
    """Refuse a matrix of another width than that of training.

    Parameters
    ----------
    X
        Shape (n, d).
    records
        Encoders of the training, in order.

    Raises
    ------
    ModelMismatchError
        The widths differ.
    """
    width = sum(record.width for record in records)
    if X.shape[1] != width:
        msg = f"The model reads {width} columns, X has {X.shape[1]}"
        raise ModelMismatchError(
            msg, where=f"the model was trained on {describe(records)}", fix="give the same", code="BI-44"
        )
