"""Which pairs of cell types share places more in one condition than in another."""

from __future__ import annotations

from itertools import combinations
from math import comb
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from histodecon import stats
from histodecon._core import InputError, Key, doc, first_names, note_where_results_go, obs_column, table_of
from histodecon.tl._checks import require_safe_key
from histodecon.tl._stored_maps import StoredMaps, read_maps

if TYPE_CHECKING:
    from anndata import AnnData

_ROUNDING = 1e-12


@doc
def compare_conditions(
    adata: AnnData,
    condition: str,
    *,
    groups: tuple[str, str] | None = None,
    groupby: str | None = None,
    key: str = Key.uns.COLOCALIZATION,
    permutations: int = 9999,
    random_state: int = 0,
    key_added: str = Key.uns.DIFFERENCE,
) -> pd.DataFrame:
    """Compare R of every pair between two groups of samples, samples permuted.

    Parameters
    ----------
    %(adata)s
    condition
        Column of ``obs`` with the condition, one value a sample.
    groups
        The two conditions; the effect is the second minus the first. Default: the two there are, in alphabetical order.
    groupby
        Column of ``obs`` with the sample, such as ``"patient"``: maps of its slides are averaged. Default: each slide is a sample.
        Slides of one patient are no independent samples.
    key
        Name in ``uns`` under which :func:`colocalization` stored its maps.
    permutations
        How often samples change places at random. When there are no more ways to choose the groups, all of them are used and p is
        exact.
    %(random_state)s
    %(key_added)s

    Returns
    -------
    One row a pair, a type with itself included, smallest p first. Columns: ``first``, ``second``, ``effect`` (difference of the mean
    R), ``mean_first_group``, ``mean_second_group``, ``p`` (two-sided), ``q`` (Benjamini-Hochberg; types with themselves are a family of
    their own), ``n_first_group``, ``n_second_group``.

    Raises
    ------
    MissingKeyError
        The map or a column is absent.
    InputError
        There are not two conditions, a sample has several, or a condition has fewer than 2 samples.

    Notes
    -----
    Writes ``uns[key_added]``: the columns, and ``condition``, ``groups``, ``groupby``, ``key``, ``exact``, ``permutations``.

    The smallest p there can be is 1 over the number of ways to choose the groups, 2 where both are of one size: 3 against 3
    samples never go below .1. Samples, not spots, are what is counted, so smooth types do no harm here.

    Examples
    --------
    >>> import histodecon as hd
    >>> adata = hd.datasets.toy_slide(n_patients=4)["table"]
    >>> treated = adata.obs["patient"].isin(["P1", "P2"]).map({True: "yes", False: "no"})
    >>> adata.obs = adata.obs.assign(treated=treated)
    >>> hd.tl.colocalization(adata, "true_abundance")
    >>> found = hd.tl.compare_conditions(adata, "treated", groupby="patient")
    >>> bool(found["p"].min() >= 1 / 3)
    True
    """
    adata = table_of(adata)
    require_safe_key(key_added, "key_added")
    if permutations < 1:
        msg = f"permutations={permutations} gives no p"
        raise InputError(msg, fix="use `permutations=9999`", code="BI-95")
    maps = read_maps(adata, key)
    r, labels = _samples(adata, maps, condition, groupby)
    pair = _two_groups(labels, groups, condition)
    chosen = np.isin(labels, pair)
    r, second = r[chosen], labels[chosen] == pair[1]
    upper = np.triu_indices(len(maps.names))
    values = r[:, upper[0], upper[1]]
    effect, p, exact = _permuted(values, second, permutations, random_state)
    own = upper[0] == upper[1]
    q = np.full(p.shape, np.nan)
    for family in (own, ~own):
        q[family] = stats.benjamini_hochberg(p[family])
    names = np.array(maps.names, dtype=object)
    known = np.isfinite(values)
    table = pd.DataFrame(
        {
            "first": names[upper[0]],
            "second": names[upper[1]],
            "effect": effect,
            "mean_first_group": _mean(values[~second]),
            "mean_second_group": _mean(values[second]),
            "p": p,
            "q": q,
            "n_first_group": known[~second].sum(axis=0),
            "n_second_group": known[second].sum(axis=0),
        }
    ).sort_values("p", kind="stable", ignore_index=True)
    note_where_results_go(adata)
    adata.uns[key_added] = {
        **{name: table[name].to_numpy() for name in table},
        "condition": condition,
        "groups": np.array(pair, dtype=object),
        "groupby": groupby or "",
        "key": key,
        "exact": exact,
        "permutations": permutations,
    }
    return table


