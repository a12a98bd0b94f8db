"""The spots and the reference, told apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from histodecon._core import AlignmentError, InputError, MissingKeyError, closest_names, first_names

if TYPE_CHECKING:
    pass


def require_tables(adata: Any, reference: Any, labels_key: str | None) -> None:
    """Refuse a reference that is none, or one that changed places with the spots.

    Parameters
    ----------
    adata
        The spots.
    reference
        The cells.
    labels_key
        Column of ``reference.obs`` with their types.

    Raises
    ------
    InputError
        The reference is not an AnnData, or no column was named.
    AlignmentError
        The two changed places.
    MissingKeyError
        There is no such column.
    """
    if not hasattr(reference, "obs") or not hasattr(reference, "var_names"):
        msg = f"reference must be an AnnData of single cells, got {type(reference).__name__}"
        fix = "`histodecon.tl.deconvolve(adata, reference, labels_key=...)`, or hand in `signatures=`"
        raise InputError(msg, fix=fix, code="BI-35")
    if labels_key in reference.obs:
        return
    columns = [str(name) for name in reference.obs.columns]
    if labels_key is None:
        msg = "labels_key is missing"
        where = f"columns of reference.obs: {first_names(columns, 8)}"
        raise InputError(msg, where=where, fix=f'`labels_key="{(columns or ["cell_type"])[0]}"`', code="BI-37")
    if labels_key in adata.obs:
        msg = "adata and reference have changed places"
        where = f"obs[{labels_key!r}] is in what was given as the table of spots, not in the reference"
        fix = "`histodecon.tl.deconvolve(spots, reference, labels_key=...)`"
        raise AlignmentError(msg, where=where, fix=fix, code="BI-37")
    msg = f"The reference has no column {labels_key!r}"
    fix = closest_names(labels_key, columns) or "name one of these"
    raise MissingKeyError(msg, where=f"columns of reference.obs: {first_names(columns, 8)}", fix=fix, code="BI-37")
