"""Folds on the workers of a cluster."""

from __future__ import annotations

import os
from asyncio import CancelledError
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError as ThreadCancelledError
from contextlib import suppress
from typing import TYPE_CHECKING
from uuid import uuid4

from histodecon._core import ResourceError
from histodecon.models._fit_fold import Done, FoldData, Task, fit_fold

if TYPE_CHECKING:
    from distributed import Client

    from histodecon.models._regressor import AbundanceRegressor

ROUNDS = 4
"""How often folds are handed out that were given up because data were lost with the workers that held them."""


def fit_on_cluster(client: Client, model: AbundanceRegressor, data: FoldData, todo: Sequence[Task]) -> Iterator[Done]:
    """Fit folds, one task each; what is left when the caller stops, as after a Ctrl-C, is taken back.

    Parameters
    ----------
    client
        The client.
    model, data
        As in ``fit_fold``.
    todo
        The folds.

    Yields
    ------
    Results as they arrive.

    Raises
    ------
    ResourceError
        Workers died again and again, or the cluster is gone.
    """
    left = {task.number: task for task in todo}
    for _ in range(ROUNDS):
        if left and client.status == "running":
            for done in _round(client, model, data, list(left.values())):
                del left[done[0]]
                yield done
    if left:
        msg = f"The cluster gave up {len(left)} folds"
        raise ResourceError(msg, why="its workers or its scheduler are gone", fix="start it again", code="FI-20")


def _round(client: Client, model: AbundanceRegressor, data: FoldData, todo: Sequence[Task]) -> Iterator[Done]:
    import distributed

    run = uuid4().hex
    client.submit(os.getpid, pure=False).result()  # a cluster that grows on demand has a worker now
    laid = client.scatter(data, hash=False, broadcast=True)
    tasks = {
        client.submit(fit_fold, model, laid, task, key=f"fit_folds-{run}-{task.number}", pure=False): task
        for task in todo
    }
    try:
        for future in distributed.as_completed(list(tasks)):
            task = tasks.pop(future)
            try:
                done = future.result()
            except (CancelledError, ThreadCancelledError):
                continue
            except distributed.KilledWorker as error:
                msg = "Several workers died one after the other on the same fold"
                raise ResourceError(
                    msg,
                    where=f"fold {task.number}, {len(task.rows)} rows",
                    why="most often the cluster ends a worker that takes more memory than it was given",
                    fix="give each worker more memory",
                    code="FI-20",
                ) from error
            finally:
                future.release()
            yield done
    finally:
        with suppress(Exception, CancelledError):  # the cluster may be gone
            client.cancel([*tasks, laid])
