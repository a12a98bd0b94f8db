"""What stands in a signature stays there, and every limit is where its message says."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from histodecon import stats

DEFAULTS: dict[str, dict[str, Any]] = {
    "across_slides": {"same": True},
    "bootstrap_groups": {"n_boot": 9999, "random_state": 0},
    "bootstrap_scores": {"scores": ("cc", "l1"), "blocks": None, "n_boot": 999, "random_state": 0},
    "gaussian_sums": {"include_self": True, "block_size": 1024},
    "group_interval": {"level": 0.95},
    "group_k_fold": {"random_state": 0},
    "least_groups": {"level": 0.95},
    "local_morans_r": {"include_self": True, "method": "auto"},
    "mantel_test": {"permutations": 9999, "random_state": 0},
    "map_agreement": {"metric": "cosine", "by": "rows", "diagonal": False, "rescale": "none"},
    "morans_r": {
        "y": None, "include_self": True, "null": "shuffled", "permutations": 0, "random_state": 0, "method": "auto",
        "precision": "float64", "block_size": 1024,
    },
    "morans_r_spatialdm": {"y": None, "neighbors": 160, "cutoff": 0.2},
    "paired_test": {"alternative": "two-sided", "permutations": 9999, "random_state": 0},
    "percentile_interval": {"level": 0.95},
    "pool_morans_r": {"same": True},
    "share_out": {"proportions": False},
}  # fmt: skip
RNG = np.random.default_rng(0)
X, XY, MAP = RNG.gamma(1, size=(40, 3)), RNG.uniform(0, 6, (40, 2)), np.eye(5)
GROUPS = np.array(list("ABC") * 10)


def test_defaults_are_those_that_results_were_published_with() -> None:
    found = {}
    for name in stats.__all__:
        function = getattr(stats, name)
        if inspect.isfunction(function):
            parameters = inspect.signature(function).parameters
            given = {key: one.default for key, one in parameters.items() if one.default is not inspect.Parameter.empty}
            found |= {name: given} if given else {}
    assert {name: found[name] for name in DEFAULTS} == DEFAULTS
    assert [found[name][key] is value for name, own in DEFAULTS.items() for key, value in own.items() if value is True]


ALLOWED: list[Callable[[], object]] = [
    lambda: stats.morans_r(X, XY, 1.0, block_size=1),
    lambda: stats.morans_r(X, XY, 1.0, permutations=1),
    lambda: stats.morans_r(X, XY[:, :1], 1.0),
    lambda: stats.bootstrap_scores(X, X, n_boot=1),
    lambda: stats.mantel_test(MAP, MAP, permutations=0),
    lambda: stats.paired_test(X, X + 1, permutations=1),
    lambda: stats.paired_test(X[:, 0], X[:, 1]),
    lambda: stats.morans_r_spatialdm(X, XY, 1.0, neighbors=1, cutoff=0.0),
    lambda: stats.group_k_fold(GROUPS, 2),
    lambda: stats.group_k_fold(GROUPS, 3),
    lambda: stats.leave_one_group_out(GROUPS[:2]),
    lambda: stats.percentile_interval(RNG.normal(size=(50, 2)), level=1e-9),
    lambda: stats.local_morans_r(X, XY, 1.0, [[0, 0], [2, 2]]),
    lambda: stats.local_morans_r(X[:1], XY[:1], 1.0, [[0, 0]]),
]
REFUSED: list[Callable[[], object]] = [
    lambda: stats.morans_r(X, XY, 1.0, block_size=0),
    lambda: stats.morans_r(X, XY, 1.0, permutations=-1),
    lambda: stats.morans_r(X, XY, 0.0),
    lambda: stats.morans_r(X, XY, np.nan),
    lambda: stats.morans_r(X, XY, 1.0, null="smooth", permutations=1),
    lambda: stats.morans_r(X, XY[:, :1], 1.0, null="smooth"),
    lambda: stats.morans_r(X, XY[:, :1], 1.0, method="near"),
    lambda: stats.morans_r(X[:, 0], XY, 1.0),
    lambda: stats.morans_r(X, XY[:-1], 1.0),
    lambda: stats.morans_r(X, XY, 1.0, y=X[:-1]),
    lambda: stats.bootstrap_scores(X, X, n_boot=0),
    lambda: stats.bootstrap_scores(X, X, blocks=np.arange(39)),
    lambda: stats.mantel_test(MAP, MAP, permutations=-1),
    lambda: stats.mantel_test(MAP[:4], MAP[:4]),
    lambda: stats.mantel_test(MAP, MAP[:4, :4]),
    lambda: stats.paired_test(X, X, permutations=0),
    lambda: stats.paired_test(X[None], X[None]),
    lambda: stats.paired_test(X, X[:-1]),
    lambda: stats.morans_r_spatialdm(X, XY, 1.0, neighbors=0),
    lambda: stats.morans_r_spatialdm(X, XY, 1.0, cutoff=1.0),
    lambda: stats.morans_r_spatialdm(X, XY, 1.0, cutoff=-0.1),
    lambda: stats.morans_r_spatialdm(X, XY, 0.0),
    lambda: stats.morans_r_spatialdm(X[:0], XY[:0], 1.0),
    lambda: stats.morans_r_spatialdm(X, XY, 1.0, y=X[:-1]),
    lambda: stats.group_k_fold(GROUPS, 1),
    lambda: stats.group_k_fold(GROUPS, 4),
    lambda: stats.leave_one_group_out(GROUPS[:1]),
    lambda: stats.percentile_interval(X, level=1.0),
    lambda: stats.percentile_interval(X, level=0.0),
    lambda: stats.local_morans_r(X, XY, 1.0, [[0, 3]]),
    lambda: stats.local_morans_r(X, XY, 1.0, [[-1, 0]]),
    lambda: stats.local_morans_r(X, XY, 0.0, [[0, 0]]),
    lambda: stats.local_morans_r(X[:0], XY[:0], 1.0, [[0, 0]]),
    lambda: stats.score_table(X[:, 0], X[:, 0], ["a"]),
    lambda: stats.map_agreement(MAP[:4], MAP[:4]),
    lambda: stats.map_agreement(MAP + np.tri(5), MAP),
    lambda: stats.pool_morans_r([]),
    lambda: stats.across_slides([]),
    lambda: stats.nearest_neighbor_pitch(XY[:, 0]),
]


@pytest.mark.parametrize("number", range(len(ALLOWED)))
def test_the_limit_itself_is_allowed(number: int) -> None:
    ALLOWED[number]()


@pytest.mark.parametrize("number", range(len(REFUSED)))
def test_what_is_beyond_is_refused(number: int) -> None:
    with pytest.raises(ValueError, match=r"."):
        REFUSED[number]()
