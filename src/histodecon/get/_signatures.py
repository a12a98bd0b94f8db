"""Signatures that an earlier deconvolution estimated."""

from __future__ import annotations

import pandas as pd

from histodecon._core import Key, MissingKeyError, doc, first_names, table_of, uns_branch


@doc
def signatures(data: object, key: str = Key.obsm.TARGETS) -> pd.DataFrame:
    """Read the signatures that :func:`histodecon.tl.deconvolve` left in a table, under the real names of cell types.

    Parameters
    ----------
    %(data)s
    key
        The ``key_added`` of that run.

    Returns
    -------
    Mean counts of one cell of each type, genes × cell types, float64; only genes that were used.

    Raises
    ------
    MissingKeyError
        No run left any there.

    Examples
    --------
    >>> import histodecon as hd
    >>> adata = hd.datasets.toy_slide()["table"]
    >>> reference = hd.datasets.toy_reference()
    >>> hd.tl.deconvolve(adata, reference, labels_key="cell_type", method="nnls")
    >>> signatures = hd.get.signatures(adata)
    >>> other = hd.datasets.toy_slide(random_state=1)["table"]
    >>> hd.tl.deconvolve(other, signatures=signatures, method="nnls")
    """
    adata = table_of(data)
    slot = f"{key}{Key.varm.SIGNATURES}"
    runs = uns_branch(adata, Key.uns.DECONVOLUTION)
    if key not in runs or slot not in adata.varm:
        present = [name for name in runs if f"{name}{Key.varm.SIGNATURES}" in adata.varm]
        msg = f"No signatures are kept for {key!r}"
        fix = '`histodecon.tl.deconvolve(adata, reference, labels_key=..., method="cell2location")`'
        raise MissingKeyError(msg, where=f"kept: {first_names(present)}", fix=fix, code="BI-87")
    table: pd.DataFrame = adata.varm[slot].dropna(how="all")
    return table.set_axis([str(name) for name in runs[key]["cell_types"]], axis=1)
