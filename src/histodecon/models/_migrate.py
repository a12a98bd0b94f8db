"""Model files of older formats, written anew."""

from __future__ import annotations

import os
from pathlib import Path

from histodecon._core import ModelVersionError
from histodecon.models._model_file import read, read_metadata, write
from histodecon.models._model_header import FORMAT_VERSION


def migrate(path: str | os.PathLike[str], *, to: str | os.PathLike[str] | None = None) -> Path:
    """Write a model file of an older format in the newest one.

    Older files are read for good; there is no need to migrate them but for readers other than histodecon.

    Parameters
    ----------
    path
        The file.
    to
        Where to write; by default the file itself, which is replaced whole or not at all.

    Returns
    -------
    Path of the file in the newest format. One that is in it already is not written, unless it shall stand elsewhere.

    Raises
    ------
    StoreError
        The file cannot be read or written.
    IntegrityError, ModelVersionError, UnsafeFileError
        The file is damaged, of a newer format, or one that could run code.

    Notes
    -----
    The model stays the same: it predicts the same numbers to the last bit.

    Examples
    --------
    >>> import numpy as np, tempfile, pathlib
    >>> from histodecon.models import AbundanceRegressor, migrate
    >>> model = AbundanceRegressor("mean").fit(np.eye(3), np.ones((3, 2)))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = model.save(pathlib.Path(folder) / "model.safetensors")
    ...     migrate(path).name
    'model.safetensors'
    """
    source, target = Path(path), Path(path if to is None else to)
    metadata = read_metadata(source)
    ours, theirs = _minor(FORMAT_VERSION), _minor(metadata["format_version"])
    if theirs > ours:
        msg = f"The model file is of format {metadata['format_version']}, which is newer than {FORMAT_VERSION}"
        where = f"{source.name}, written by {metadata.get('written_by', 'an unknown version')}"
        why = "what this version does not know would be lost"
        raise ModelVersionError(msg, where=where, why=why, fix="`pip install -U histodecon`", code="BI-77")
    model = read(source)
    if theirs == ours and target == source:
        return source
    return write(model, target)


def _minor(version: str) -> int:
    number = version.partition(".")[2].partition(".")[0]
    return int(number) if number.isdecimal() and len(number) < 5 else 0
