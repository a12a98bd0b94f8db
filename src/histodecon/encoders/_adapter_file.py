"""The file of an adapter: one safetensors file that says in words what it is."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from histodecon._core import HistodeconError, InputError, ModelVersionError, StoreError, write_atomic
from histodecon._core._safetensors import pack, payload_digest, read_header, read_tensors, refuse, refuse_unsafe
from histodecon.encoders._adapters import get_adapter

if TYPE_CHECKING:
    from histodecon.encoders._embedding_adapter import EmbeddingAdapter

FORMAT, VERSION = "histodecon-adapter", 1
SUFFIX = ".safetensors"
MAX_FILE_BYTES = 1_000_000_000
_FACTS = {
    "params": dict,
    "n_genes": int,
    "random_state": int,
    "genes": list,
    "groups": list,
    "history": dict,
    "source": dict,
}


def dump(adapter: EmbeddingAdapter) -> bytes:
    """Write a fitted adapter.

    Parameters
    ----------
    adapter
        The adapter.

    Returns
    -------
    The file.
    """
    if not hasattr(adapter, "adapter_"):
        msg = "This adapter is not fitted"
        raise InputError(msg, fix="`adapter.fit(X, counts)`", code="BI-87")
    facts = {
        "params": dict(adapter.params or {}),
        "n_genes": int(adapter.n_genes),
        "random_state": int(adapter.random_state),
        "genes": adapter.genes_,
        "groups": adapter.groups_,
        "history": adapter.history_,
        "source": adapter.source_,
    }
    tensors = {"center": adapter.center_, "scale": adapter.scale_}
    tensors |= {f"adapter.{name}": array for name, array in adapter.adapter_.arrays().items()}
    metadata = {
        "format": FORMAT,
        "format_version": str(VERSION),
        "method": adapter.method,
        "width": str(adapter.n_features_in_),
        "facts": json.dumps(facts, sort_keys=True),
    }
    metadata["payload_sha256"] = payload_digest(metadata, tensors)
    return pack(tensors, metadata)


def write(adapter: EmbeddingAdapter, path: str | os.PathLike[str]) -> Path:
    """Write a fitted adapter to a file.

    Parameters
    ----------
    adapter
        The adapter.
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
        msg = f"The file of an adapter ends in {SUFFIX}, got {Path(path).name!r}"
        raise InputError(msg, fix=f"`adapter.save('{Path(path).stem}{SUFFIX}')`", code="BI-83")
    return write_atomic(path, dump(adapter))


def read(path: str | os.PathLike[str]) -> EmbeddingAdapter:
    """Read an adapter from a file.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    The adapter.

    Raises
    ------
    StoreError
        The file cannot be read.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            refuse("The file is too large to be an adapter", f"{path.name}, {path.stat().st_size} bytes")
        content = path.read_bytes()
    except OSError as error:
        msg = f"The file {path.name} cannot be read"
        raise StoreError(msg, where=f"{path}: {error.strerror}", fix="check the path", code="FI-06") from error
    return parse(content, path.name)


def parse(content: bytes, name: str) -> EmbeddingAdapter:
    """Read an adapter from bytes: first bytes, header, version, declared shapes, digest, finiteness, in this order.

    Parameters
    ----------
    content
        The file.
    name
        Its name, for errors.

    Returns
    -------
    The adapter.
    """
    from histodecon.encoders._embedding_adapter import EmbeddingAdapter

    refuse_unsafe(content, name)
    metadata, entries, start = read_header(content, name)
    _check_version(metadata, name)
    facts, width = _facts(metadata, name)
    try:
        built = get_adapter(metadata["method"]).build(facts["params"])
    except HistodeconError as error:
        refuse("The file names an adapter or parameters that this version does not know", f"{name}: {error}")
    expected: dict[str, tuple[str, tuple[int, ...]]] = dict.fromkeys(("center", "scale"), ("F64", (width,)))
    expected |= {f"adapter.{key}": ("F32", shape) for key, shape in built.shapes(width).items()}
    tensors = read_tensors(content, entries, start, expected, name)
    if payload_digest(metadata, tensors) != metadata.get("payload_sha256"):
        refuse("The content of the file is not what was written", f"{name}: its sha256 differs")
    bad = [key for key, array in tensors.items() if not np.isfinite(array).all()]
    if bad or not (tensors["scale"] > 0).all():
        refuse("The adapter holds values that cannot be", f"{name}: {', '.join(bad[:3]) or 'scale'}")
    adapter = EmbeddingAdapter(
        metadata["method"], params=facts["params"] or None, n_genes=facts["n_genes"], random_state=facts["random_state"]
    )
    adapter.center_, adapter.scale_ = tensors["center"], tensors["scale"]
    arrays = {key.removeprefix("adapter."): value for key, value in tensors.items() if key.startswith("adapter.")}
    adapter.adapter_ = built.restore(arrays)
    built.history_ = adapter.history_ = facts["history"]
    adapter.source_, adapter.genes_, adapter.groups_ = facts["source"], facts["genes"], facts["groups"]
    adapter.n_features_in_ = width
    return adapter


def _check_version(metadata: dict[str, str], name: str) -> None:
    if metadata.get("format") != FORMAT:
        refuse("The file does not hold an adapter", f"{name}: format {metadata.get('format', 'unknown')!r}")
    found = metadata.get("format_version", "")
    if not found.isdigit() or int(found) < 1:
        refuse("The version of the file cannot be read", f"{name}: {found!r}")
    if int(found) > VERSION:
        msg = f"{name} was written by a newer histodecon"
        raise ModelVersionError(msg, where=f"format {found}, this one reads {VERSION}", fix="upgrade", code="BI-77")


def _facts(metadata: dict[str, str], name: str) -> tuple[dict[str, Any], int]:
    try:
        facts, width = json.loads(metadata["facts"]), int(metadata["width"])
    except (KeyError, ValueError, RecursionError) as error:
        refuse("The header of the adapter cannot be read", f"{name}: {type(error).__name__}")
    complete = isinstance(facts, dict) and all(isinstance(facts.get(key), kind) for key, kind in _FACTS.items())
    if not complete or width < 1 or "method" not in metadata:
        refuse("The header of the adapter is not complete", name)
    epochs, source = facts["history"].get("trained_epochs"), facts["source"]
    if not isinstance(epochs, int) or not all(isinstance(source.get(key), str) for key in ("encoder", "fingerprint")):
        refuse("The header of the adapter is not complete", name)
    return facts, width
