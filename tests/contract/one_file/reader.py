"""A slide that some tool left as one npz file: counts, genes, barcodes, x, y, image and µm per pixel."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

from histodecon._core import AlignmentError
from histodecon.io._assemble import Section, assemble

if TYPE_CHECKING:
    from spatialdata import SpatialData


def read_npz(path: str | os.PathLike[str], *, library_id: str) -> SpatialData:
    """Read the file, check it, and hand one section a slide to ``assemble``, which makes everything that later steps rely on."""
    with np.load(path, allow_pickle=False) as file:
        found = {name: file[name] for name in file.files}
    if len(found["barcodes"]) != len(found["counts"]):
        msg = "Counts and barcodes do not match"
        raise AlignmentError(msg, where=f"{len(found['counts'])} rows, {len(found['barcodes'])} barcodes")
    section = Section(
        library_id=library_id,
        image=found["image"],
        counts=sp.csr_matrix(found["counts"]),
        obs_names=found["barcodes"].tolist(),
        var_names=found["genes"].tolist(),
        xy=np.stack([found["x"], found["y"]], axis=1).astype(float),
        mpp=float(found["mpp"]),
        mpp_source="the file",
        spot_diameter_um=55.0,
    )
    return assemble([section])
