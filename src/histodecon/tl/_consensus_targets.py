"""What several deconvolutions agree on, and how far they disagree."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from histodecon._core import (
    DroppedSpotsWarning,
    InputError,
    Key,
    doc,
    first_names,
    read_table,
    require_spots,
    safe_columns,
    table_kind,
    table_of,
)
from histodecon.tl._checks import require_safe_key
from histodecon.tl._companions import require_same_types, write_with_companions

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray


@doc
def consensus_targets(
    adata: AnnData, keys: Sequence[str], *, key_added: str = Key.obsm.CONSENSUS, copy: bool = False
) -> AnnData | None:
    """Average several deconvolutions of the same spots; their disagreement becomes the standard deviation.

    Parameters
    ----------
    %(adata)s
    keys
        Two or more keys of ``obsm`` with tables of one kind and of the same cell types.
    %(key_added)s
    %(copy)s

    Returns
    -------
    None, or the copy.

    Raises
    ------
    MissingKeyError
        A table is absent.
    InputError
        Fewer than two keys, abundances beside proportions, or no spot that all tables have.
    AlignmentError
        The tables name different cell types.

    Warns
    -----
    DroppedSpotsWarning
        Some spots lack a value in one of the tables; they are NaN.

    Notes
    -----
    Writes ``obsm[key_added]``, the mean, and ``obsm[f"{key_added}_sd"]``, the standard deviation over the tables (n - 1 below
    the fraction line), which ``train_regressor(..., weights="posterior")`` takes. The record in
    ``uns["histodecon"]["tables"]`` has ``keys`` and ``scales``.

    Methods differ in how many cells they put into a spot. Abundances are first multiplied by one number a table, so that all
    have the same mean number of cells in a spot, that of their average. Proportions are taken as they are.

    The disagreement of two or three methods is a rough estimate, and where all of them err alike it is too small.

    Examples
    --------
    >>> import histodecon as hd
    >>> adata = hd.datasets.toy_slide()["table"]
    >>> hd.tl.set_targets(adata, "true_abundance", key_added="one")
    >>> hd.tl.set_targets(adata, hd.get.abundance(adata, layers={"one": "one"}).to_df() * 2 + 1, key_added="other")
    >>> hd.tl.consensus_targets(adata, ["one", "other"])
    >>> sorted(key for key in adata.obsm if key.startswith("consensus"))
    ['consensus_abundance', 'consensus_abundance_sd']
    """
    adata = table_of(adata)
    require_spots(adata)
    require_safe_key(key_added, "key_added")
    names = [keys] if isinstance(keys, str) else list(keys)
    if len(names) < 2 or len(set(names)) < len(names):
        msg = "A consensus needs two or more different tables"
        raise InputError(msg, where=first_names(names), fix='`keys=["cell_abundance", "other"]`', code="BI-72")
    tables, kind = _same_kind(adata, names)
    values = np.stack([table[tables[0].columns].to_numpy() for table in tables])
    complete = np.isfinite(values).all(axis=(0, 2))
    if not complete.any():
        msg = f"No spot has a value in all of {first_names(names)}"
        raise InputError(msg, where=f"0 of {adata.n_obs}", fix="look at their NaN values", code="BI-31")
    scales = _scales(values[:, complete], names) if kind == "abundance" else np.ones(len(names))
    values = np.where(complete[None, :, None], values * scales[:, None, None], np.nan)
    columns = list(tables[0].columns)
    mean, sd = (
        pd.DataFrame(part, adata.obs_names, columns) for part in (values.mean(axis=0), values.std(axis=0, ddof=1))
    )
    safe_columns(columns)
    out = adata.copy() if copy else adata
    record: dict[str, Any] = {"source": "consensus_targets", "keys": np.array(names, dtype=object), "scales": scales}
    record["n_spots"] = int(complete.sum())
    write_with_companions(out, key_added, mean, {"sd": sd}, kind=kind, record=record)
    if not complete.all():
        lost = adata.obs_names[~complete]
        text = f"{len(lost)} of {adata.n_obs} spots lack a value in one of the tables and are NaN: {first_names(lost)}."
        warnings.warn(f"[HD-BI-09] {text}", DroppedSpotsWarning, stacklevel=2)
    return out if copy else None


def _same_kind(adata: AnnData, names: Sequence[str]) -> tuple[list[pd.DataFrame], str]:
    tables = [read_table(adata, name) for name in names]
    kinds = {name: table_kind(adata, name) for name in names}
    if len(set(kinds.values())) > 1:
        msg = "Abundances and proportions cannot be averaged"
        where = "; ".join(f"obsm[{name!r}] holds {kind}s" for name, kind in kinds.items())
        first = next(name for name, kind in kinds.items() if kind == "abundance")
        fix = f'`histodecon.tl.set_targets(adata, "{first}", normalize=True, key_added="{first}_share")`'
        raise InputError(msg, where=where, why="they have no unit in common", fix=fix, code="BI-61")
    for name, table in zip(names[1:], tables[1:], strict=True):
        require_same_types(set(tables[0].columns), set(table.columns), f"obsm[{names[0]!r}]", f"obsm[{name!r}]")
    return tables, next(iter(kinds.values()))


def _scales(values: NDArray[np.float64], names: Sequence[str]) -> NDArray[np.float64]:
    """Factors that give every table the same mean number of cells in a spot; shape of values (tables, spots, types)."""
    totals = values.sum(axis=2).mean(axis=1)
    if (totals <= 0).any():
        empty = [name for name, total in zip(names, totals, strict=True) if total <= 0]
        msg = "Some tables hold no cells"
        raise InputError(msg, where=first_names(empty), fix="leave them out of `keys`", code="BI-62")
    return np.asarray(totals.mean() / totals)
