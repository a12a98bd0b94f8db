"""The model file: one safetensors file that says in words what it is."""

from __future__ import annotations

import json
import os
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from histodecon._core import (
    KINDS,
    InputError,
    IntegrityError,
    ModelVersionError,
    StoreError,
    digest,
    write_atomic,
)
from histodecon.models._learners import get_learner
from histodecon.models._records import EncoderRecord
from histodecon.models._safetensors import pack, read_header, read_tensors, refuse, refuse_unsafe
from histodecon.models._transforms import TRANSFORMS

if TYPE_CHECKING:
    from histodecon.models._regressor import AbundanceRegressor

FORMAT = "histodecon-model"
FORMAT_VERSION = "1.0"
READS_MAJOR = 1
MAX_TYPES = 10_000
MAX_FILE_BYTES = 4_000_000_000
SUFFIX = ".safetensors"
_JSON_FIELDS = {
    "requires": list,
    "encoders": list,
    "cell_types": list,
    "params": dict,
    "training": dict,
    "history": dict,
    "random_state": int,
}
_TEXT_FIELDS = ("learner", "transform", "kind", "payload_sha256")


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
    tensors = {
        "input.center": model.input_center_,
        "input.scale": model.input_scale_,
        "target.center": model.target_center_,
        "target.scale": model.target_scale_,
        "target.mean": model.target_mean_,
        **{f"learner.{name}": array for name, array in model.learner_.arrays().items()},
    }
    _refuse_not_finite(tensors, "the model")
    metadata = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "written_by": f"histodecon {version('histodecon')}",
        "requires": _json([]),
        "learner": model.learner,
        "params": _json(model.learner_.params),
        "transform": model.transform,
        "kind": model.kind_,
        "cell_types": _json(list(model.cell_types_)),
        "encoders": _json([record.to_dict() for record in model.encoders_]),
        "commercial": _json(all(record.commercial for record in model.encoders_)),
        "random_state": _json(int(model.random_state)),
        "training": _json(model.training_),
        "history": _json(model.history_),
    }
    metadata["payload_sha256"] = _payload_digest(metadata, tensors)
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


