"""Scores on patients that training never saw."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from histodecon import stats
from histodecon._core import InputError, Key, doc, first_names, obs_column, table_of, write_table
from histodecon.models import AbundanceRegressor, get_learner
from histodecon.tl._checks import require_safe_key
from histodecon.tl._training_data import TrainingData, read_training_data

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray

BASELINES = ("mean", "ridge")
MEAN = "mean"
SHARED_ROWS = 0.5


@doc
def cross_validate(
    adata: AnnData,
    *,
    use_rep: str | Sequence[str],
    targets: str = Key.obsm.TARGETS,
    learner: str = "mlp",
    groupby: str = Key.obs.PATIENT,
    baselines: Sequence[str] = BASELINES,
    params: Mapping[str, Any] | None = None,
    transform: str = "none",
    weights: Literal["posterior"] | None = None,
    key_added: str = Key.obsm.CROSS_VALIDATED,
    device: str = "auto",
    random_state: int = 0,
    show_progress_bar: bool = True,
) -> pd.DataFrame:
    """Leave each patient out once: train on the others, predict, score.

    Scales, penalties and the end of training are settled on the training patients of each fold; the patient left out is
    only predicted.

    Parameters
    ----------
    %(adata)s
    %(use_rep)s
    %(targets)s
    learner
        Name of a learner.
    %(groupby)s
    baselines
        Learners reported beside it.
    params
        Parameters of the learner that differ from its defaults; baselines keep theirs.
    transform
        Scale the targets are learned on: ``"none"``, ``"log1p"``, ``"sqrt"`` or ``"proportion"``.
    %(weights)s Baselines are
        weighted too; scores never are.
    %(key_added)s
    %(device)s
    %(random_state)s
    %(show_progress_bar)s

    Returns
    -------
    One row a fold and learner, and one row a learner with fold ``mean``. Columns: ``fold`` (the group left out),
    ``learner``, ``cc`` (Pearson over the spots of the fold, mean over cell types), ``n_defined`` (cell types with a CC),
    ``l1`` (mean absolute error in the unit of the targets), ``n_train``, ``n_test`` (spots).

    Raises
    ------
    MissingKeyError
        An embedding, the targets, their standard deviations or the column is absent.
    InputError
        Fewer than two groups have targets, or two groups hold the same spots.
    TargetError
        Targets are negative, or a spot has only some of them.

    Notes
    -----
    Writes ``obsm[key_added]``, the out-of-fold predictions of ``learner`` for every spot of a group that was left out, and
    ``uns["cross_validation"][key_added]``: ``scores`` (dict of columns), ``cc`` (folds × cell types), ``folds``,
    ``cell_types``, ``learner``, ``groupby``, ``use_rep``, ``targets``, ``weights``, ``random_state``.

    The CC of the learner ``mean`` is undefined: a constant correlates with nothing.

    Examples
    --------
    >>> import histodecon as hd
    >>> adata = hd.datasets.toy_slide(n_patients=2).tables["table"]
    >>> hd.tl.set_targets(adata, "true_abundance")
    >>> adata.obsm["X_own"] = adata.obsm["true_abundance"].to_numpy()[:, :3] + 1.0
    >>> scores = hd.tl.cross_validate(adata, use_rep="X_own", learner="ridge", show_progress_bar=False)
    >>> sorted(set(scores["fold"]))
    ['P1', 'P2', 'mean']
    """
    from tqdm.auto import tqdm

    adata = table_of(adata)
    require_safe_key(key_added, "key_added")
    data = read_training_data(adata, use_rep, targets, weights)
    labels = obs_column(adata, groupby)
    _check_groups(labels, data, groupby)
    learners = list(dict.fromkeys([learner, *baselines]))
    models = {
        name: AbundanceRegressor(
            name,
            params=params if name == learner else None,
            transform=transform,
            device=device,
            random_state=random_state,
        )
        for name in learners
    }
    for name in learners:  # a misspelled name or parameter answers before the first fold
        get_learner(name).build(models[name].params)
    predictions = {name: np.full(data.Y.shape, np.nan) for name in learners}
    sizes = {}
    folds = list(_folds(labels, data.measured))
    with tqdm(total=len(folds) * len(learners), desc="cross-validation", disable=not show_progress_bar) as bar:
        for fold, train, test in folds:
            sizes[fold] = (len(train), int(data.measured[test].sum()))
            for name, model in models.items():
                predictions[name][test] = _fit(model, data, labels, train).predict(data.X[test])
                bar.update()
    kind = models[learner].kind_
    truth = data.Y / data.Y.sum(axis=1, keepdims=True) if kind != data.kind else data.Y
    scores, cc = _scores(truth, predictions, folds, data.measured, sizes)
    table = pd.DataFrame(predictions[learner], index=adata.obs_names, columns=list(data.cell_types))
    keys = np.array([record.key for record in data.records], dtype=object)
    write_table(adata, key_added, table, kind=kind, record={"learner": learner, "use_rep": keys})
    facts = {"learner": learner, "groupby": groupby, "targets": targets, "use_rep": keys, "random_state": random_state}
    facts |= {"weights": weights or "", "cell_types": np.array(data.cell_types, dtype=object), "cc": cc[learner]}
    facts |= {"folds": np.array([fold for fold, _, _ in folds], dtype=object)}
    facts |= {"scores": {str(name): scores[name].to_numpy() for name in scores.columns}}
    kept = adata.uns.get(Key.uns.CROSS_VALIDATION, {})
    adata.uns[Key.uns.CROSS_VALIDATION] = {**kept, key_added: facts}
    return scores


def _folds(labels: NDArray, measured: NDArray[np.bool_]) -> Iterator[tuple[str, NDArray[np.intp], NDArray[np.intp]]]:
    """Name, training rows (with targets), and all rows of the group left out."""
    rows = np.flatnonzero(measured)
    for fold, train, _ in stats.leave_one_group_out(labels[rows]):
        yield fold, rows[train], np.flatnonzero(labels == fold)


def _fit(model: AbundanceRegressor, data: TrainingData, labels: NDArray, rows: NDArray[np.intp]) -> AbundanceRegressor:
    return model.fit(
        data.X[rows],
        data.Y[rows],
        groups=labels[rows],
        encoders=data.records,
        cell_types=data.cell_types,
        kind=data.kind,
        weights=data.weights(rows, model.transform),
    )


def _check_groups(labels: NDArray, data: TrainingData, groupby: str) -> None:
    found = sorted(set(labels[data.measured]))
    if len(found) < 2:
        msg = f"Cross-validation needs two groups with targets in obs[{groupby!r}], found {len(found)}"
        raise InputError(
            msg,
            where=first_names(found),
            why="a model is only tested on a patient it never saw",
            fix='add patients, or leave slides out with `groupby="library_id"`',
            code="BI-68",
        )
    for name in found:
        inside = labels == name
        _, first = np.unique(data.X[~inside], axis=0, return_index=True)
        others = {row.tobytes() for row in data.X[~inside][first]}
        shared = np.mean([row.tobytes() in others for row in data.X[inside]])
        if shared > SHARED_ROWS:
            msg = f"The group {name!r} of obs[{groupby!r}] holds the same spots as another group"
            raise InputError(
                msg,
                where=f"{shared:.0%} of its embeddings are found in other groups",
                why="a model would be tested on what it was trained on",
                fix="give one patient one name, or remove the slide that is there twice",
                code="BI-69",
            )


def _scores(
    truth: NDArray,
    predictions: Mapping[str, NDArray],
    folds: Sequence[tuple[str, NDArray, NDArray]],
    measured: NDArray[np.bool_],
    sizes: Mapping[str, tuple[int, int]],
) -> tuple[pd.DataFrame, dict[str, NDArray]]:
    rows, cc = [], {}
    for name, predicted in predictions.items():
        per_type = []
        for fold, _, test in folds:
            scored = test[measured[test]]
            r = stats.pearson_per_type(truth[scored], predicted[scored])
            l1 = stats.l1_per_type(truth[scored], predicted[scored])
            defined = np.isfinite(r)
            facts = {"fold": fold, "learner": name, "cc": float(r[defined].mean()) if defined.any() else np.nan}
            facts |= {"n_defined": int(defined.sum()), "l1": float(np.nanmean(l1))}
            rows.append({**facts, "n_train": sizes[fold][0], "n_test": sizes[fold][1]})
            per_type.append(r)
        cc[name] = np.stack(per_type)
    table = pd.DataFrame(rows)
    means = table.groupby("learner", sort=False)[["cc", "l1"]].mean().reset_index()
    totals = table.groupby("learner", sort=False)[["n_defined", "n_train", "n_test"]].sum().reset_index(drop=True)
    means = pd.concat([means, totals], axis=1).assign(fold=MEAN)
    return pd.concat([table, means[table.columns]], ignore_index=True), cc
