"""The model file: one safetensors file that says in words what it is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from histodecon._core import InputError, IntegrityError, StoreError, write_atomic
from histodecon._core._safetensors import pack, payload_digest, read_header, read_tensors, refuse, refuse_unsafe
from histodecon.models._model_header import check_version, describe_model, read_fields
from histodecon.models._parts import PARTS, declare, declared_shapes, parts_of, restore_parts

if TYPE_CHECKING:
    from histodecon.models._learners import Learner
    from histodecon.models._regressor import AbundanceRegressor

MAX_FILE_BYTES = 4_000_000_000
SUFFIX = ".safetensors"
_DTYPES = {"float32": "F32", "float64": "F64"}


def dump(model: AbundanceRegressor) -> bytes:
    """Write a fitted regressor.

    Parameters
    ----------
    model
        The regressor.

    Returns
    -------
    The file.

    Raises
    ------
    IntegrityError
        A fitted value is not finite; such a model is never written.
    """
    parts, extra = declare(parts_of(model))
    tensors = {
        "input.center": model.input_center_,
        "input.scale": model.input_scale_,
        "target.center": model.target_center_,
        "target.scale": model.target_scale_,
        "target.mean": model.target_mean_,
        **{f"learner.{name}": array for name, array in model.learner_.arrays().items()},
        **extra,
    }
    _refuse_not_finite(tensors, "the model")
    metadata = describe_model(model, parts)
    metadata["payload_sha256"] = payload_digest(metadata, tensors)
    return pack(tensors, metadata)


def write(model: AbundanceRegressor, path: str | os.PathLike[str]) -> Path:
    """Write a fitted regressor to a file.

    Parameters
    ----------
    model
        The regressor.
    path
        Where, ending in ``.safetensors``.

    Returns
    -------
    The path.

    Raises
    ------
    InputError
        The name ends otherwise.
    """
    if Path(path).suffix != SUFFIX:
        msg = f"A model file ends in {SUFFIX}, got {Path(path).name!r}"
        raise InputError(msg, fix=f"`model.save('{Path(path).stem}{SUFFIX}')`", code="BI-83")
    return write_atomic(path, dump(model))


def read(path: str | os.PathLike[str], *, name: str | None = None) -> AbundanceRegressor:
    """Read a regressor from a file.

    Parameters
    ----------
    path
        The file.
    name
        What errors call it; by default its name.

    Returns
    -------
    The regressor.

    Raises
    ------
    StoreError
        The file cannot be read.
    IntegrityError
        It is damaged.
    """
    path = Path(path)
    return parse(_content(path), name or path.name)


def read_metadata(path: Path) -> dict[str, str]:
    """Read what the header of a model file says, without its tensors.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    Texts by name; the format is one that this version reads.
    """
    content = _content(path)
    refuse_unsafe(content, path.name)
    metadata = read_header(content, path.name)[0]
    check_version(metadata, path.name)
    return metadata


def _content(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            refuse("The model file is too large to be one", f"{path.name}, {path.stat().st_size} bytes")
        return path.read_bytes()
    except OSError as error:
        msg = f"The model file {path.name} cannot be read"
        raise StoreError(msg, where=f"{path}: {error.strerror}", fix="check the path", code="FI-06") from error


def parse(content: bytes, name: str) -> AbundanceRegressor:
    """Read a regressor from bytes: sniff, header, version, declared shapes, digest, finiteness, in this order.

    Parameters
    ----------
    content
        The file.
    name
        Its name, for errors.

    Returns
    -------
    The regressor.
    """
    from histodecon.models._regressor import AbundanceRegressor

    refuse_unsafe(content, name)
    metadata, entries, start = read_header(content, name)
    check_version(metadata, name)
    fields = read_fields(metadata, name)
    records, cell_types, learner = fields["encoders"], tuple(fields["cell_types"]), fields["built"]
    width = sum(record.width for record in records)
    expected = _expected(learner, width, len(cell_types))
    expected |= {key: ("F64", shape) for key, shape in declared_shapes(fields["parts"], name).items()}
    tensors = read_tensors(content, entries, start, expected, name)
    if payload_digest(metadata, tensors) != fields["payload_sha256"]:
        refuse("The content of the model file is not what was written", f"{name}: its sha256 differs")
    _refuse_not_finite(tensors, name)
    model = AbundanceRegressor(
        fields["learner"],
        params=fields["params"] or None,
        transform=fields["transform"],
        random_state=fields["random_state"],
        block_scaling=str(fields["training"].get("block_scaling", "none")),
    )
    model.input_center_, model.input_scale_ = tensors["input.center"], tensors["input.scale"]
    model.target_center_, model.target_scale_ = tensors["target.center"], tensors["target.scale"]
    model.target_mean_ = tensors["target.mean"]
    learned = {key.removeprefix("learner."): value for key, value in tensors.items() if key.startswith("learner.")}
    model.learner_ = learner.restore(learned)
    learner.history_ = fields["history"]
    model.encoders_, model.cell_types_ = records, cell_types
    model.kind_, model.n_features_in_ = fields["kind"], width
    model.history_, model.training_ = fields["history"], fields["training"]
    parts = restore_parts(fields["parts"], tensors, records, cell_types, name)
    for part in PARTS:
        setattr(model, f"{part}_", parts.get(part))
    return model


def _expected(learner: Learner, width: int, n_types: int) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Which tensors a model has, as its header alone declares them."""
    expected: dict[str, tuple[str, tuple[int, ...]]] = {}
    expected |= {f"input.{part}": ("F64", (width,)) for part in ("center", "scale")}
    expected |= {f"target.{part}": ("F64", (n_types,)) for part in ("center", "scale", "mean")}
    shapes = learner.shapes(width * learner.n_parts, n_types)
    return expected | {f"learner.{key}": (_DTYPES[learner.float_of(key)], shape) for key, shape in shapes.items()}


def _refuse_not_finite(tensors: dict[str, NDArray], name: str) -> None:
    bad = [key for key, array in tensors.items() if not np.isfinite(array).all()]
    if bad:
        msg = "The model holds values that are not finite"
        raise IntegrityError(msg, where=f"{name}: {', '.join(bad[:3])}", fix="train again", code="BI-82")
