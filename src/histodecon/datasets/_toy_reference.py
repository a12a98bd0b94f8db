"""Drawn single cells that fit the drawn slides."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from histodecon._core import InputError, doc

if TYPE_CHECKING:
    from anndata import AnnData

DEPTH = 4.0


@doc
def toy_reference(*, n_cells: int = 300, random_state: int = 0) -> AnnData:
    """Draw single cells of the types of :func:`toy_slide`, a reference to deconvolve its spots with.

    Parameters
    ----------
    n_cells
        Number of cells, dealt to the six types in turn.
    %(random_state)s

    Returns
    -------
    AnnData, cells × 60 genes: ``X`` are counts, whole numbers, sparse; column ``cell_type`` of ``obs`` is the type.

    Raises
    ------
    InputError
        There would be fewer than two cells of a type.

    Notes
    -----
    Counts are negative binomial around the signatures that also draw the counts of a slide, four times as deep, as single
    cells are counted better than spots; depth differs between cells by 30 %%.

    Examples
    --------
    >>> import histodecon as hd
    >>> reference = hd.datasets.toy_reference(n_cells=120)
    >>> reference.shape
    (120, 60)
    """
    from anndata import AnnData
    from scipy import sparse

    from histodecon.datasets._toy_counts import signatures

    table = signatures()
    if n_cells < 2 * table.shape[1]:
        msg = f"n_cells={n_cells} are fewer than two of each type"
        raise InputError(msg, fix="`toy_reference()`", code="BI-31")
    rng = np.random.default_rng([random_state, 7])
    kinds = np.arange(n_cells) % table.shape[1]
    depth = DEPTH * rng.gamma(11.0, 1 / 11.0, (n_cells, 1))
    mean = table.to_numpy().T[kinds] * depth * rng.gamma(5.0, 1 / 5.0, (n_cells, len(table)))
    names = [f"cell_{i}" for i in range(n_cells)]
    obs = pd.DataFrame({"cell_type": pd.Categorical(np.asarray(table.columns)[kinds])}, index=names)
    counts = sparse.csr_matrix(rng.poisson(mean).astype(np.int32))
    return AnnData(counts, obs=obs, var=pd.DataFrame(index=list(table.index)))
