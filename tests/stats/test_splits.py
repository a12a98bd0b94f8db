"""Splits keep groups whole and use every row once."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histodecon.stats import group_k_fold, leave_one_group_out

groups_of = st.lists(st.sampled_from("ABCDEFGH"), min_size=2, max_size=60).filter(lambda g: len(set(g)) >= 2)


@settings(max_examples=50, deadline=None)
@given(groups=groups_of)
def test_each_group_is_held_out_once_and_whole(groups: list[str]) -> None:
    labels = np.array(groups)
    folds = list(leave_one_group_out(groups))
    assert [name for name, _, _ in folds] == sorted(set(groups))
    for name, train, test in folds:
        assert set(labels[test]) == {name}
        assert name not in set(labels[train])
        np.testing.assert_array_equal(np.sort(np.r_[train, test]), np.arange(len(groups)))


@settings(max_examples=50, deadline=None)
@given(groups=groups_of, seed=st.integers(0, 5))
def test_folds_never_share_a_group_and_cover_every_row(groups: list[str], seed: int) -> None:
    labels = np.array(groups)
    k = min(3, len(set(groups)))
    folds = list(group_k_fold(groups, k, random_state=seed))
    assert len(folds) == k
    np.testing.assert_array_equal(np.sort(np.concatenate([test for _, _, test in folds])), np.arange(len(groups)))
    for name, train, test in folds:
        assert len(test) > 0
        assert not set(labels[train]) & set(labels[test])
        assert set(name.split("+")) == set(labels[test])


def test_folds_are_about_equal_and_follow_the_seed() -> None:
    groups = np.repeat(list("ABCDEF"), [50, 40, 30, 30, 20, 10])
    sizes = [len(test) for _, _, test in group_k_fold(groups, 3)]
    assert max(sizes) - min(sizes) <= 10
    equal = np.repeat(list("ABCDEF"), 5)
    names = [[name for name, _, _ in group_k_fold(equal, 3, random_state=seed)] for seed in range(6)]
    assert names[0] == [name for name, _, _ in group_k_fold(equal, 3, random_state=0)]
    assert any(other != names[0] for other in names[1:])


def test_categories_without_rows_and_numbers_are_fine() -> None:
    column = pd.Series(pd.Categorical(["b", "a", "b"], categories=["a", "b", "unused"]), index=[5, 6, 7])
    assert [(name, list(test)) for name, _, test in leave_one_group_out(column)] == [("a", [1]), ("b", [0, 2])]
    assert [name for name, _, _ in leave_one_group_out([2, 10, 2])] == ["10", "2"]


def test_bad_groups_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 2 groups, found 1"):
        leave_one_group_out(["A", "A"])
    with pytest.raises(ValueError, match="1 missing"):
        leave_one_group_out(["A", None, "B"])
    with pytest.raises(ValueError, match="at least 3 groups, found 2"):
        group_k_fold(["A", "B"], 3)
    with pytest.raises(ValueError, match="n_splits"):
        group_k_fold(["A", "B"], 1)
