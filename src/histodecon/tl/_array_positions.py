"""Spots on the lattice they were printed on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from histodecon import stats
from histodecon._core import GeometryError, first_names, obs_column

if TYPE_CHECKING:
    from anndata import AnnData

ROW, COLUMN = "array_row", "array_col"
_FAR = 0.25  # of the pitch: a spot farther off its site than this does not stand on it
_SKEW = 0.02  # cosine of the angle between rows and columns


def array_positions(adata: AnnData, rows: np.ndarray, um: np.ndarray, library: str) -> np.ndarray:
    """Ideal positions of spots from their rows and columns, for slides whose registered positions are a little off.

    Parameters
    ----------
    adata
        Table with ``obs["array_row"]`` and ``obs["array_col"]``.
    rows
        Rows of the table.
    um
        Their positions, shape (n, 2), µm.
    library
        Name of the slide, for messages.

    Returns
    -------
    Positions on a lattice along the axes, shape (n, 2), µm. Distances are those of the slide.

    Raises
    ------
    MissingKeyError
        A column is absent.
    GeometryError
        Rows and columns do not explain the positions.
    """
    raw = [np.asarray(obs_column(adata, name))[rows] for name in (COLUMN, ROW)]
    index = np.column_stack([np.array(values, dtype=object).astype(float) for values in raw])
    where = f"slide {library!r}"
    fix = '`positions="spatial"` takes the positions as they are'
    if not np.isfinite(index).all() or (len(index) > 2 and np.linalg.matrix_rank(index - index.mean(axis=0)) < 2):
        msg = f"obs[{ROW!r}] and obs[{COLUMN!r}] are no lattice"
        raise GeometryError(msg, where=where, why="values are missing, or all on one line", fix=fix, code="BI-96")
    design = np.column_stack([index, np.ones(len(index))])
    steps = np.linalg.lstsq(design, um, rcond=None)[0]
    off = np.hypot(*(um - design @ steps).T)
    pitch = stats.nearest_neighbor_pitch(um)
    far = off > _FAR * pitch
    if far.any():
        msg = f"{int(far.sum())} of {len(um)} spots stand more than {_FAR:g} pitches off their site"
        named = f"{where}: {first_names(adata.obs_names[rows[far]])}; farthest {off.max():.1f} µm, pitch {pitch:.1f} µm"
        why = "rows and columns would give other distances than the slide has"
        raise GeometryError(msg, where=named, why=why, fix=fix, code="BI-96")
    across, down = steps[0], steps[1]
    if abs(across @ down) > _SKEW * np.linalg.norm(across) * np.linalg.norm(down):
        msg = "Rows and columns are not at a right angle"
        raise GeometryError(msg, where=where, why="no rectangular lattice has these distances", fix=fix, code="BI-96")
    return index * [np.linalg.norm(across), np.linalg.norm(down)]
