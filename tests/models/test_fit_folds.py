"""Folds over processes and clusters give what a plain loop gives, to the last bit; a kill loses the fold in flight at most."""

from __future__ import annotations

import os
import signal
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from learner_material import SMALL, needs
from sklearn.base import clone

import histodecon as hd
from histodecon.models import (
    AbundanceRegressor,
    EncoderRecord,
    fit_folds,
    list_learners,
    register_learner,
)
from histodecon.models._learners import _REGISTRY, LearnerCard
from histodecon.models._many_fits import ManyFits
from histodecon.models._transforms import fit_scale
from histodecon.models.learners.mean import MeanLearner

N, D, K = 90, 6, 3
QUICK = {"n_networks": 2, "max_epochs": 3, "hidden": 8}
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, D)).astype(np.float32)
Y = RNG.gamma(2, size=(N, K))
GROUPS = np.repeat(["P1", "P2", "P3"], N // 3)
TYPES = ["a", "b", "c"]
FOLDS = [np.flatnonzero(name != GROUPS) for name in ("P1", "P2", "P3")]


def mlp(**kwargs) -> AbundanceRegressor:
    return AbundanceRegressor("mlp", params=QUICK, device="cpu", random_state=3, **kwargs)


def plain_loop(model: AbundanceRegressor, weights=None, **kwargs) -> list[AbundanceRegressor]:
    return [
        clone(model).fit(
            X[rows], Y[rows], groups=GROUPS[rows], weights=None if weights is None else weights(rows), **kwargs
        )
        for rows in FOLDS
    ]


def same(one: list[AbundanceRegressor], two: list[AbundanceRegressor]) -> bool:
    return [model.to_bytes() for model in one] == [model.to_bytes() for model in two]


def spoiled(learner: str, block_scaling: str) -> tuple[AbundanceRegressor, AbundanceRegressor]:
    """The first fold, and the same with other inputs and targets of the rows that are not in it."""
    model = AbundanceRegressor(learner, params=SMALL.get(learner), block_scaling=block_scaling, device="cpu")
    others = GROUPS == "P1"
    found = []
    for inputs, targets in ((X, Y), (np.where(others[:, None], 3 * X + 1, X), np.where(others[:, None], 7 * Y, Y))):
        records = [EncoderRecord("X_a", "a", 1), EncoderRecord("X_b", "b", D - 1)]
        told = {"cell_types": TYPES, **needs(learner, N, TYPES)}
        if "genes" in told:
            counts = np.where(others[:, None] & (inputs is not X), 9, told["genes"].counts)
            told["genes"] = replace(told["genes"], counts=counts)
        found.append(fit_folds(model, inputs, targets, FOLDS, groups=GROUPS, encoders=records, **told)[0])
    return found[0], found[1]


def alike(one: AbundanceRegressor, two: AbundanceRegressor) -> bool:
    names = ("input_center_", "input_scale_", "target_center_", "target_scale_")
    scales = all(np.array_equal(getattr(one, name), getattr(two, name)) for name in names)
    own = needs(one.learner_, N, TYPES, predicting=True)
    return scales and np.allclose(one.predict(X, **own), two.predict(X, **own), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("block_scaling", ["none", "width"])
@pytest.mark.parametrize("learner", list(list_learners().index))
def test_scales_and_learning_see_training_rows_only(learner: str, block_scaling: str) -> None:
    one, two = spoiled(learner, block_scaling)
    stretch = np.sqrt(np.array([1] + [D - 1] * (D - 1)) / (D / 2)) if block_scaling == "width" else np.ones(D)
    np.testing.assert_allclose(one.input_center_, X[FOLDS[0]].mean(axis=0), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(one.input_scale_, X[FOLDS[0]].std(axis=0) * stretch, rtol=1e-5)
    center = np.zeros(K) if one.learner_.absolute else Y[FOLDS[0]].mean(axis=0)
    np.testing.assert_allclose(one.target_center_, center)
    assert alike(one, two)


def test_the_test_above_sees_a_scale_of_all_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ManyFits, "input_scale", lambda self, fit: fit_scale(self.X))
    assert not alike(*spoiled("ridge", "none"))


@pytest.mark.parametrize("n_jobs", [1, 2, -1])
def test_as_many_fits_in_any_number_of_processes(n_jobs: int) -> None:
    counts = RNG.gamma(2, size=(N, K)) + 0.1
    told = {"cell_types": ["a", "b", "c"], "kind": "proportion", "encoders": [EncoderRecord("X_a", "a", D)]}
    weights = counts.__getitem__
    fitted = fit_folds(mlp(transform="sqrt"), X, Y, FOLDS, groups=GROUPS, weights=weights, n_jobs=n_jobs, **told)
    assert same(fitted, plain_loop(mlp(transform="sqrt"), weights, **told))


def test_large_arrays_reach_other_processes_too() -> None:
    wide = np.repeat(X, 600, axis=1) + RNG.normal(size=(N, 600 * D)).astype(np.float32)  # above what is mapped
    model = AbundanceRegressor("ridge")
    one, two = (fit_folds(model, wide, Y, FOLDS, groups=GROUPS, n_jobs=n) for n in (1, 2))
    assert same(one, two)


def test_every_fold_is_announced_and_the_model_stays_unfitted() -> None:
    model, heard = mlp(), []
    fitted = fit_folds(model, X, Y, FOLDS, groups=GROUPS, on_fold=lambda i, one: heard.append((i, one)))
    assert [i for i, _ in heard] == [0, 1, 2]
    assert all(one is fitted[i] for i, one in heard)
    assert not hasattr(model, "learner_")


def test_rows_of_no_fold_may_lack_targets() -> None:
    lacking = Y.copy()
    lacking[:4] = np.nan
    rows = np.arange(4, N)
    fitted = fit_folds(AbundanceRegressor("ridge"), X, lacking, [rows])[0]
    assert fitted.to_bytes() == AbundanceRegressor("ridge").fit(X[rows], Y[rows]).to_bytes()


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_warnings_come_through_once(n_jobs: int) -> None:
    few = [np.arange(20), np.arange(20, 40)]
    with pytest.warns(hd.HistodeconWarning, match="Only 20 rows") as heard:
        fit_folds(mlp(), X, Y, few, n_jobs=n_jobs)
    assert len(heard) == 1


class Recalled(MeanLearner):
    """Counts its fits in a file; the third is interrupted."""

    def fit(self, X, Y, groups, context, weights=None):
        log = Path(self.params["log"])
        with log.open("a") as file:
            file.write("x")
        if len(log.read_text()) == 3:
            raise KeyboardInterrupt
        return super().fit(X, Y, groups, context)


@pytest.fixture
def recalled(tmp_path):
    card = LearnerCard("recalled", "Test.", Recalled, {"log": str(tmp_path / "log")}, "none")
    register_learner(card)
    yield tmp_path
    _REGISTRY.pop("recalled")


def test_an_interrupted_call_goes_on_where_it_was(recalled: Path) -> None:
    log, kept = recalled / "log", recalled / "deep" / "kept"
    base = {"groups": GROUPS, "cache_dir": kept}
    whole = AbundanceRegressor("recalled", params={"log": str(log)})
    with pytest.raises(KeyboardInterrupt):
        fit_folds(whole, X, Y, FOLDS, **base)
    assert len(list(kept.iterdir())) == 2
    fitted = fit_folds(whole, X, Y, FOLDS, **base)
    assert log.read_text() == "xxxx"  # the fourth fit is that of the third fold
    assert same(fitted, plain_loop(whole))
    assert fitted[0].get_params() == whole.get_params()
    heard: list[int] = []
    fit_folds(whole, X, Y, FOLDS, **base, on_fold=lambda i, _: heard.append(i))
    assert heard == [0, 1, 2]


@pytest.mark.parametrize("change", ["X", "y", "groups", "rows", "weights", "seed", "kind"])
def test_whatever_decides_a_fold_makes_another_file(change: str, tmp_path: Path) -> None:
    given = {"X": X, "y": Y, "groups": GROUPS, "weights": None, "kind": "abundance"}
    model = AbundanceRegressor("mean")
    fit_folds(model, folds=FOLDS[:1], **given, cache_dir=tmp_path)
    rows = FOLDS[0]
    if change == "X":
        given["X"] = X + 1
    elif change == "y":
        given["y"] = Y + 1
    elif change == "groups":
        given["groups"] = None
    elif change == "rows":
        rows = rows[1:]
    elif change == "weights":
        given["weights"] = lambda own: np.ones(len(own)) * 2
    elif change == "seed":
        model = AbundanceRegressor("mean", random_state=1)
    else:
        given["kind"] = "proportion"
    fit_folds(model, folds=[rows], **given, cache_dir=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_damaged_file_is_as_if_it_had_never_been(tmp_path: Path) -> None:
    first = fit_folds(mlp(), X, Y, FOLDS[:1], cache_dir=tmp_path)
    (path,) = tmp_path.iterdir()
    content = path.read_bytes()
    path.write_bytes(content[:-7])
    again = fit_folds(mlp(), X, Y, FOLDS[:1], cache_dir=tmp_path)
    assert same(first, again)
    assert path.read_bytes() == content


def test_a_folder_that_cannot_be_made_is_told_before_the_first_fit(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(hd.StoreError, match="FI-07"):
        fit_folds(mlp(), X, Y, FOLDS, cache_dir=tmp_path / "file" / "in")


@pytest.mark.parametrize(
    "fold", [[], [[0, 1]], [0.0, 1.0], [0, 0, 1], [0, N], [-1, 2], [True, False]], ids=str
)  # fmt: skip
def test_what_is_no_list_of_rows_is_refused(fold) -> None:
    with pytest.raises(hd.InputError, match=r"BI-72.*fold 1 of 90 rows"):
        fit_folds(mlp(), X, Y, [FOLDS[0], fold])


@pytest.mark.parametrize("n_jobs", [0, 1.5, True, "all"])
def test_a_senseless_number_of_processes_is_refused(n_jobs) -> None:
    with pytest.raises(hd.InputError, match="BI-72"):
        fit_folds(mlp(), X, Y, FOLDS, n_jobs=n_jobs)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_errors_of_a_fit_come_through(n_jobs: int) -> None:
    with pytest.raises(hd.TargetError, match="BI-59"):
        fit_folds(mlp(), X, -Y, FOLDS, n_jobs=n_jobs)


class Deadly(str):
    """Ends the process that unpickles it."""

    def __reduce__(self):
        return _end, ()


def _end() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_that_dies_is_told() -> None:
    model = AbundanceRegressor("mlp", params=QUICK, device=Deadly("cpu"))
    with pytest.raises(hd.ResourceError, match="FI-20"):
        fit_folds(model, X, Y, FOLDS, n_jobs=2)


def test_a_cluster_gives_the_same(tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    with (
        warnings.catch_warnings(),
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None, local_directory=str(tmp_path)
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        warnings.simplefilter("ignore")
        fitted = fit_folds(mlp(), X, Y, FOLDS, groups=GROUPS, client=client)
        assert same(fitted, plain_loop(mlp()))
        assert not client.futures
        with pytest.raises(hd.TargetError, match="BI-59"):
            fit_folds(mlp(), X, -Y, FOLDS, client=client)
    with pytest.raises(hd.InputError, match="closed"):
        fit_folds(mlp(), X, Y, FOLDS, client=client)
