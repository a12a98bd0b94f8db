"""A table cut into slides, with positions in µm."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from histodecon._core import (
    DroppedSpotsWarning,
    GeometryError,
    HistodeconWarning,
    InputError,
    NamingError,
    ResolutionError,
    coordinates,
    first_names,
    iter_libraries,
    safe_key,
    slide_mpp,
)

if TYPE_CHECKING:
    from anndata import AnnData

_MOST_OVERLAP = 0.1  # share of spots on a position that is taken, beyond which one table looks like several slides


@dataclass(frozen=True)
class Slide:
    """Spots of one slide that have a value.

    Parameters
    ----------
    library
        Name of the slide.
    values
        Shape (n, n_types), finite.
    um
        Positions, shape (n, 2), µm.
    mpp
        µm per full-resolution pixel.
    n_left_out
        Spots without a value.
    rows
        Rows of the table, shape (n,).
    """

    library: str
    values: np.ndarray
    um: np.ndarray
    mpp: float
    n_left_out: int
    rows: np.ndarray


def slides_of(
    adata: AnnData, table: pd.DataFrame, abundance: str, library_key: str, mpp: float | Mapping[str, float] | None
) -> list[Slide]:
    """Cut a table into slides whose distances mean something.

    Parameters
    ----------
    adata
        Holds coordinates, slides and what is known of pixel sizes.
    table
        Shape (n_obs, n_types).
    abundance
        Name of the table, for messages.
    library_key
        Column of ``obs`` that tells slides apart.
    mpp
        µm per pixel where the user says it.

    Returns
    -------
    One entry a slide, in order of first appearance.

    Raises
    ------
    InputError
        No spot has a value, or slides cannot be told apart.
    ResolutionError
        The size of a pixel is unknown.
    GeometryError
        All spots of a slide stand on one position.
    NamingError
        Two library ids would be stored under one key.
    """
    xy, values = coordinates(adata), table.to_numpy()
    finite = np.isfinite(values).all(axis=1)
    if not finite.any():
        msg = f"No spot has a value in obsm[{abundance!r}]"
        raise InputError(
            msg, where=f"0 of {adata.n_obs}", fix="run `histodecon.tl.predict_abundance(adata)`", code="BI-60"
        )
    libraries = list(iter_libraries(adata, library_key))
    _check_libraries([library for library, _ in libraries])
    slides = []
    for library, rows in libraries:
        own = rows[finite[rows]]
        scale = _mpp_of(adata, library, mpp)
        _check_positions(xy[own], library, told_apart=library_key in adata.obs)
        slides.append(Slide(library, values[own], xy[own] * scale, scale, len(rows) - len(own), own))
    left_out = int((~finite).sum())
    if left_out:
        warnings.warn(
            f"{left_out} of {adata.n_obs} spots have no value in obsm[{abundance!r}] and are left out: "
            f"{first_names(adata.obs_names[~finite])}",
            DroppedSpotsWarning,
            stacklevel=3,
        )
    return slides


def _check_libraries(libraries: list[str]) -> None:
    keys = [safe_key(library) for library in libraries]
    clash = [library for library, key in zip(libraries, keys, strict=True) if keys.count(key) > 1]
    if clash:
        msg = "Some library ids would be stored under one key"
        why = "characters outside letters, digits, '_', '.' and '-' are stored as '_'"
        raise NamingError(msg, where=first_names(clash), why=why, fix="rename one of them", code="BI-65")


def _mpp_of(adata: AnnData, library: str, mpp: float | Mapping[str, float] | None) -> float:
    given = mpp.get(library) if isinstance(mpp, Mapping) else mpp
    found = given if given is not None else slide_mpp(adata, library)
    if found is None:
        msg = f"The size of a pixel of slide {library!r} is unknown"
        raise ResolutionError(
            msg,
            where="neither `pp.tile_spots` nor a reader recorded mpp",
            why="distances are needed in µm",
            fix="`histodecon.tl.colocalization(adata, mpp=0.5)`, µm per full-resolution pixel",
            code="BI-14",
        )
    if not (np.isfinite(found) and found > 0):
        msg = f"mpp={found} of slide {library!r} is not a positive number"
        raise ResolutionError(msg, why="it is the size of a pixel in µm", fix="use `mpp=0.5`", code="BI-15")
    return float(found)


def _check_positions(xy: np.ndarray, library: str, *, told_apart: bool) -> None:
    distinct = len(np.unique(xy, axis=0))
    if len(xy) > 1 and distinct == 1:
        msg = f"All {len(xy)} spots of slide {library!r} stand on one position"
        raise GeometryError(msg, why="nothing is spatial then", fix='look at `adata.obsm["spatial"]`', code="BI-96")
    doubled = len(xy) - distinct
    if not told_apart and doubled > _MOST_OVERLAP * len(xy):
        msg = f"{doubled} of {len(xy)} spots share a position with another"
        raise InputError(
            msg,
            why="these look like several slides in one table, and distances between slides mean nothing",
            fix="name the column of `obs` that tells slides apart with `library_key=`",
            code="BI-36",
        )
    if doubled:
        warnings.warn(
            f"[HD-BI-97] Slide {library!r}: {doubled} of {len(xy)} spots share a position with another; both count.",
            HistodeconWarning,
            stacklevel=4,
        )