def read(path: str | os.PathLike[str]) -> AbundanceRegressor:
    """Read a regressor from a file.

    Parameters
    ----------
    path
        The file.

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
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            refuse("The model file is too large to be one", f"{path.name}, {path.stat().st_size} bytes")
        content = path.read_bytes()
    except OSError as error:
        msg = f"The model file {path.name} cannot be read"
        raise StoreError(msg, where=f"{path}: {error.strerror}", fix="check the path", code="FI-06") from error
    return parse(content, path.name)


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
    _check_version(metadata, name)
    fields = _fields(metadata, name)
    records = _records(fields["encoders"], name)
    width, n_types = sum(record.width for record in records), len(fields["cell_types"])
    try:
        learner = get_learner(fields["learner"]).build(fields["params"])
    except InputError as error:
        refuse("The declared learner cannot be built", f"{name}: {error}")
    floats = "F64" if learner.floats == "float64" else "F32"
    expected: dict[str, tuple[str, tuple[int, ...]]] = {
        f"input.{part}": ("F64", (width,)) for part in ("center", "scale")
    }
    expected |= {f"target.{part}": ("F64", (n_types,)) for part in ("center", "scale", "mean")}
    expected |= {f"learner.{key}": (floats, shape) for key, shape in learner.shapes(width, n_types).items()}
    tensors = read_tensors(content, entries, start, expected, name)
    if _payload_digest(metadata, tensors) != fields["payload_sha256"]:
        refuse("The content of the model file is not what was written", f"{name}: its sha256 differs")
    _refuse_not_finite(tensors, name)
    model = AbundanceRegressor(
        fields["learner"],
        params=fields["params"] or None,
        transform=fields["transform"],
        random_state=fields["random_state"],
    )
    model.input_center_, model.input_scale_ = tensors["input.center"], tensors["input.scale"]
    model.target_center_, model.target_scale_ = tensors["target.center"], tensors["target.scale"]
    model.target_mean_ = tensors["target.mean"]
    learned = {key.removeprefix("learner."): value for key, value in tensors.items() if key.startswith("learner.")}
    model.learner_ = learner.restore(learned)
    learner.history_ = fields["history"]
    model.encoders_, model.cell_types_ = records, tuple(fields["cell_types"])
    model.kind_, model.n_features_in_ = fields["kind"], width
    model.history_, model.training_ = fields["history"], fields["training"]
    return model


def _check_version(metadata: dict[str, str], name: str) -> None:
    if metadata.get("format") != FORMAT:
        msg = "The safetensors file is not a histodecon model"
        refuse(msg, f"{name}: format {metadata.get('format', 'absent')!r}, not {FORMAT!r}")
    declared = metadata.get("format_version", "")
    major = declared.partition(".")[0]
    requires = _loads(metadata.get("requires", "[]"), name)
    if not major.isdecimal():
        refuse("The model file has no format version", f"{name}: {declared!r}")
    if int(major) > READS_MAJOR or requires:
        msg = f"The model file needs format {declared}" + (f" with {requires}" if requires else "")
        raise ModelVersionError(
            msg,
            where=f"{name}, written by {metadata.get('written_by', 'an unknown version')}; this version reads {READS_MAJOR}.x",
            fix="`pip install -U histodecon`",
            code="BI-77",
        )


def _fields(metadata: dict[str, str], name: str) -> dict[str, Any]:
    missing = [key for key in (*_JSON_FIELDS, *_TEXT_FIELDS) if key not in metadata]
    if missing:
        refuse("The model file lacks entries", f"{name}: {', '.join(missing)}")
    fields: dict[str, Any] = {key: metadata[key] for key in _TEXT_FIELDS}
    for key, kind in _JSON_FIELDS.items():
        fields[key] = _loads(metadata[key], name)
        if not isinstance(fields[key], kind):
            refuse(f"The entry {key!r} of the model file is not a {kind.__name__}", name)
    types = fields["cell_types"]
    named = all(isinstance(item, str) for item in types) and len(set(types)) == len(types)
    if not 0 < len(types) <= MAX_TYPES or not named:
        refuse("The cell types of the model file are not a list of different names", name)
    if fields["kind"] not in KINDS or fields["transform"] not in TRANSFORMS:
        refuse("The kind or transform of the model file is unknown", name)
    return fields


def _records(values: list[Any], name: str) -> tuple[EncoderRecord, ...]:
    try:
        records = tuple(EncoderRecord.from_dict(value) for value in values)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        refuse("The encoders of the model file cannot be read", f"{name}: {error!r}")
    if not records or any(not 0 < record.width <= 1_000_000 for record in records):
        refuse("The encoders of the model file have no width", name)
    return records


def _payload_digest(metadata: dict[str, str], tensors: dict[str, NDArray]) -> str:
    texts = [f"{key}={metadata[key]}" for key in sorted(metadata) if key != "payload_sha256"]
    arrays: list[object] = []
    for key in sorted(tensors):
        arrays += [key, np.ascontiguousarray(tensors[key])]
    return digest(*texts, *arrays)


def _refuse_not_finite(tensors: dict[str, NDArray], name: str) -> None:
    bad = [key for key, array in tensors.items() if not np.isfinite(array).all()]
    if bad:
        msg = "The model holds values that are not finite"
        raise IntegrityError(msg, where=f"{name}: {', '.join(bad[:3])}", fix="train again", code="BI-82")


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True, sort_keys=True, separators=(",", ":"), default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    msg = f"{type(value).__name__} cannot be kept in a model file"
    raise TypeError(msg)


def _loads(text: str, name: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        refuse("An entry of the model file cannot be read", f"{name}: {type(error).__name__}")
