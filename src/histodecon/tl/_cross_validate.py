"""Scores on patients that training never saw."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from histodecon._core import InputError, Key, doc, obs_column, table_of, write_table
from histodecon._core._neighbors import read_rings
from histodecon.models import AbundanceRegressor, fit_folds, get_learner
from histodecon.models._fit_fold import among
from histodecon.stats._scores import compositions
from histodecon.tl._checks import require_safe_key
from histodecon.tl._fold_embeddings import FoldStep, fold_data
from histodecon.tl._fold_scores import HeldOut, LearnerScores, cc_by_fold, join_scores, score_learner, warn_undefined
from histodecon.tl._folds import Fold, check_groups, check_leaks, folds_of_column, groups_out, make_folds
from histodecon.tl._gene_counts import read_gene_counts
from histodecon.tl._spot_level import SpotLevel, read_bags
from histodecon.tl._training_data import TrainingData, read_training_data

if TYPE_CHECKING:
    from anndata import AnnData
    from distributed import Client
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

BASELINES = ("mean", "ridge")


@doc
def cross_validate(
    adata: AnnData,
    *,
    use_rep: str | Sequence[str] | FoldStep,
    targets: str = Key.obsm.TARGETS,
    learner: str = "mlp",
    groupby: str = Key.obs.PATIENT,
    n_folds: int | None = None,
    folds: Mapping[str, Sequence[str]] | str | None = None,
    baselines: Sequence[str] = BASELINES,
    keep_baselines: bool = False,
    params: Mapping[str, Any] | None = None,
    transform: str = "none",
    block_scaling: Literal["none", "width"] = "none",
    weights: Literal["posterior"] | None = None,
    layer: str | None = None,
    signatures: pd.DataFrame | None = None,
    bag_key: str = Key.obs.SPOT,
    key_added: str = Key.obsm.CROSS_VALIDATED,
    n_jobs: int = 1,
    client: Client | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
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
        Or a function of a table and the names of the groups left out that writes an embedding into the table and returns its key,
        such as :func:`histodecon.pp.adapter` makes; it is called once a fold, with a table of its own.
    %(targets)s
    learner
        Name of a learner.
    %(groupby)s
    n_folds
        Leave whole groups out in so many folds of about equal size instead of one by one.
    folds
        Groups of each fold by its name, such as ``{"1": ["H", "D"], "2": ["A", "G"]}``, or a column of ``obs`` with the fold of
        each spot. Groups in no fold are only trained on.
    baselines
        Learners reported beside it.
    keep_baselines
        Write their predictions too, to ``obsm[key_added + "_" + name]``, for ``evaluate(baseline=...)``.
    params
        Parameters of the learner that differ from its defaults; baselines keep theirs.
    transform
        Scale the targets are learned on: ``"none"``, ``"log1p"``, ``"sqrt"`` or ``"proportion"``.
    block_scaling
        With several embeddings: ``"none"`` lets each weigh as much as it is wide, ``"width"`` all the same.
    %(weights)s Baselines are
        weighted too; scores never are.
    %(layer)s
    %(signatures)s
    bag_key
        For learners of nuclei: column of ``obs`` with the spot of each nucleus. Sums over the nuclei of a spot are scored, and
        baselines learn from the mean embedding of its nuclei.
    %(key_added)s
    n_jobs
        Folds at once, a process each; -1 for one a core. Numbers do not depend on it.
    client
        Client of dask.distributed whose workers fit the folds instead.
    cache_dir
        Folder where finished folds are kept, so that after a kill the same call goes on from there.
    %(device)s
    %(random_state)s
    %(show_progress_bar)s

    Returns
    -------
    One row a fold and learner, and one row a learner with fold ``mean``. Columns: ``fold`` (the group left out),
    ``learner``, ``cc`` (Pearson over the spots of one group, mean over cell types, then over the groups of the fold),
    ``n_defined`` (cell types with a CC, of all groups), ``l1`` (mean absolute error in the unit of the targets), ``n_train``,
    ``n_test`` (spots), ``cc_slides`` (the same as ``cc`` within each slide), ``cc_pooled`` (over all spots of the row at once),
    ``spearman``, ``l1_shares`` (summed over types, of proportions), ``rmse`` and, of proportions, ``jsd``.

    The rows ``mean`` of baselines compare the learner with them, group by group: ``cc_difference`` and ``l1_difference`` (learner
    minus baseline), ``cc_p`` and ``l1_p`` (:func:`histodecon.stats.paired_test`), and ``smallest_p``, below which p cannot fall
    with so few groups: 0.5 with two.

    Raises
    ------
    MissingKeyError
        An embedding, the targets, their standard deviations or the column is absent.
    InputError
        Fewer than two groups have targets, two groups hold the same spots, or the folds do not fit the groups.
    TargetError
        Targets are negative, or a spot has only some of them.
    NamingError
        A fold or group is called ``mean``, which names a row.

    Warns
    -----
    UndefinedMetricWarning
        The CC of a cell type is undefined in a group.
    DroppedSpotsWarning
        Given folds leave a group out of all of them.

    Notes
    -----
    Writes ``obsm[key_added]``, the out-of-fold predictions of ``learner`` for every spot of a group that was left out, and
    ``uns["cross_validation"][key_added]``: ``scores`` (dict of columns), ``cc`` (folds × cell types), ``folds``, ``group_cc``
    (groups × cell types), ``groups``, ``group_folds`` (the fold of each), ``cell_types``, ``learner``, ``groupby``, ``use_rep``, ``targets``, ``weights``, ``random_state``.

    The CC of the learner ``mean`` is undefined: a constant correlates with nothing. Models of different folds share training
    patients, so p is approximate.

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
    step = use_rep if callable(use_rep) else None
    data = read_training_data(adata, None if callable(use_rep) else use_rep, targets, weights)
    labels = obs_column(adata, groupby)
    check_groups(labels, data, groupby)
    given = folds_of_column(adata, folds, labels) if isinstance(folds, str) else folds
    parts = make_folds(labels, data.measured, n_folds=n_folds, folds=given, random_state=random_state)
    if step is None:
        check_leaks(labels, data.X, parts, groupby)
    learners = list(dict.fromkeys([learner, *baselines]))
    keys = {name: key_added if name == learner else f"{key_added}_{name}" for name in learners}
    # a misspelled name or parameter answers before the first fold
    built = {name: get_learner(name).build(params if name == learner else None) for name in learners}
    genes = {
        name: read_gene_counts(adata, one, layer=layer, signatures=signatures, targets=targets)
        for name, one in built.items()
    }
    models = {
        name: AbundanceRegressor(
            name,
            params=params if name == learner else None,
            transform=transform if not built[name].absolute else "none",
            block_scaling=block_scaling,
            device=device,
            random_state=random_state,
        )
        for name in learners
    }
    bags = read_bags(adata, built[learner], bag_key)
    if step is not None and bags is not None:
        msg = "An embedding made anew for every fold cannot be read by a learner of nuclei"
        raise InputError(msg, fix='name the embedding of the nuclei as it is, `use_rep="X_uni"`', code="BI-72")
    slides = obs_column(adata, Key.obs.LIBRARY) if Key.obs.LIBRARY in adata.obs else labels
    spots = None if bags is None else SpotLevel.of(bags, data, labels, slides, parts)
    _refuse_baselines_of_nuclei(spots, keep=keep_baselines)
    rings = {name: one.n_rings for name, one in built.items()}
    neighbors = read_rings(adata, max(rings.values()))
    predictions = {name: np.full(data.Y.shape, np.nan) for name in learners}
    kinds: dict[str, str] = {}
    records = data.records
    how = {"n_jobs": n_jobs, "client": client, "cache_dir": cache_dir}
    with tqdm(total=len(parts) * len(learners), desc="cross-validation", disable=not show_progress_bar) as bar:
        for name, model in models.items() if step is None else ():
            own = neighbors[: rings[name]] if neighbors is not None and rings[name] else None
            told: dict[str, Any] = {"on_fold": lambda *_: bar.update(), "genes": genes[name], **how}
            if spots is not None and not built[name].reads_bags:
                found = _predict(model, spots.data, spots.labels, spots.folds, None, **told)
            else:
                found = _predict(model, data, labels, parts, own, **told, **({} if spots is None else {"bags": bags}))
            predictions[name], kinds[name] = found
        folds_anew = () if step is None else fold_data(adata, step, parts, labels, targets, weights, groupby)
        for fold, fresh in folds_anew:
            records = fresh.records
            for name, model in models.items():
                own = neighbors[: rings[name]] if neighbors is not None and rings[name] else None
                anew: dict[str, Any] = {"on_fold": lambda *_: bar.update(), "genes": genes[name], **how}
                values, kinds[name] = _predict(model, fresh, labels, [fold], own, **anew)
                predictions[name][fold.test] = values[fold.test]
    kind = kinds[learner]
    predictions = {name: _as_kind(values, kinds[name], kind) for name, values in predictions.items()}
    held_out, scored = _compared(data, labels, slides, parts, kind), dict(predictions)
    if spots is not None:
        held_out = _compared(spots.data, spots.labels, spots.slides, spots.folds, kind)
        scored[learner] = spots.bags.sums(predictions[learner])
    scores = {name: score_learner(held_out, name, scored[name]) for name in learners}
    table = join_scores(scores, learner)
    warn_undefined(held_out, learner, scores[learner])
    encoders = np.array([record.key for record in records], dtype=object)
    for name in learners if keep_baselines else [learner]:
        values = pd.DataFrame(predictions[name], index=adata.obs_names, columns=list(data.cell_types))
        write_table(adata, keys[name], values, kind=kind, record={"learner": name, "use_rep": encoders})
    facts: dict[str, Any] = {"learner": learner, "groupby": groupby, "targets": targets, "use_rep": encoders}
    facts |= {"weights": weights or "", "random_state": random_state, **_facts(held_out, scores[learner], table)}
    kept = adata.uns.get(Key.uns.CROSS_VALIDATION, {})
    adata.uns[Key.uns.CROSS_VALIDATION] = {**kept, key_added: facts}
    return table


def _compared(data: TrainingData, labels: NDArray, slides: NDArray, parts: Sequence[Fold], kind: str) -> HeldOut:
    truth = compositions(data.Y) if kind != data.kind else data.Y
    return HeldOut(truth, data.measured, labels, slides, parts, data.cell_types, kind)


def _refuse_baselines_of_nuclei(spots: SpotLevel | None, *, keep: bool) -> None:
    if spots is not None and keep:
        msg = "Baselines of a learner of nuclei predict spots, which are not rows of this table"
        raise InputError(msg, fix="`keep_baselines=False`", code="BI-124")


def _facts(held_out: HeldOut, scores: LearnerScores, table: pd.DataFrame) -> dict[str, Any]:
    groups = list(groups_out(held_out.labels, held_out.folds))
    return {
        "cell_types": np.array(held_out.cell_types, dtype=object),
        "cc": cc_by_fold(held_out, scores),
        "folds": np.array([fold.name for fold in held_out.folds], dtype=object),
        "group_cc": scores.cc,
        "groups": np.array([group for _, group, _ in groups], dtype=object),
        "group_folds": np.array([fold.name for fold, _, _ in groups], dtype=object),
        "scores": {str(name): table[name].to_numpy() for name in table.columns},
    }


def _as_kind(values: NDArray[np.float64], own: str, wanted: str) -> NDArray[np.float64]:
    """Abundances of a baseline as proportions, where the learner predicts proportions."""
    return compositions(values) if own != wanted == "proportion" else values


def _predict(
    model: AbundanceRegressor,
    data: TrainingData,
    labels: NDArray,
    folds: Sequence[Fold],
    neighbors: Sequence[csr_matrix] | None,
    **how: Any,
) -> tuple[NDArray[np.float64], str]:
    """Out-of-fold predictions, and their kind."""

    def weights(rows: NDArray) -> Any:
        return data.weights(rows, model.transform)

    fitted = fit_folds(
        model,
        data.X,
        data.Y,
        [fold.train for fold in folds],
        groups=labels,
        encoders=data.records,
        cell_types=data.cell_types,
        kind=data.kind,
        weights=None if data.sd is None else weights,
        neighbors=neighbors,
        **how,
    )
    predicted = np.full(data.Y.shape, np.nan)
    for fold, one in zip(folds, fitted, strict=True):
        own = None if neighbors is None else [among(ring, fold.test) for ring in neighbors]
        predicted[fold.test] = one.predict(data.X[fold.test], neighbors=own)
    return predicted, fitted[0].kind_