def _samples(adata: AnnData, maps: StoredMaps, condition: str, groupby: str | None) -> tuple[np.ndarray, np.ndarray]:
    """Maps of the samples, (samples, K, K), and the condition of each."""
    library_key = str(maps.params["library_key"])
    slide = obs_column(adata, library_key).astype(str) if library_key in adata.obs else None
    if slide is None:
        msg = "Maps of one slide cannot be compared between conditions"
        raise InputError(msg, fix="name the slides with `library_key=` in `tl.colocalization`", code="BI-36")
    kinds = obs_column(adata, condition).astype(str)
    unit = slide if groupby is None else obs_column(adata, groupby).astype(str)
    table = pd.DataFrame({"slide": slide, "unit": unit, "kind": kinds}).drop_duplicates()
    table = table[table["slide"].isin(list(maps.libraries))]
    several = table.groupby("unit")["kind"].nunique()
    several = several[several > 1]
    if len(several):
        msg = f"{len(several)} samples have more than one value of obs[{condition!r}]"
        fix = "name the column of the sample with `groupby=`"
        raise InputError(msg, where=first_names(several.index), fix=fix, code="BI-36")
    r, labels = [], []
    for _, rows in table.groupby("unit"):
        stack = np.stack([maps.libraries[library] for library in rows["slide"].unique()])
        r.append(_mean(stack))
        labels.append(rows["kind"].iloc[0])
    return np.stack(r), np.array(labels, dtype=object)


def _two_groups(labels: np.ndarray, groups: tuple[str, str] | None, condition: str) -> tuple[str, str]:
    found = sorted(set(labels))
    pair = tuple(str(one) for one in groups) if groups is not None else tuple(found)
    if len(set(pair)) != 2 or not set(pair) <= set(found):
        msg = (
            f"obs[{condition!r}] does not tell two groups apart" if groups is None else f"groups={groups} are not there"
        )
        fix = f"name two with `groups=({found[0]!r}, {found[-1]!r})`"
        raise InputError(msg, where=f"conditions: {first_names(found, 8)}", fix=fix, code="BI-104")
    few = [one for one in pair if (labels == one).sum() < 2]
    if few:
        msg = f"Fewer than 2 samples are {first_names(few)}"
        raise InputError(msg, why="samples are what is counted", fix="add slides of other samples", code="BI-68")
    return pair[0], pair[1]


def _permuted(
    values: np.ndarray, second: np.ndarray, permutations: int, random_state: int
) -> tuple[np.ndarray, np.ndarray, bool]:
    effect = _mean(values[second]) - _mean(values[~second])
    n, k = len(second), int(second.sum())
    exact = comb(n, k) <= permutations
    rng = np.random.default_rng(random_state)
    orders = combinations(range(n), k) if exact else (rng.permutation(n)[:k] for _ in range(permutations))
    count = np.zeros(effect.shape) if exact else np.ones(effect.shape)
    total = 0 if exact else 1
    for order in orders:
        taken = np.zeros(n, dtype=bool)
        taken[list(order)] = True
        count += np.abs(_mean(values[taken]) - _mean(values[~taken])) >= np.abs(effect) - _ROUNDING
        total += 1
    return effect, np.where(np.isnan(effect), np.nan, count / total), exact


def _mean(values: np.ndarray) -> np.ndarray:
    """Mean over the first axis of what is there."""
    known = np.isfinite(values)
    count = known.sum(axis=0)
    total = np.where(known, values, 0.0).sum(axis=0)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
