"""What stands around a spot: the mean embedding of its neighbors, ring by ring."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from histodecon._core import InputError

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


def checked_rings(neighbors: Sequence[csr_matrix] | None, n_rows: int, n_rings: int) -> list[csr_matrix]:
    """Refuse rings that are missing or of another shape.

    Parameters
    ----------
    neighbors
        One sparse matrix of shape (n, n) a ring; rows sum to 1, or to 0 where a row has no neighbor.
    n_rows
        Rows of the inputs.
    n_rings
        Rings that are read.

    Returns
    -------
    So many rings.

    Raises
    ------
    InputError
        Rings are missing or of another shape.
    """
    rings = list(neighbors or ())[:n_rings]
    if len(rings) < n_rings or any(ring.shape != (n_rows, n_rows) for ring in rings):
        msg = f"The learner reads {n_rings} ring(s) of neighbors of each of the {n_rows} rows"
        where = f"given: {[ring.shape for ring in rings] or 'none'}"
        fix = "`neighbors=`, one sparse matrix a ring; `histodecon.tl` finds them from the places of the spots"
        raise InputError(msg, where=where, fix=fix, code="BI-121")
    return rings


def widen(Z: NDArray[np.float64], rings: Sequence[csr_matrix]) -> NDArray[np.float64]:
    """Put the mean of the neighbors of each row beside it.

    Parameters
    ----------
    Z
        Standardized inputs, shape (n, d).
    rings
        As :func:`checked_rings` returns them.

    Returns
    -------
    Shape (n, (1 + rings) * d): the row, then the mean of each ring. A row without neighbors stands in for them.
    """
    if not rings:
        return Z
    blocks = [Z]
    for ring in rings:
        mean = np.asarray(ring @ Z)
        alone = np.diff(ring.indptr) == 0
        mean[alone] = Z[alone]
        blocks.append(mean)
    return np.concatenate(blocks, axis=1)
