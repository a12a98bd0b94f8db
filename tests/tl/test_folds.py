"""Which groups are left out together."""

from __future__ import annotations

import numpy as np
import pytest
from toy_embeddings import cohort, truth_table

import histodecon as hd
from histodecon.tl._folds import make_folds

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
    scores = hd.tl.cross_validate(adata, **how, folds={"one": ["A", "B"]})
    assert list(scores["fold"]) == ["one", "mean"]
    left = adata.obsm["crossval_abundance"].isna().all(axis=1)
    assert set(adata.obs["patient"][left]) == {"C"}
    first = hd.tl.cross_validate(adata, **how, n_folds=2, cache_dir=tmp_path)
    assert first.equals(hd.tl.cross_validate(adata, **how, n_folds=2, n_jobs=2))
