"""The safetensors format, read with limits and written the same for the same content."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from histodecon._core._errors import IntegrityError, UnsafeFileError
from histodecon._core._tables import digest

MAX_HEADER_BYTES = 1_000_000
MAX_TENSORS = 10_000
DTYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F64": np.dtype("<f8")}
_NAMES = {dtype: name for name, dtype in DTYPES.items()}
UNSAFE_SUFFIXES = (".pt", ".pth", ".bin", ".pkl", ".pickle", ".joblib", ".ckpt", ".npy", ".npz")
_GET_AGAIN = "get the file again from where it came from, or train again"


def refuse(what: str, where: str) -> NoReturn:
    """Raise the error for a damaged file.

    Parameters
    ----------
    what
        What is wrong.
    where
        Name of the file and the finding.

    Raises
    ------
    IntegrityError
        Always.
    """
    raise IntegrityError(what, where=where, why="a damaged model predicts noise", fix=_GET_AGAIN, code="BI-79")


def refuse_unsafe(content: bytes, name: str) -> None:
    """Refuse files that could run code when opened, and what is no model at all, by their first bytes.

    Parameters
    ----------
    content
        The file.
    name
        Its name.

    Raises
    ------
    UnsafeFileError
        A pickle or an archive.
    IntegrityError
        A web page, a Git LFS pointer, or nothing.
    """
    pickle = content[:1] == b"\x80" and content[1:2] in {b"\x02", b"\x03", b"\x04", b"\x05"} and any(content[2:8])
    if name.lower().endswith(UNSAFE_SUFFIXES) or pickle or content.startswith((b"PK\x03\x04", b"\x93NUMPY")):
        msg = f"{name} is not opened: files of this kind can run code"
        raise UnsafeFileError(
            msg,
            where=f"it begins with {content[:8]!r}",
            why="a pickled model is a program of whoever made it",
            fix="save it with `.save('model.safetensors')` where you trust it",
            code="BI-83",
        )
    if not content:
        refuse("The model file is empty", f"{name}, 0 bytes")
    if content.startswith(b"version https://git-lfs"):
        refuse("The model file is a Git LFS pointer, not the model", f"{name}, {len(content)} bytes")
    if content.lstrip()[:1] == b"<":
        refuse("The model file is a web page", f"{name}, {len(content)} bytes")


def payload_digest(metadata: Mapping[str, str], tensors: Mapping[str, NDArray]) -> str:
    """Digest what a file says and holds.

    Parameters
    ----------
    metadata
        Texts of its header; ``payload_sha256`` takes no part.
    tensors
        Its tensors.

    Returns
    -------
    64 hexadecimal digits.
    """
    parts: list[object] = [f"{key}={metadata[key]}" for key in sorted(metadata) if key != "payload_sha256"]
    for key in sorted(tensors):
        parts += [key, np.ascontiguousarray(tensors[key])]
    return digest(*parts)


def pack(tensors: Mapping[str, NDArray], metadata: Mapping[str, str]) -> bytes:
    """Write tensors and metadata; equal content gives equal bytes.

    Parameters
    ----------
    tensors
        float32 or float64 arrays.
    metadata
        Texts.

    Returns
    -------
    The file.
    """
    header: dict[str, Any] = {"__metadata__": dict(sorted(metadata.items()))}
    blocks, offset = [], 0
    for name in sorted(tensors):
        array = np.ascontiguousarray(tensors[name])
        array = array.astype(array.dtype.newbyteorder("<"), copy=False)
        blocks.append(array.tobytes())
        span = [offset, offset + array.nbytes]
        header[name] = {"dtype": _NAMES[array.dtype], "shape": list(array.shape), "data_offsets": span}
        offset = span[1]
    text = json.dumps(header, ensure_ascii=True, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + b"".join(blocks)


def read_header(content: bytes, name: str) -> tuple[dict[str, str], dict[str, dict[str, Any]], int]:
    """Read the header within limits.

    Parameters
    ----------
    content
        The file.
    name
        Its name, for errors.

    Returns
    -------
    Metadata, tensor entries (``dtype``, ``shape``, ``data_offsets``), and where the data begins.

    Raises
    ------
    IntegrityError
        The header is cut off, too large, or not what the format asks for.
    """
    size = int.from_bytes(content[:8], "little") if len(content) >= 8 else -1
    if not 0 < size <= MAX_HEADER_BYTES:
        refuse("The file is not a safetensors file", f"{name}, {len(content)} bytes, begins with {content[:8]!r}")
    if 8 + size > len(content):
        refuse("The model file is cut off", f"{name}: {len(content)} bytes, the header alone needs {8 + size}")
    try:
        header = json.loads(content[8 : 8 + size].decode("utf-8"))
    except (ValueError, RecursionError) as error:
        refuse("The header of the model file cannot be read", f"{name}: {type(error).__name__}")
    if not isinstance(header, dict) or len(header) > MAX_TENSORS + 1:
        refuse("The header of the model file is not a table of tensors", name)
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        refuse("The header of the model file holds something other than texts", name)
    return metadata, header, 8 + size


def read_tensors(
    content: bytes,
    entries: Mapping[str, Any],
    start: int,
    expected: Mapping[str, tuple[str, tuple[int, ...]]],
    name: str,
) -> dict[str, NDArray]:
    """Read the tensors that are expected, and no others.

    Parameters
    ----------
    content
        The file.
    entries
        Tensor entries of the header.
    start
        Where the data begins.
    expected
        dtype name and shape of every tensor, as the declared architecture has them.
    name
        Name of the file, for errors.

    Returns
    -------
    The arrays, copies.

    Raises
    ------
    IntegrityError
        A tensor is missing, too many, or of another shape; the file is cut off or has more bytes than declared.
    """
    if set(entries) != set(expected):
        odd = sorted(set(entries) ^ set(expected))[:3]
        refuse("The tensors are not those of the declared model", f"{name}: {', '.join(odd)}")
    arrays: dict[str, NDArray] = {}
    offset = 0
    for key in sorted(entries):
        dtype, shape = expected[key]
        wanted = {"dtype": dtype, "shape": list(shape)}
        size = int(np.prod(shape, dtype=object)) * DTYPES[dtype].itemsize
        if entries[key] != {**wanted, "data_offsets": [offset, offset + size]}:
            refuse("A tensor is not as the declared model has it", f"{name}: {key!r} should be {wanted}")
        offset += size
    if start + offset != len(content):
        refuse(
            "The model file has another size than declared", f"{name}: {len(content)} bytes, {start + offset} declared"
        )
    for key, entry in entries.items():
        dtype_of, (begin, end) = DTYPES[entry["dtype"]], entry["data_offsets"]
        block = np.frombuffer(content, dtype_of, count=(end - begin) // dtype_of.itemsize, offset=start + begin)
        arrays[key] = block.reshape(entry["shape"]).astype(dtype_of.newbyteorder("="), copy=True)
    return arrays
