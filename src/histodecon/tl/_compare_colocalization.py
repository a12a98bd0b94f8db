"""How alike the colocalization maps of two tables are."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from histodecon import stats
from histodecon._core import HistodeconWarning, InputError, Key, doc, first_names, note_where_results_go, table_of
from histodecon.tl._checks import require_safe_key
from histodecon.tl._stored_maps import matched, read_maps

if TYPE_CHECKING:
    from anndata import AnnData

POOLED, MEAN = "pooled map", "mean over slides"


@doc
def compare_colocalization(
    adata: AnnData,
    truth: str,
    predicted: str = Key.uns.COLOCALIZATION,
    *,
    permutations: int = 999,
    random_state: int = 0,
    key_added: str = Key.uns.AGREEMENT,
) -> pd.DataFrame:
    """Score one colocalization map against another, slide by slide and over slides, in every convention.

    Parameters
    ----------
    %(adata)s
    truth, predicted
        Names in ``uns`` under which :func:`colocalization` stored the maps of two tables.
    permutations
        How often types are permuted for the Mantel test.
    %(random_state)s
    %(key_added)s

    Returns
    -------
    One row a slide, then ``mean over slides`` and ``pooled map``. Columns: the conventions of
    :func:`histodecon.stats.agreement_table` (``cosine_pairs``, ``pearson_pairs``: one score over all pairs above the diagonal;
    ``cosine_rows``, ``pearson_rows``: row by row without the diagonal, then the mean; ``…_diagonal``: with it; ``…_self``:
    R_ab / √(R_aa R_bb); ``…_minmax``: each row stretched to [0, 1]), ``mantel_p`` and ``n_types``, those with variance in both.

    Raises
    ------
    MissingKeyError
        A map is absent.
    AlignmentError
        The maps name other cell types or slides, or were made with other length scales.
    InputError
        ``permutations`` is negative.

    Warns
    -----
    HistodeconWarning
        The maps of a slide rest on different numbers of spots.

    Notes
    -----
    Writes ``uns[key_added]``: ``scores`` (dict of columns), ``rows``, ``truth``, ``predicted``, ``permutations`` and
    ``random_state``.

    The same two maps score .88 or .64 by convention: say which one a number is. The source's table of cosine and correlation
    does not. ``mantel_p`` says whether ``pearson_pairs`` is more than two unrelated maps have; it permutes the names of the types of
    one map.

    Examples
    --------
    >>> import histodecon as hd
    >>> adata = hd.datasets.toy_slide()["table"]
    >>> hd.tl.colocalization(adata, "true_abundance", key_added="measured")
    >>> hd.tl.compare_colocalization(adata, "measured", "measured").loc["pooled map", "cosine_rows"].round(6).item()
    1.0
    """
    adata = table_of(adata)
    require_safe_key(key_added, "key_added")
    if permutations < 0:
        msg = f"permutations={permutations} is negative"
        raise InputError(msg, fix="use `permutations=999`, or 0 for none", code="BI-95")
    first = read_maps(adata, truth)
    second = matched(first, read_maps(adata, predicted))
    odd = [library for library, n in first.spots.items() if n != second.spots[library]]
    if odd:
        text = f"uns[{truth!r}] and uns[{predicted!r}] rest on other spots of {len(odd)} slides: {first_names(odd)}."
        warnings.warn(text, HistodeconWarning, stacklevel=2)

    def scored(a: np.ndarray, b: np.ndarray) -> dict[str, float]:
        p = stats.mantel_test(a, b, permutations=permutations, random_state=random_state)[1] if permutations else np.nan
        defined = np.isfinite(a).any(axis=1) & np.isfinite(b).any(axis=1)
        return {**stats.agreement_table(a, b), "mantel_p": p, "n_types": int(defined.sum())}

    rows = {library: scored(r, second.libraries[library]) for library, r in first.libraries.items()}
    table = pd.DataFrame.from_dict(rows, orient="index")
    table.loc[MEAN] = table.mean()
    table.loc[MEAN, "mantel_p"] = np.nan
    table.loc[POOLED] = pd.Series(scored(first.pooled, second.pooled))
    note_where_results_go(adata)
    adata.uns[key_added] = {
        "scores": {name: table[name].to_numpy(dtype=float) for name in table},
        "rows": table.index.to_numpy(dtype=object),
        "truth": truth,
        "predicted": predicted,
        "permutations": permutations,
        "random_state": random_state,
    }
    return table
