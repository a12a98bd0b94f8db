"""What the header of a model file says, in words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from histodecon._core import KINDS, InputError, ModelVersionError
from histodecon._core._safetensors import refuse
from histodecon.models._learners import Learner, get_learner, list_learners
from histodecon.models._license import license_notice
from histodecon.models._parts import FEATURE
from histodecon.models._records import EncoderRecord
from histodecon.models._transforms import TRANSFORMS

if TYPE_CHECKING:
    from histodecon.models._regressor import AbundanceRegressor

FORMAT = "histodecon-model"
FORMAT_VERSION = "1.1"
READS_MAJOR = 1
READS_FEATURES = (FEATURE,)
MAX_TYPES = 10_000
MAX_GENES = 100_000
_JSON_FIELDS: dict[str, type] = {
    "requires": list,
    "encoders": list,
    "cell_types": list,
    "params": dict,
    "training": dict,
    "history": dict,
    "random_state": int,
    "commercial": bool,
}
_TEXT_FIELDS = ("learner", "transform", "kind", "payload_sha256")


def describe_model(model: AbundanceRegressor, parts: Mapping[str, Any]) -> dict[str, str]:
    """Say in words what a regressor is.

    Parameters
    ----------
    model
        The regressor.
    parts
        What :func:`histodecon.models._parts.declare` says of its parts.

    Returns
    -------
    Texts by name, as safetensors keeps them; all but the digest.
    """
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "written_by": f"histodecon {version('histodecon')}",
        "requires": _json([FEATURE] if parts else []),
        "learner": model.learner,
        "params": _json(model.learner_.params),
        "transform": model.transform,
        "kind": model.kind_,
        "cell_types": _json(list(model.cell_types_)),
        "encoders": _json([record.to_dict() for record in model.encoders_]),
        "commercial": _json(all(record.commercial for record in model.encoders_)),
        "license_notice": license_notice(model.encoders_),
        "random_state": _json(int(model.random_state)),
        "training": _json(model.training_),
        "history": _json(model.history_),
        "parts": _json(parts),
    }


def check_version(metadata: Mapping[str, str], name: str) -> None:
    """Refuse what is no model, or one for a newer version.

    Parameters
    ----------
    metadata
        Texts of the header.
    name
        Name of the file, for errors.

    Raises
    ------
    IntegrityError
        It is no model.
    ModelVersionError
        It asks for more than this version knows.
    """
    if metadata.get("format") != FORMAT:
        msg = "The safetensors file is not a histodecon model"
        refuse(msg, f"{name}: format {metadata.get('format', 'absent')!r}, not {FORMAT!r}")
    declared = metadata.get("format_version", "")
    major = declared.partition(".")[0]
    requires = _loads(metadata.get("requires", "[]"), name)
    if not major.isdecimal() or len(major) > 4:
        refuse("The model file has no format version", f"{name}: {declared!r}")
    if not isinstance(requires, list):
        refuse("The entry 'requires' of the model file is not a list", name)
    unknown = [feature for feature in requires if feature not in READS_FEATURES]
    if int(major) > READS_MAJOR or unknown:
        msg = f"The model file needs format {declared}" + (f" with {unknown}" if unknown else "")
        raise _newer(msg, metadata, name, f"this version reads {READS_MAJOR}.x")


def _newer(what: str, metadata: Mapping[str, str], name: str, reads: str, *, others: str = "") -> ModelVersionError:
    where = f"{name}, written by {metadata.get('written_by', 'an unknown version')}; {reads}"
    return ModelVersionError(what, where=where, fix=f"`pip install -U histodecon`{others}", code="BI-77")


def read_fields(metadata: Mapping[str, str], name: str) -> dict[str, Any]:
    """Read the entries of a header, and refuse those that are not of their kind.

    Parameters
    ----------
    metadata
        Texts of the header.
    name
        Name of the file, for errors.

    Returns
    -------
    The entries; ``encoders`` as records, ``parts`` as written, ``built`` the unfitted learner.

    Raises
    ------
    IntegrityError
        An entry is missing or makes no sense.
    ModelVersionError
        The learner is not known here.
    """
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
    fields["parts"] = _loads(metadata.get("parts", "{}"), name)  # files of 1.0 have none
    fields["encoders"] = _records(fields["encoders"], name)
    if fields["commercial"] != all(record.commercial for record in fields["encoders"]):
        refuse("The model file says of commercial use what its encoders do not", name)
    fields["built"] = learner = _learner(fields, metadata, name)
    learner.blocks = tuple(record.width for record in fields["encoders"])
    learner.genes = _genes(fields["training"], name)
    return fields


def _genes(training: Mapping[str, Any], name: str) -> tuple[str, ...]:
    genes = training.get("genes", [])
    sound = isinstance(genes, list) and all(isinstance(gene, str) for gene in genes) and len(set(genes)) == len(genes)
    if not sound or len(genes) > MAX_GENES:
        refuse("The genes of the model file are not a list of different names", name)
    return tuple(genes)


def _learner(fields: Mapping[str, Any], metadata: Mapping[str, str], name: str) -> Learner:
    try:
        card = get_learner(fields["learner"])
    except InputError:
        known = f"this version knows {', '.join(list_learners().index)}"
        what = f"The model file needs the learner {fields['learner']!r}"
        raise _newer(what, metadata, name, known, others=", or import the package that registers it") from None
    try:
        return card.build(fields["params"])
    except (InputError, TypeError, ValueError, ArithmeticError) as error:
        refuse("The declared learner cannot be built", f"{name}: {error}")


def _records(values: list[Any], name: str) -> tuple[EncoderRecord, ...]:
    try:
        records = tuple(EncoderRecord.from_dict(value) for value in values)
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        refuse("The encoders of the model file cannot be read", f"{name}: {error!r}")
    if not records or any(not 0 < record.width <= 1_000_000 for record in records):
        refuse("The encoders of the model file have no width", name)
    return records


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
