"""Weights that are on this machine already: a file, or a folder that holds one."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from histodecon._core import MissingKeyError, first_names
from histodecon.encoders._card import EncoderCard

FILES = ("model.safetensors", "pytorch_model.bin")
SUFFIXES = ((".safetensors",), (".bin", ".pth", ".pt"))
_COMMIT = re.compile(r"[0-9a-f]{40}")


def local_weights(card: EncoderCard, weights: str | os.PathLike[str]) -> tuple[Path, str | None]:
    """Find the weight file of an encoder below a path.

    Parameters
    ----------
    card
        Its card.
    weights
        The file itself; or a folder with the file, one that ``hf download --local-dir`` made, or a cache of the Hub.

    Returns
    -------
    Path of the file, and the commit it belongs to where the folder tells.

    Raises
    ------
    MissingKeyError
        The folder holds none, or several and none has the name that the card gives.
    """
    path = Path(weights)
    if not path.is_dir():
        return path, None
    names = FILES if card.weights_file is None else (card.weights_file, PurePosixPath(card.weights_file).name)
    for folder in _folders(card, path):
        for name in names:
            if (folder / name).is_file():
                return folder / name, _commit_of(folder, name)
    for suffixes in SUFFIXES:
        found = sorted(file for file in path.iterdir() if file.suffix in suffixes)
        if len(found) == 1:
            return found[0], _commit_of(path, found[0].name)
        if found:
            raise _unclear(card, path, names, f"{len(found)} could be meant: {first_names(f.name for f in found)}")
    raise _unclear(card, path, names, f"it holds {first_names(sorted(file.name for file in path.iterdir()))}")


def _folders(card: EncoderCard, path: Path) -> Iterator[Path]:
    """Yield the folder itself, and those of the revision where it is a cache of the Hub, of one repository or of all."""
    yield path
    if card.repo is None:
        return
    own = "models--" + card.repo.replace("/", "--")
    for cache in (path, path / own, path / "hub" / own):
        branch = cache / "refs" / (card.revision or "main")
        commit = branch.read_text().strip() if branch.is_file() else card.revision
        if commit is not None and _COMMIT.fullmatch(commit):
            yield cache / "snapshots" / commit


def _commit_of(folder: Path, name: str) -> str | None:
    """Commit of a file: the name of its snapshot, or what ``hf download --local-dir`` noted beside it."""
    if folder.parent.name == "snapshots":
        return folder.name
    note = folder / ".cache" / "huggingface" / "download" / f"{name}.metadata"
    lines = note.read_text().splitlines() if note.is_file() else []
    return lines[0] if lines and _COMMIT.fullmatch(lines[0]) else None


def _unclear(card: EncoderCard, path: Path, names: tuple[str, ...], where: str) -> MissingKeyError:
    msg = f"It is not clear which file of {path.name} holds the weights of {card.name!r}"
    where = f"{path}: looked for {' and '.join(dict.fromkeys(names))}; {where}"
    return MissingKeyError(msg, where=where, fix="name the file: `weights='folder/model.safetensors'`", code="BI-29")
