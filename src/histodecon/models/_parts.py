"""Optional parts of a model file: what a model knows of its own limits."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from histodecon._core import HistodeconWarning
from histodecon._core._safetensors import MAX_TENSORS, refuse
from histodecon.models._conformal import ConformalIntervals
from histodecon.models._novelty import NoveltyScore
from histodecon.models._reliability import ReliabilityCard

if TYPE_CHECKING:
    from histodecon.models._records import EncoderRecord
    from histodecon.models._regressor import AbundanceRegressor

Shapes = dict[str, tuple[int, ...]]
FEATURE = "parts"
"""What a file with parts asks of its reader."""

RESERVED = ("input", "target", "learner")
"""Beginnings of the names of tensors that every model has."""

MAX_DIMENSIONS = 4
_UNREADABLE = (LookupError, TypeError, ValueError, ArithmeticError, AttributeError)


class Part(Protocol):
    """What a part of a model file can do: words and numbers out, and itself again from them."""

    kind: str

    def facts(self) -> dict[str, Any]:
        """Return what is kept as words."""
        ...

    def arrays(self) -> dict[str, NDArray[np.float64]]:
        """Return what is kept as numbers, float64 and finite."""
        ...

    @classmethod
    def from_parts(cls, facts: Mapping[str, Any], arrays: Mapping[str, NDArray[np.float64]]) -> Self:
        """Build it again; IntegrityError where the arrays are not as the facts declare them."""
        ...


@dataclass(frozen=True)
class PartKind:
    """A part that this version can read.

    Parameters
    ----------
    cls
        Its class; its ``kind`` is what the file calls it.
    belongs
        Whether a part that was read speaks of these encoders and cell types.
    """

    cls: type[Part]
    belongs: Callable[[Any, Sequence[EncoderRecord], Sequence[str]], bool]


PARTS: dict[str, PartKind] = {
    "calibration": PartKind(
        ConformalIntervals, lambda part, records, types: bool(part.half_widths.shape[1] == len(types))
    ),
    "novelty": PartKind(
        NoveltyScore,
        lambda part, records, types: [space.width for space in part.spaces] == [record.width for record in records],
    ),
    "reliability": PartKind(ReliabilityCard, lambda part, records, types: part.cell_types == tuple(types)),
}
"""A regressor holds each as the attribute of this name with an underscore after it, or None."""


def parts_of(model: AbundanceRegressor) -> dict[str, Part]:
    """Collect the parts that a regressor has.

    Parameters
    ----------
    model
        The regressor.

    Returns
    -------
    The parts by name.
    """
    found = {name: getattr(model, f"{name}_") for name in PARTS}
    return {name: part for name, part in found.items() if part is not None}


def declare(parts: Mapping[str, Part]) -> tuple[dict[str, Any], dict[str, NDArray[np.float64]]]:
    """Write parts.

    Parameters
    ----------
    parts
        Parts by name.

    Returns
    -------
    What the header says of each (``kind``, ``facts``, ``shapes``), and their tensors.
    """
    entries: dict[str, Any] = {}
    tensors: dict[str, NDArray[np.float64]] = {}
    for name, part in parts.items():
        arrays = {key: np.ascontiguousarray(array, dtype=np.float64) for key, array in part.arrays().items()}
        shapes = {key: list(array.shape) for key, array in arrays.items()}
        entries[name] = {"kind": part.kind, "facts": part.facts(), "shapes": shapes}
        tensors |= {f"{name}.{key}": array for key, array in arrays.items()}
    return entries, tensors


def declared_shapes(entries: Any, name: str) -> Shapes:
    """Read which tensors the parts of a file have, without a look at the tensors.

    Parameters
    ----------
    entries
        What the header says of the parts.
    name
        Name of the file, for errors.

    Returns
    -------
    Shapes by name of the tensor, those of parts that this version does not know among them.

    Raises
    ------
    IntegrityError
        The header is not of this form.
    """
    if not isinstance(entries, dict) or len(entries) > MAX_TENSORS:
        refuse("The parts of the model file are not a table", name)
    found: Shapes = {}
    for part, entry in entries.items():
        if not part.isidentifier() or part in RESERVED:
            refuse("A part of the model file has a name that no part can have", f"{name}: {part!r}")
        if not isinstance(entry, dict) or {"kind", "facts", "shapes"} - set(entry):
            refuse(f"The part {part!r} of the model file is not declared", name)
        kind, facts, shapes = entry["kind"], entry["facts"], entry["shapes"]
        if not (isinstance(kind, str) and isinstance(facts, dict) and isinstance(shapes, dict)):
            refuse(f"The part {part!r} of the model file is not declared", name)
        for key, shape in shapes.items():
            if not isinstance(shape, list) or len(shape) > MAX_DIMENSIONS or not all(_is_size(n) for n in shape):
                refuse(f"The part {part!r} of the model file has an array without a shape", f"{name}: {key!r}")
            found[f"{part}.{key}"] = tuple(shape)
    return found


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 2**40


def restore_parts(
    entries: Mapping[str, Any],
    tensors: Mapping[str, NDArray],
    records: Sequence[EncoderRecord],
    cell_types: Sequence[str],
    name: str,
) -> dict[str, Part]:
    """Build the parts that this version knows.

    Parameters
    ----------
    entries
        What the header says of the parts, checked by :func:`declared_shapes`.
    tensors
        Tensors of the file, of these shapes.
    records
        Encoders of the model.
    cell_types
        Its cell types.
    name
        Name of the file, for errors.

    Returns
    -------
    The parts by name.

    Raises
    ------
    IntegrityError
        A part contradicts itself or the model.

    Warns
    -----
    HistodeconWarning
        A part is of a kind that this version does not know, and left out.
    """
    found: dict[str, Part] = {}
    unknown = []
    for part, entry in entries.items():
        known = PARTS.get(part)
        if known is None or entry["kind"] != known.cls.kind:
            unknown.append(f"{part} ({entry['kind']})")
            continue
        try:
            found[part] = known.cls.from_parts(
                entry["facts"], {key: tensors[f"{part}.{key}"] for key in entry["shapes"]}
            )
        except _UNREADABLE as error:
            refuse(f"The part {part!r} of the model file cannot be read", f"{name}: {error!r}")
        if not known.belongs(found[part], records, cell_types):
            refuse(f"The part {part!r} of the model file belongs to another model", name)
    if unknown:
        text = (
            f"[HD-BI-77] {name} holds parts that this version cannot read, and they are left out: {', '.join(unknown)}. "
            "Predictions are the same without them. To read them: `pip install -U histodecon`."
        )
        warnings.warn(text, HistodeconWarning, stacklevel=5)
    return found
