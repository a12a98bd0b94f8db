"""Where results go when a table is not what it seems: a view, or one that lives in a file."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from histodecon._core._errors import HistodeconWarning

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
