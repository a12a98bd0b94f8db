"""Mean cell types of regions, patients or other groups of spots."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from histodecon._core import Key, MissingKeyError, doc, first_names, read_table, table_kind, table_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from anndata import AnnData


@doc
def composition(
    adata: AnnData,
    groupby: str | Sequence[str] = Key.obs.ANNOTATION,
    *,
    abundance: str = Key.obsm.PREDICTED,
) -> pd.DataFrame:
    """Summarize the cell types of groups of spots, such as annotated regions.

    Parameters
    ----------
    %(adata)s
    groupby
        Column or columns of ``obs``.
    abundance
        Key of ``obsm``.

    Returns
    -------
    One row a group and cell type: the columns of ``groupby``, ``cell_type``, ``n_spots`` (spots with values), ``mean`` and ``sd`` (over
    spots, unit of the table), ``share`` (of the group's total, sums to 1 over cell types; NaN where there are no cells).

    Raises
    ------
    MissingKeyError
        A column or the table is absent.

    Notes
    -----
    Spots without values or without a group take no part. Overlapping tiles share tissue: do not read ``sd / sqrt(n_spots)``
    as a standard error.

    Examples
    --------
    >>> import histodecon as hd
    >>> adata = hd.datasets.toy_slide(n_patients=2)["table"]
    >>> hd.tl.set_targets(adata, "true_abundance")
    >>> table = hd.get.composition(adata, "patient", abundance="cell_abundance")
    >>> float(table.groupby("patient", observed=True)["share"].sum().round(6).iloc[0])
    1.0
    """
    import pandas as pd

    adata = table_of(adata)
    columns = [groupby] if isinstance(groupby, str) else list(groupby)
    absent = [name for name in columns if name not in adata.obs]
    if absent:
        msg = f"obs has no column {absent[0]!r}"
        where = f"columns: {first_names(list(map(str, adata.obs.columns)), 8)}"
        raise MissingKeyError(msg, where=where, fix="`histodecon.pp.assign_regions(adata, regions)`", code="BI-37")
    table = read_table(adata, abundance)
    table_kind(adata, abundance)
    kept = (table.notna().all(axis=1) & adata.obs[columns].notna().all(axis=1)).to_numpy()
    groups = [adata.obs[name][kept].astype(object) for name in columns]
    grouped = table[kept].groupby(groups, sort=True)
    mean, sd, n = grouped.mean(), grouped.std(ddof=1), grouped.size()
    total = mean.sum(axis=1).replace(0, np.nan)
    parts = {
        "mean": mean.stack(future_stack=True),
        "sd": sd.stack(future_stack=True),
        "share": mean.div(total, axis=0).stack(future_stack=True),
    }
    out = pd.DataFrame(parts).rename_axis([*columns, "cell_type"]).reset_index()
    out.insert(len(columns) + 1, "n_spots", np.repeat(n.to_numpy(), table.shape[1]))
    return out
