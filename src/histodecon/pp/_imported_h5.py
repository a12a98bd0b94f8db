"""Embeddings in the HDF5 files of TRIDENT, CLAM and HEST."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from histodecon._core import InputError, as_2d_float, first_names
from histodecon.pp._imported import Imported

VALUES = ("features", "embeddings")
BARCODES = ("barcodes", "barcode")


def read_h5(path: Path) -> Imported:
    """Read ``features`` or ``embeddings`` with ``coords``, and ``barcodes`` where there are some.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    What it holds. ``coords`` are upper-left corners at level 0, which is what all three tools write.

    Raises
    ------
    InputError
        It is laid out in another way.
    """
    import h5py

    with h5py.File(path, "r") as file:
        key = next((name for name in VALUES if name in file), None)
        if key is None:
            msg = f"{path.name} holds neither {' nor '.join(VALUES)}"
            fix = "hand in the file with the features of the tiles, not the one with their pictures or coordinates"
            raise InputError(msg, where=f"it holds {first_names(file, 8)}", fix=fix, code="BI-29")
        values = _without_batch(file[key][()], path.name)
        said = {name: _plain(value) for name, value in file[key].attrs.items()}
        points, attrs = None, {}
        if "coords" in file:
            points = np.asarray(file["coords"][()], dtype=np.float64)
            points = points[0] if points.ndim == 3 and points.shape[0] == 1 else points
            attrs = {name: _plain(value) for name, value in file["coords"].attrs.items()}
        named = next((name for name in BARCODES if name in file), None)
        barcodes = None if named is None else _texts(file[named][()])
    facts = _tiles(attrs)
    tool = "HEST" if key == "embeddings" else facts.pop("tool", None)
    encoder = said.get("encoder") or _encoder_of_folder(path)
    return Imported(
        values, path.name, tool=tool, encoder=encoder, barcodes=barcodes, points=points, corner=True, **facts
    )


def _without_batch(values: np.ndarray, name: str) -> np.ndarray:
    values = values[0] if values.ndim == 3 and values.shape[0] == 1 else values
    if values.ndim == 1:
        msg = f"{name} holds one vector of the whole slide"
        fix = "hand in the features of the tiles, which the tool writes to another folder"
        raise InputError(msg, where=f"shape {values.shape}", why="every spot needs its own", fix=fix, code="BI-48")
    return as_2d_float(values, name)


def _tiles(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """Size of the tiles from the attributes of ``coords``."""
    patch = attrs.get("patch_size")
    if patch is None:
        side = attrs.get("patch_size_level0")
        return {} if side is None else {"tool": "TRIDENT", "side_px": float(side)}
    magnification = attrs.get("target_magnification")
    recipe = {"tile_px": float(patch)}
    if magnification is not None:
        recipe["magnification"] = float(magnification)
    if "patch_size_level0" in attrs:
        side = float(attrs["patch_size_level0"])
    elif magnification is not None and "level0_magnification" in attrs:
        side = float(patch) * float(attrs["level0_magnification"]) / float(magnification)
    elif "downsample" in attrs:
        side = float(patch) * float(np.ravel(attrs["downsample"])[0])
    else:
        return {"recipe": recipe}
    tool = "TRIDENT" if magnification is not None or "patch_size_level0" in attrs else "CLAM"
    return {"tool": tool, "side_px": side, "shrink": side / float(patch), "recipe": recipe}


def _plain(value: Any) -> Any:
    """Turn bytes into text; TRIDENT writes None as a word."""
    value = value.decode() if isinstance(value, bytes) else value
    return None if isinstance(value, str) and value in {"", "None"} else value


def _texts(values: np.ndarray) -> pd.Index:
    flat = np.ravel(values).tolist()
    return pd.Index([item.decode() if isinstance(item, bytes) else str(item) for item in flat])


def _encoder_of_folder(path: Path) -> str | None:
    """TRIDENT writes into a folder that it names ``features_`` and the encoder."""
    folder = path.absolute().parent.name
    return folder.removeprefix("features_") if folder.startswith("features_") else None
