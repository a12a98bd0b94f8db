"""Which spots stand around a spot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from histodecon._core._containers import coordinates, iter_libraries, slide_mpp
from histodecon._core._errors import ModelMismatchError
from histodecon._core._keys import Key

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

CONNECTIVITIES = "spatial_connectivities"
REACH = 1.5
SAME_PITCH = 1.3


def read_rings(
    adata: AnnData, n_rings: int, *, among: NDArray[np.bool_] | None = None, library_key: str = Key.obs.LIBRARY
) -> list[csr_matrix] | None:
    """Find the neighbors of every spot, never across slides.

    Parameters
    ----------
    adata
        ``obsp["spatial_connectivities"]`` (squidpy) says who is a neighbor; without it spots within 1.5 times the pitch of
        their slide are, which is the first ring of a hexagonal lattice and the eight around a spot of a square one.
    n_rings
        1 for neighbors; 2 also for the neighbors of neighbors that are not neighbors.
    among
        Spots that count as neighbors, shape (n_obs,); by default all.
    library_key
        Column of ``obs`` that tells slides apart.

    Returns
    -------
    One matrix of shape (n_obs, n_obs) a ring whose rows are means, or None for no rings.
    """
    if not n_rings:
        return None
    first = _first_ring(adata, library_key)
    rings = [first]
    seen = _with_self(first)
    while len(rings) < n_rings:
        reached = _with_self(((rings[-1] @ first) > 0).astype(np.float64))
        fresh = (reached - reached.multiply(seen)).tocsr()
        fresh.eliminate_zeros()
        seen = ((seen + fresh) > 0).astype(np.float64)
        rings.append(fresh)
    return [_means(ring if among is None else _only(ring, among)) for ring in rings]


def pitch_um(adata: AnnData, library_key: str = Key.obs.LIBRARY) -> float | None:
    """Measure how far apart neighboring spots are.

    Parameters
    ----------
    adata
        Where to look.
    library_key
        Column of ``obs`` that tells slides apart.

    Returns
    -------
    Median over slides of the median distance to the nearest spot, in µm; None where µm per pixel are unknown.
    """
    found = []
    xy = coordinates(adata)
    for library, rows in iter_libraries(adata, library_key):
        mpp = slide_mpp(adata, library)
        if mpp is not None and len(rows) > 1:
            found.append(_pitch(xy[rows]) * mpp)
    return float(np.median(found)) if found else None


def check_pitch(adata: AnnData, trained_um: float | None, library_key: str = Key.obs.LIBRARY) -> None:
    """Refuse spots whose neighbors are nearer or farther than in training.

    Parameters
    ----------
    adata
        What is to be predicted.
    trained_um
        Pitch of the training in µm, None where it is unknown.
    library_key
        Column of ``obs`` that tells slides apart.

    Raises
    ------
    ModelMismatchError
        Neighbors are more than 30 % nearer or farther.
    """
    own = pitch_um(adata, library_key) if trained_um else None
    if own and trained_um and not trained_um / SAME_PITCH <= own <= trained_um * SAME_PITCH:
        msg = "Neighboring spots are nearer or farther than those that the model was trained on"
        where = f"{own:.0f} µm here, {trained_um:.0f} µm in training"
        fix = f"`histodecon.pp.tile_grid(data, spacing_um={trained_um:.0f})`, or a learner that reads no neighbors"
        why = "the model reads the tissue at the places of the neighbors"
        raise ModelMismatchError(msg, where=where, why=why, fix=fix, code="BI-122")


def _first_ring(adata: AnnData, library_key: str) -> csr_matrix:
    from scipy.sparse import csr_matrix

    n = adata.n_obs
    slides = [rows for _, rows in iter_libraries(adata, library_key)]
    if CONNECTIVITIES in adata.obsp:
        slide = np.empty(n, dtype=np.intp)
        for i, rows in enumerate(slides):
            slide[rows] = i
        given = csr_matrix(adata.obsp[CONNECTIVITIES]).tocoo()
        kept = (given.data != 0) & (given.row != given.col) & (slide[given.row] == slide[given.col])
        return csr_matrix((np.ones(kept.sum()), (given.row[kept], given.col[kept])), shape=(n, n))
    xy = coordinates(adata)
    pairs = [_near(xy[rows], rows) for rows in slides]
    a, b = np.concatenate(pairs, axis=1)
    return csr_matrix((np.ones(2 * len(a)), (np.r_[a, b], np.r_[b, a])), shape=(n, n))


def _near(xy: NDArray[np.float64], rows: NDArray[np.intp]) -> NDArray[np.intp]:
    from scipy.spatial import cKDTree

    if len(xy) < 2:
        return np.empty((2, 0), dtype=np.intp)
    pairs = cKDTree(xy).query_pairs(REACH * _pitch(xy), output_type="ndarray")
    return rows[pairs].T.reshape(2, -1)


def _pitch(xy: NDArray[np.float64]) -> float:
    from scipy.spatial import cKDTree

    return float(np.median(cKDTree(xy).query(xy, k=2)[0][:, 1]))


def _with_self(ring: csr_matrix) -> csr_matrix:
    from scipy.sparse import identity

    return ((ring + identity(ring.shape[0], format="csr")) > 0).astype(np.float64).tocsr()


def _only(ring: csr_matrix, among: NDArray[np.bool_]) -> csr_matrix:
    """Drop neighbors that are not among some spots."""
    from scipy.sparse import diags

    kept = (ring @ diags(among.astype(np.float64))).tocsr()
    kept.eliminate_zeros()
    return kept


def _means(ring: csr_matrix) -> csr_matrix:
    from scipy.sparse import diags

    sums = np.asarray(ring.sum(axis=1)).ravel()
    return (diags(1.0 / np.maximum(sums, 1.0)) @ ring).tocsr()
