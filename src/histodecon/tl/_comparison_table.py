"""Scores of many methods on the same held-out groups, side by side."""

from __future__ import annotations

import numpy as np
import pandas as pd

from histodecon import stats

METRICS = ("cc", "l1")
_DRAWS = 9999


def summarize(scores: pd.DataFrame, reference: tuple[str, str], *, level: float, random_state: int) -> pd.DataFrame:
    """Average over held-out groups, and compare each method with one of them, group by group.

    Parameters
    ----------
    scores
        One row a method, held-out group and seed; columns ``encoders``, ``learner``, ``test``, ``seed``, ``cc``, ``l1``,
        ``seconds``, ``memory_mb``.
    reference
        Encoders and learner that the others are compared with.
    level
        Coverage that intervals over groups aim at.
    random_state
        Seed of the bootstrap.

    Returns
    -------
    One row a method; see :func:`histodecon.tl.compare_learners`.
    """
    of_group = scores.groupby(["encoders", "learner", "test"], sort=False)[list(METRICS)].mean()
    of_seed = scores.groupby(["encoders", "learner", "seed"], sort=False)
    methods = list(dict.fromkeys(zip(scores["encoders"], scores["learner"], strict=True)))
    base = of_group.loc[reference]
    rows = []
    for method in methods:
        own = of_group.loc[method]
        drawn = stats.bootstrap_groups(own.to_numpy(), n_boot=_DRAWS, random_state=random_state)
        low, high = stats.group_interval(drawn, own.notna().sum().to_numpy(), level=level)
        means = own.mean()
        cost = of_seed[["seconds", "memory_mb"]].first().loc[method]
        row = {"encoders": method[0], "learner": method[1], "cc": means["cc"], "cc_lower": low[0], "cc_upper": high[0]}
        row |= {"cc_sd_seeds": of_seed["cc"].mean().loc[method].std(), "l1": means["l1"]}
        if method != reference:
            row |= _against(own, base, level=level, random_state=random_state)
        rows.append(
            row | {"n_folds": len(own), "seconds": cost["seconds"].mean(), "memory_mb": cost["memory_mb"].max()}
        )
    return pd.DataFrame(rows).assign(reading=lambda table: [_reading(row, reference) for _, row in table.iterrows()])


def _against(own: pd.DataFrame, base: pd.DataFrame, *, level: float, random_state: int) -> dict[str, float]:
    """What a method gains on the reference."""
    aligned = base.loc[own.index]
    gain = own - aligned
    test = stats.paired_test(own.to_numpy(), aligned.to_numpy(), random_state=random_state)
    drawn = stats.bootstrap_groups(gain.to_numpy(), n_boot=_DRAWS, random_state=random_state)
    low, high = stats.group_interval(drawn, gain.notna().sum().to_numpy(), level=level)
    return {
        "cc_difference": test.difference[0],
        "cc_difference_lower": low[0],
        "cc_difference_upper": high[0],
        "cc_p": test.p[0],
        "l1_difference": test.difference[1],
        "l1_p": test.p[1],
        "better_in": int((gain["cc"] > 0).sum()),
    }


def _reading(row: pd.Series, reference: tuple[str, str]) -> str:
    """Say in words what the interval of the gain allows to say."""
    if (row["encoders"], row["learner"]) == reference:
        return "reference"
    if not np.isfinite(row.get("cc_difference", np.nan)):
        return "no CC"
    if not np.isfinite(row["cc_difference_lower"]):
        return "too few groups to tell"
    if row["cc_difference_lower"] > 0:
        return "better"
    return "worse" if row["cc_difference_upper"] < 0 else "as good"
