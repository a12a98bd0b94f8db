"""Which learner, and which embedding, is worth its cost on one's own slides."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from histodecon._core import InputError, Key, doc, first_names, obs_column, table_of
from histodecon.models import get_learner
from histodecon.tl._checks import require_safe_key
from histodecon.tl._comparison_table import summarize
from histodecon.tl._cross_validate import cross_validate
from histodecon.tl._fold_embeddings import FoldStep, light_table
from histodecon.tl._folds import MEAN, folds_of_column, make_folds
from histodecon.tl._peak_memory import PeakMemory
from histodecon.tl._spot_level import nuclei_beside_spots
from histodecon.tl._training_data import embedding_keys, read_training_data

if TYPE_CHECKING:
    from anndata import AnnData
    from distributed import Client

Embedding = str | Sequence[str] | FoldStep
Embeddings = Embedding | Mapping[str, Embedding]
Learners = Sequence[str] | Mapping[str, str | Mapping[str, Any]]


@doc
def compare_learners(
    adata: AnnData,
    *,
    use_rep: Embeddings,
    learners: Learners = ("mean", "ridge", "mlp"),
    targets: str = Key.obsm.TARGETS,
    groupby: str = Key.obs.PATIENT,
    n_folds: int | None = None,
    folds: Mapping[str, Sequence[str]] | str | None = None,
    reference: str | None = None,
    seeds: int = 1,
    level: float = 0.95,
    transform: str = "none",
    block_scaling: Literal["none", "width"] = "none",
    weights: Literal["posterior"] | None = None,
    layer: str | None = None,
    signatures: pd.DataFrame | None = None,
    bag_key: str = Key.obs.SPOT,
    key_added: str = Key.uns.LEARNER_COMPARISON,
    n_jobs: int = 1,
    client: Client | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    device: str = "auto",
    random_state: int = 0,
    show_progress_bar: bool = True,
) -> pd.DataFrame:
    """Compare learners and embeddings on the same patients left out: what each gains on a reference, and what it costs.

    Every combination is cross-validated with :func:`cross_validate` on the same folds. What a learner has to choose (a penalty, the
    end of training) it chooses on the training patients of each fold, so nothing is chosen on those that score it.

    Parameters
    ----------
    %(adata)s
    use_rep
        Embeddings that each learner is given: a key of ``obsm``; a list of keys, side by side; or a dict from a name to either,
        whose entries are compared. In place of a key also a function, as in :func:`cross_validate`.
    learners
        Names (:func:`histodecon.models.list_learners`); or a dict from a name of your own to a learner, or to its parameters with
        the learner under ``"learner"``, such as ``{"wide": {"learner": "mlp", "hidden": 512}}``.
    %(targets)s
    %(groupby)s
    n_folds, folds
        As in :func:`cross_validate`. The groups of a fold count as one unit.
    reference
        The learner that others are compared with, on the first of ``use_rep``; default ``"ridge"``, or the first where ridge does
        not take part.
    seeds
        Trainings of each learner whose result depends on chance; scores are averaged over them.
    level
        Coverage that intervals aim at. They take six units for 0.95, see :func:`histodecon.stats.group_interval`.
    transform, block_scaling
        As in :func:`cross_validate`.
    %(weights)s
    %(layer)s
    %(signatures)s
    bag_key
        For learners of nuclei: column of ``obs`` with the spot of each nucleus. Where one takes part, everything is scored on spots: the
        sums over their nuclei, and what other learners say of the mean embedding of their nuclei. ``weights`` then weigh nothing for
        these others.
    key_added
        Key of ``uns``.
    n_jobs, client, cache_dir
        As in :func:`cross_validate`. Seconds then are those of all processes together working, and memory that of this one; folds
        that the cache holds cost nothing.
    %(device)s
    %(random_state)s
    %(show_progress_bar)s

    Returns
    -------
    One row a combination, in order. Columns: ``encoders``, ``learner``; ``cc`` (mean over the units left out) with
    ``cc_lower``, ``cc_upper``, and ``cc_sd_seeds``, the standard deviation over trainings; ``l1``; ``cc_difference`` (row minus
    reference) with ``cc_difference_lower``, ``cc_difference_upper`` and ``cc_p``, ``l1_difference`` and ``l1_p``, paired by unit;
    ``better_in`` (units with a higher CC than the reference), ``n_folds``; ``seconds`` (of the clock, all folds of one training)
    and ``memory_mb`` (peak beyond what was there, NaN where the system does not tell); ``reading``: ``"better"``, ``"worse"``,
    ``"as good"`` (the interval of the difference holds 0), ``"too few groups to tell"``, ``"no CC"`` or ``"reference"``.

    Raises
    ------
    MissingKeyError
        An embedding, the targets or the column is absent.
    InputError
        A learner or parameter is unknown, none is named, the reference does not take part, or a learner that reads neighbors or genes
        shall be compared with one of nuclei.

    Notes
    -----
    Writes ``uns[key_added]``: ``summary`` and ``scores`` (dicts of columns; ``scores`` has a row a combination, unit and seed), and
    ``reference``, ``groupby``, ``targets``. Draw it with
    ``pl.ablation(pd.DataFrame(adata.uns["learner_comparison"]["scores"]), series="learner")``.

    Folds share training patients, so p is approximate; and of many combinations the best looks better than it is.

    Examples
    --------
    >>> import histodecon as hd
    >>> adata = hd.datasets.toy_slide(n_patients=3, n_rows=5, n_cols=5).tables["table"]
    >>> hd.tl.set_targets(adata, "true_abundance")
    >>> adata.obsm["X_own"] = adata.obsm["true_abundance"].to_numpy()[:, :3] + 1.0
    >>> table = hd.tl.compare_learners(adata, use_rep="X_own", learners=["mean", "ridge"], show_progress_bar=False)
    >>> table["reading"].tolist()
    ['no CC', 'reference']
    """
    from tqdm.auto import tqdm

    adata = table_of(adata)
    require_safe_key(key_added, "key_added")
    methods, embeddings = _methods(learners), _embeddings(use_rep)
    base = (next(iter(embeddings)), _reference(reference, methods))
    if int(seeds) != seeds or seeds < 1:
        msg = f"`seeds` must be a whole number above 0, got {seeds!r}"
        raise InputError(msg, fix="`seeds=5`", code="BI-72")
    built = {name: get_learner(learner).build(own) for name, (learner, own) in methods.items()}
    steps = any(callable(one) for one in embeddings.values())
    light = light_table(adata, counts=steps or any(one.reads_genes for one in built.values()))
    labels = obs_column(light, groupby)
    first = next(iter(embeddings.values()))
    measured = read_training_data(light, None if callable(first) else first, targets, weights).measured
    keys = _keys(embeddings, of_nuclei=any(one.reads_bags for one in built.values()))
    in_spots, spots = nuclei_beside_spots(light, built, bag_key, use_rep=keys, targets=targets, groupby=groupby)
    measured &= in_spots
    given = folds_of_column(light, folds, labels) if isinstance(folds, str) else folds
    parts = make_folds(labels, measured, n_folds=n_folds, folds=given, random_state=random_state)
    same_folds = {part.name: list(part.groups) for part in parts}
    work = [
        (encoders, name, seed)
        for encoders in embeddings
        for name in methods
        for seed in range(seeds if built[name].seeded else 1)
    ]
    rows = []
    for encoders, name, seed in tqdm(work, desc="comparison", disable=not show_progress_bar):
        learner, params = methods[name]
        on_spots = spots is not None and not built[name].reads_bags
        start = time.perf_counter()
        with PeakMemory() as memory:
            table = cross_validate(
                spots if on_spots else light,
                use_rep=embeddings[encoders],
                targets=targets,
                learner=learner,
                groupby=groupby,
                folds=same_folds,
                baselines=(),
                params=params,
                transform=transform,
                block_scaling=block_scaling,
                weights=None if on_spots else weights,
                layer=layer,
                signatures=signatures,
                bag_key=bag_key,
                n_jobs=n_jobs,
                client=client,
                cache_dir=cache_dir,
                device=device,
                random_state=random_state + seed,
                show_progress_bar=False,
            )
        cost = {"seconds": time.perf_counter() - start, "memory_mb": memory.mb}
        for _, row in table[table["fold"] != MEAN].iterrows():
            scores = row.drop(["fold", "learner"]).to_dict()
            rows.append({"encoders": encoders, "learner": name, "test": row["fold"], "seed": seed, **scores, **cost})
    scores = pd.DataFrame(rows)
    summary = summarize(scores, base, level=level, random_state=random_state)
    adata.uns[key_added] = {
        "summary": {str(name): summary[name].to_numpy() for name in summary.columns},
        "scores": {str(name): scores[name].to_numpy() for name in scores.columns},
        "reference": np.array(base, dtype=object),
        "groupby": groupby,
        "targets": targets,
    }
    return summary


def _methods(learners: Learners) -> dict[str, tuple[str, dict[str, Any]]]:
    """Learner and parameters of every name; what is misspelled answers before the first fold."""
    named = learners if isinstance(learners, Mapping) else {name: name for name in _listed(learners)}
    methods = {}
    for name, what in named.items():
        params = {} if isinstance(what, str) else dict(what)
        learner = what if isinstance(what, str) else str(params.pop("learner", name))
        get_learner(learner).build(params)
        methods[str(name)] = (learner, params)
    if not methods:
        msg = "No learner is named"
        raise InputError(msg, fix='`compare_learners(adata, learners=["ridge", "mlp"], ...)`', code="BI-51")
    return methods


def _listed(names: Sequence[str]) -> list[str]:
    return [names] if isinstance(names, str) else list(dict.fromkeys(names))


def _embeddings(use_rep: Embeddings) -> dict[str, Embedding]:
    """Keys of every set of embeddings, or what writes it for a fold."""
    if isinstance(use_rep, Mapping):
        sets: dict[str, Embedding] = dict(use_rep)
    else:
        sets = {"adapted" if callable(use_rep) else " + ".join(embedding_keys(use_rep)): use_rep}
    if not sets:
        msg = "No embedding is named"
        raise InputError(msg, fix='`use_rep="X_uni"` or `use_rep={"UNI": "X_uni", ...}`', code="BI-51")
    return {str(name): keys for name, keys in sets.items()}


def _keys(embeddings: Mapping[str, Embedding], *, of_nuclei: bool) -> list[str]:
    """Keys that are there before the first fold; of nuclei others cannot be read."""
    if of_nuclei and any(callable(one) for one in embeddings.values()):
        msg = "An embedding made anew for every fold cannot be read by a learner of nuclei"
        raise InputError(msg, fix='name the embedding of the nuclei as it is, `use_rep="X_uni"`', code="BI-72")
    return list(dict.fromkeys(key for one in embeddings.values() if not callable(one) for key in embedding_keys(one)))


def _reference(wanted: str | None, methods: Mapping[str, Any]) -> str:
    if wanted is None:
        return "ridge" if "ridge" in methods else next(iter(methods))
    if wanted not in methods:
        msg = f"The reference {wanted!r} does not take part"
        raise InputError(msg, where=f"those compared are {first_names(list(methods))}", code="BI-51")
    return wanted
