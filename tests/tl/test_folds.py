"""Which groups are left out together."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from toy_embeddings import cohort, truth_table

import histodecon as hd
from histodecon.tl._folds import check_leaks, folds_of_column, groups_out, make_folds

LABELS = np.repeat(list("ABCDE"), [5, 4, 3, 2, 1]).astype(object)
MEASURED = np.arange(15) % 7 != 6


def folds(**kwargs):
    options = {"n_folds": None, "folds": None, "random_state": 0, **kwargs}
    return make_folds(LABELS, MEASURED, **options)


def test_every_group_once() -> None:
    found = folds()
    assert [fold.name for fold in found] == list("ABCDE")
    for fold in found:
        assert set(LABELS[fold.test]) == {fold.name}
        assert len(fold.test) == (fold.name == LABELS).sum(), "spots without targets are predicted, too"
        assert set(fold.train) == set(np.flatnonzero(MEASURED & (fold.name != LABELS)))


@pytest.mark.parametrize("n_folds", [2, 3, 5])
def test_groups_stay_whole_and_each_is_out_once(n_folds: int) -> None:
    found = folds(n_folds=n_folds)
    assert len(found) == n_folds
    assert sorted(np.concatenate([fold.test for fold in found])) == list(range(15))
    for fold in found:
        assert not set(LABELS[fold.train]) & set(LABELS[fold.test])


def test_given_folds_and_groups_that_only_train() -> None:
    with pytest.warns(hd.DroppedSpotsWarning, match="2 groups are in no fold.*'D', 'E'"):
        found = folds(folds={"first": ["A", "C"], "second": "B"})
    assert [fold.name for fold in found] == ["first", "second"]
    assert set(LABELS[found[0].test]) == {"A", "C"}
    assert {"D", "E"} <= set(LABELS[found[0].train]) & set(LABELS[found[1].train])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"folds": {"1": ["A", "Z"]}}, "not there: 'Z'"),
        ({"folds": {"1": ["A"], "2": ["A", "B"]}}, "in two folds: 'A'"),
        ({"folds": {"1": []}}, "no group with targets: '1'"),
        ({"folds": {"1": list("ABCDE")}}, "nothing to train on"),
        ({"folds": {}}, "no folds"),
        ({"folds": [["A"], ["B"]]}, "not a list"),
        ({"n_folds": 2.5}, "n_folds"),
        ({"folds": {"1": ["A"]}, "n_folds": 2}, "Both"),
        ({"n_folds": 1}, "n_folds"),
        ({"n_folds": 6}, "n_folds"),
    ],
)
def test_folds_that_do_not_fit_are_refused(options: dict, words: str) -> None:
    with pytest.raises(hd.InputError, match=words) as error:
        folds(**options)
    assert error.value.code == "BI-68"


def test_cross_validation_takes_them(tmp_path) -> None:
    adata = cohort()
    hd.tl.set_targets(adata, truth_table(adata))
    how = {"use_rep": "X_first", "learner": "ridge", "baselines": (), "show_progress_bar": False}
    with pytest.warns(hd.DroppedSpotsWarning, match="'C'"):
        scores = hd.tl.cross_validate(adata, **how, folds={"one": ["A", "B"]})
    assert list(scores["fold"]) == ["one", "mean"]
    left = adata.obsm["crossval_abundance"].isna().all(axis=1)
    assert set(adata.obs["patient"][left]) == {"C"}
    first = hd.tl.cross_validate(adata, **how, n_folds=2, cache_dir=tmp_path)
    assert first.equals(hd.tl.cross_validate(adata, **how, n_folds=2, n_jobs=2))


def test_a_column_says_the_folds() -> None:
    column = np.where(np.isin(LABELS, ["A", "C"]), "odd", "rest")
    adata = ad.AnnData(obs=pd.DataFrame({"fold": column}, index=[f"s{i}" for i in range(15)]))
    plan = folds_of_column(adata, "fold", LABELS)
    assert plan == {"odd": ["A", "C"], "rest": ["B", "D", "E"]}
    found = folds(folds=plan)
    assert [fold.groups for fold in found] == [("A", "C"), ("B", "D", "E")]
    adata.obs["fold"] = np.arange(15) % 2
    with pytest.raises(hd.InputError, match="in two folds: 'A', 'B', 'C'"):
        folds(folds=folds_of_column(adata, "fold", LABELS))
    with pytest.raises(hd.MissingKeyError, match="no_fold"):
        folds_of_column(adata, "no_fold", LABELS)


def test_groups_come_with_all_their_spots() -> None:
    found = [(fold.name, group, len(rows)) for fold, group, rows in groups_out(LABELS, folds(n_folds=2))]
    assert sorted(group for _, group, _ in found) == list("ABCDE")
    assert {group: n for _, group, n in found} == {"A": 5, "B": 4, "C": 3, "D": 2, "E": 1}


@pytest.mark.parametrize("name", ["fold", "group"])
def test_no_fold_or_group_may_be_called_as_the_row_of_means(name: str) -> None:
    labels = np.where(LABELS == "A", "mean", LABELS).astype(object) if name == "group" else LABELS
    plan = {"mean" if name == "fold" else "1": ["B"], "2": ["C", *(["mean"] if name == "group" else [])]}
    with pytest.raises(hd.NamingError, match="'mean'"):
        make_folds(labels, MEASURED, n_folds=None, folds=plan, random_state=0)


def test_the_same_tissue_in_two_folds_leaks_and_in_one_it_does_not() -> None:
    X = np.random.default_rng(0).normal(size=(15, 3)).astype(np.float32)
    b, c = (np.flatnonzero(name == LABELS) for name in "BC")
    X[c[:2]] = X[b[:2]]  # two of the three spots of C, half of those of B
    with pytest.raises(hd.InputError, match=r"'C'.*67%") as error:
        check_leaks(LABELS, X, folds(), "patient")
    assert error.value.code == "BI-69"
    together = {"1": ["A"], "2": ["B", "C"], "3": ["D", "E"]}
    check_leaks(LABELS, X, folds(folds=together), "patient")
    X[c[1]] += 1
    check_leaks(LABELS, X, folds(), "patient")
