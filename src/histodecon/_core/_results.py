"""Tables that are not what they seem: a view, one that lives in a file, one that was edited or lost parts."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from histodecon._core._errors import HistodeconWarning, IncompleteStoreError, first_names

if TYPE_CHECKING:
    from anndata import AnnData


def note_where_results_go(adata: AnnData) -> None:
    """Tell a user who writes into a view or a backed table where the result will be; called before anything is written.

    Parameters
    ----------
    adata
        The table that is about to change.

    Warns
    -----
    HistodeconWarning
        It is a view: it becomes a table of its own and its parent does not change. Or it is backed: the file does not change.
    """
    if getattr(adata, "is_view", False):
        text = (
            "[HD-BI-34] The table is a view of another one: results are written to a copy of these rows, the parent does "
            "not change. `adata = adata[...].copy()` beforehand says so in your code."
        )
        warnings.warn(text, HistodeconWarning, stacklevel=4)
    elif getattr(adata, "isbacked", False):
        text = (
            "[HD-BI-33] The table is backed by a file: results live in memory and the file does not change. "
            "`adata.to_memory().write_h5ad(path)` keeps them."
        )
        warnings.warn(text, HistodeconWarning, stacklevel=4)


def note_zeros_or_edits(adata: AnnData, key: str, changes: tuple[np.ndarray, np.ndarray], writer: str) -> None:
    """Refuse a table that lost parts of what was written, and tell of one that was edited.

    Parameters
    ----------
    adata
        The table that holds it.
    key
        Its key in ``obsm``.
    changes
        Positions of the rows that are not what was written, and whether each holds more zeros.
    writer
        Public name of the function that writes it.

    Raises
    ------
    IncompleteStoreError
        Every changed row holds more zeros, as the parts do that a zarr store has lost.

    Warns
    -----
    HistodeconWarning
        Rows were changed in another way.
    """
    changed, emptied = changes
    if not len(changed):
        return
    where = f"{len(changed)} of {adata.n_obs} spots: {first_names(adata.obs_names[changed])}"
    if emptied.all():
        msg = f"obsm[{key!r}] holds zeros where none were written"
        raise IncompleteStoreError(
            msg,
            where=where,
            why="parts of a zarr store that are lost are read as zeros",
            fix=f"read a whole copy; or, if the zeros are meant, hand the values to `{writer}` again",
            code="FI-05",
        )
    text = f"[HD-BI-90] obsm[{key!r}] was edited since it was written: {where}. What is recorded about it may no longer hold."
    warnings.warn(text, HistodeconWarning, stacklevel=4)
