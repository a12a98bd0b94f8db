"""Many fits of one regressor, each on other rows: leave one patient out, and the like."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Generator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histodecon._core import InputError, ResourceError, as_2d_float, require_client
from histodecon.models._fit_at_once import fit_at_once
from histodecon.models._fit_fold import Done, FoldData, Task, fit_fold
from histodecon.models._fold_cache import FoldCache

if TYPE_CHECKING:
    from distributed import Client
    from scipy.sparse import csr_matrix

    from histodecon.models._genes import GeneCounts
    from histodecon.models._records import EncoderRecord
    from histodecon.models._regressor import AbundanceRegressor

MAPPED = "1M"
"""Arrays from this size on are shared with other processes as a memory map."""


def fit_folds(
    model: AbundanceRegressor,
    X: ArrayLike,
    y: ArrayLike,
    folds: Sequence[ArrayLike],
    *,
    groups: ArrayLike | None = None,
    encoders: Sequence[EncoderRecord] | None = None,
    cell_types: Sequence[str] | None = None,
    kind: str = "abundance",
    weights: Callable[[NDArray[np.intp]], ArrayLike] | None = None,
    neighbors: Sequence[csr_matrix] | None = None,
    genes: GeneCounts | None = None,
    bags: ArrayLike | None = None,
    n_jobs: int = 1,
    client: Client | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    on_fold: Callable[[int, AbundanceRegressor], Any] | None = None,
) -> list[AbundanceRegressor]:
    """Fit copies of a regressor, one for each set of training rows.

    Parameters
    ----------
    model
        The regressor; it stays as it is.
    X
        Embeddings of all rows, shape (n, d).
    y
        Abundances of all rows, shape (n, K). Rows in no fold may be NaN.
    folds
        Training rows of each fold, as numbers.
    groups, encoders, cell_types, kind
        As in :meth:`AbundanceRegressor.fit`; ``groups`` of all rows.
    weights
        Function of the training rows of a fold that returns how much their targets count.
    neighbors
        For learners that read neighbors: sparse matrices of shape (n, n), one a ring, rows summing to 1. In a fold only
        neighbors among its training rows count.
    genes, bags
        As in :meth:`AbundanceRegressor.fit`, of all rows.
    n_jobs
        Processes on this machine, each on one thread; -1 for one a core. Arrays are shared, not copied for each.
    client
        Client of dask.distributed whose workers fit the folds instead.
    cache_dir
        Folder where finished folds are kept as model files, so that after a kill the same call goes on from there. A fold is
        known by a digest of its data, the parameters and the versions.
    on_fold
        Called with the number of each finished fold and its regressor, in the order they finish.

    Returns
    -------
    One fitted regressor a fold, in the order of ``folds``. On a CPU the numbers do not depend on ``n_jobs`` and ``client``.

    Learners that know how fit all folds at once in this process instead: ``ridge`` from sums over the groups, and networks on a
    CUDA device, stacked into one.

    Raises
    ------
    InputError
        A fold is not a list of rows, or as in :meth:`AbundanceRegressor.fit`.
    ResourceError
        A process died, most often for want of memory.
    StoreError
        The folder cannot be written.

    Examples
    --------
    >>> import numpy as np
    >>> from histodecon.models import AbundanceRegressor, fit_folds
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(60, 4)).astype("float32")
    >>> Y, patient = np.clip(3 + X[:, :2], 0, None), np.repeat([0, 1, 2], 20)
    >>> training = [np.flatnonzero(patient != left_out) for left_out in range(3)]
    >>> models = fit_folds(AbundanceRegressor("ridge"), X, Y, training, groups=patient)
    >>> [model.training_["n_rows"] for model in models]
    [40, 40, 40]
    """
    if client is not None:
        require_client(client)
    processes = _processes(n_jobs)
    facts = {"encoders": encoders, "cell_types": cell_types, "kind": kind}
    labels = None if groups is None else np.asarray(groups)
    own = None if bags is None else np.asarray(bags)
    data = FoldData(as_2d_float(X, "X"), np.asarray(y, dtype=np.float64), labels, neighbors, facts, genes, own)
    tasks = [_task(i, rows, len(data.X), weights) for i, rows in enumerate(folds)]
    cache = FoldCache(cache_dir, model, data)
    fitted: dict[int, AbundanceRegressor] = {}

    def take(task: Task, one: AbundanceRegressor) -> None:
        fitted[task.number] = one
        if on_fold is not None:
            on_fold(task.number, one)

    todo = []
    for task in tasks:
        kept = cache.read(task)
        todo += [task] if kept is None else []
        if kept is not None:
            take(task, kept)
    given: set[str] = set()
    with closing(_done(model, data, todo, processes, client)) as done:
        for number, one, told in done:
            cache.save(tasks[number], one)
            take(tasks[number], one)
            for category, text in told:
                if text not in given:
                    given.add(text)
                    warnings.warn(text, category, stacklevel=2)
    return [fitted[task.number] for task in tasks]


def _done(
    model: AbundanceRegressor, data: FoldData, todo: Sequence[Task], processes: int, client: Client | None
) -> Generator[Done]:
    """Fit what is to be fitted, wherever; results as they come."""
    at_once = fit_at_once(model, data, todo)
    if at_once is not None:
        yield from at_once
    elif client is not None:
        from histodecon.models._fit_on_cluster import fit_on_cluster

        yield from fit_on_cluster(client, model, data, todo)
    elif min(processes, len(todo)) > 1:
        yield from _in_processes(model, data, todo, processes)
    else:
        for task in todo:
            yield fit_fold(model, data, task)


def _in_processes(model: AbundanceRegressor, data: FoldData, todo: Sequence[Task], processes: int) -> Generator[Done]:
    from joblib import Parallel, delayed, parallel_config

    with parallel_config("loky", n_jobs=min(processes, len(todo)), inner_max_num_threads=1):
        parallel = Parallel(return_as="generator_unordered", max_nbytes=MAPPED, mmap_mode="r")
    work = parallel(delayed(fit_fold)(model, data, task) for task in todo)
    try:
        with closing(work):
            yield from work
    except BrokenProcessPool as error:
        msg = "A process that fitted a fold died"
        why = "most often the system ends one that takes more memory than there is"
        raise ResourceError(msg, why=why, fix="fewer at once, `n_jobs=1`", code="FI-20") from error


def _processes(n_jobs: int) -> int:
    from joblib import effective_n_jobs

    if isinstance(n_jobs, bool) or not isinstance(n_jobs, (int, np.integer)) or n_jobs == 0:
        msg = f"n_jobs is a whole number other than 0, got {n_jobs!r}"
        raise InputError(msg, fix="`n_jobs=-1` takes all cores", code="BI-72")
    return int(effective_n_jobs(int(n_jobs)))


def _task(number: int, rows: ArrayLike, n_rows: int, weights: Callable[[NDArray[np.intp]], ArrayLike] | None) -> Task:
    numbers = np.asarray(rows)
    sound = numbers.ndim == 1 and len(numbers) and np.issubdtype(numbers.dtype, np.integer)
    if not sound or numbers.min() < 0 or numbers.max() >= n_rows or len(np.unique(numbers)) < len(numbers):
        msg = "A fold is a list of different rows"
        raise InputError(msg, where=f"fold {number} of {n_rows} rows", fix="`numpy.flatnonzero(mask)`", code="BI-72")
    numbers = numbers.astype(np.intp)
    return Task(number, numbers, None if weights is None else np.asarray(weights(numbers), dtype=np.float64))
