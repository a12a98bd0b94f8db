"""Weight files: what they are, their digest, and reading them without running code."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from histodecon._core import IntegrityError, MissingKeyError, ModelMismatchError, UnsafeFileError
from histodecon._core._hub_download import name_what_it_is

if TYPE_CHECKING:
    import torch

TORCH_SUFFIXES = (".bin", ".pth", ".pt")
MAX_HEADER_BYTES = 100_000_000
_WRAPPERS = ("state_dict", "model")


def sha256_of(path: str | os.PathLike[str]) -> str:
    """Digest a weight file, after a look at what it is.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    64 hexadecimal digits.

    Raises
    ------
    MissingKeyError
        There is no such file.
    UnsafeFileError
        Its name ends as that of a pickle does.
    IntegrityError
        It is empty, a Git LFS pointer or a web page.
    """
    path = Path(path)
    _sniff(path)
    sha = hashlib.sha256()
    with path.open("rb") as handle:
        while block := handle.read(2**22):
            sha.update(block)
    return sha.hexdigest()


def read_state(path: str | os.PathLike[str], *, sha256: str | None = None) -> tuple[dict[str, torch.Tensor], str]:
    """Read the tensors of a weight file; no code in it runs.

    Parameters
    ----------
    path
        ``.safetensors``, or ``.bin``, ``.pth`` or ``.pt``, of which only tensors are read.
    sha256
        Digest that the file must have; compared before it is opened.

    Returns
    -------
    The tensors by name, and the digest.

    Raises
    ------
    MissingKeyError
        There is no such file.
    UnsafeFileError
        It is a pickle of more than tensors.
    IntegrityError
        It is damaged, or holds numbers that are not finite.
    ModelMismatchError
        It has another digest.
    """
    path = Path(path)
    found = sha256_of(path)
    if sha256 is not None and found != sha256:
        msg = f"{path.name} is not the weight file that the encoder declares"
        where = f"{path}: sha256 {found}, declared {sha256}"
        fix = "remove it and fetch it again, or make a card for it: `timm_card(..., weights=path)`"
        raise ModelMismatchError(msg, where=where, why="other weights give other numbers", fix=fix, code="BI-85")
    state = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    broken = [name for name, value in state.items() if value.is_floating_point() and not bool(value.isfinite().all())]
    if broken:
        _refuse(
            "Some weights are not finite",
            path,
            f"{len(broken)} of {len(state)} tensors: {', '.join(broken[:3])}",
            "BI-82",
        )
    return state, found


def _sniff(path: Path) -> None:
    if not path.is_file():
        msg = f"There is no weight file {path.name}"
        raise MissingKeyError(msg, where=str(path), fix="give the path of a .safetensors file", code="BI-29")
    if path.suffix not in {".safetensors", *TORCH_SUFFIXES}:
        msg = f"{path.name} is not opened as weights"
        why = "pickles and archives can run code when opened"
        raise UnsafeFileError(msg, where=f"its name ends in {path.suffix!r}", why=why, fix=_CONVERT, code="BI-83")
    with path.open("rb") as handle:
        head = handle.read(512)
    what = name_what_it_is(head)
    if what:
        _refuse(f"The weight file is {what}, not the weights", path, f"{path.stat().st_size} bytes", "BI-29")


_CONVERT = "convert it where you trust it: `safetensors.torch.save_file(model.state_dict(), 'weights.safetensors')`"


def _refuse(what: str, path: Path, where: str, code: str) -> NoReturn:
    why = "a damaged encoder gives numbers without meaning"
    raise IntegrityError(what, where=f"{path}: {where}", why=why, fix="fetch the file again", code=code)


def _read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(str(path))
    except (SafetensorError, ValueError, OSError) as error:
        where = f"{path.stat().st_size} bytes{_expected_size(path)}; {error}"
        _refuse("The weight file is damaged or cut off", path, where, "BI-79")


def _expected_size(path: Path) -> str:
    """Say what the header of a safetensors file promises, where it can still be read."""
    with path.open("rb") as handle:
        size = int.from_bytes(handle.read(8), "little")
        if not 0 < size <= MAX_HEADER_BYTES:
            return ""
        try:
            header = json.loads(handle.read(size))
            ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
            return ""
    return f" where {8 + size + max(ends, default=0)} are declared"


def _read_torch(path: Path) -> dict[str, torch.Tensor]:
    import torch

    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)  # noqa: TID251 tensors only, after the digest
    except pickle.UnpicklingError as error:
        blocked = [line.strip() for line in str(error).splitlines() if "GLOBAL" in line or "Can only" in line]
        if blocked:
            msg = f"{path.name} holds more than tensors"
            raise UnsafeFileError(
                msg, where=blocked[0], why="it could run code when opened", fix=_CONVERT, code="BI-83"
            ) from error
        _refuse("The weight file is damaged or cut off", path, type(error).__name__, "BI-79")
    except (RuntimeError, EOFError, OSError, ValueError, KeyError):
        _refuse("The weight file is damaged or cut off", path, f"{path.stat().st_size} bytes", "BI-79")
    for key in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not all(isinstance(value, torch.Tensor) for value in content.values()):
        _refuse("The weight file is no table of tensors", path, type(content).__name__, "BI-84")
    return {str(name): value for name, value in content.items()}


def load_strictly(
    model: torch.nn.Module, state: Mapping[str, torch.Tensor], *, dropped: tuple[str, ...], name: str, prefix: str = ""
) -> int:
    """Put weights into a model; every parameter must be in the file, and every tensor of the file in the model.

    Parameters
    ----------
    model
        The model.
    state
        Tensors by name.
    dropped
        Beginnings of names that the file may have and the model not.
    name
        Name of the encoder, for errors.
    prefix
        Beginning of the names that belong to the model; it is taken off, and tensors without it are left out.

    Returns
    -------
    Number of numbers loaded.

    Raises
    ------
    ModelMismatchError
        A tensor is missing, unknown, or of another shape.
    """
    own = model.state_dict()
    of_file, state = state, {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    used = {key: value for key, value in state.items() if key in own or not key.startswith(dropped or ("\0",))}
    faults = [f"{key} is missing" for key in own if key not in used]
    faults += [f"{key} is unknown" for key in used if key not in own]
    faults += [
        f"{key} has shape {tuple(value.shape)}, not {tuple(own[key].shape)}"
        for key, value in used.items()
        if key in own and value.shape != own[key].shape
    ]
    if faults:
        msg = f"The weights do not fit the encoder {name!r}"
        named = f" named {prefix}*, of {len(of_file)}" if prefix else ""
        where = f"{len(faults)} faults in {len(state)} tensors{named}: {'; '.join(faults[:3])}"
        why = "a model with some of its weights missing answers with noise"
        raise ModelMismatchError(
            msg, where=where, why=why, fix="check the model's name and `model_kwargs=`", code="BI-84"
        )
    model.load_state_dict(used, strict=True)
    return sum(value.numel() for value in used.values())
