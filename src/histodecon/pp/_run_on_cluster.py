"""Encode the tiles of all passes on the workers of a cluster, and keep every shard that is finished."""

from __future__ import annotations

import os
import warnings
from asyncio import CancelledError
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError as ThreadCancelledError
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np

from histodecon._core import InputError, ResourceError, first_names, interruptible
from histodecon.encoders import Encoder
from histodecon.pp._encode_shard import Picture, Told, close_pictures, encode_shard
from histodecon.pp._passes import Pass
from histodecon.pp._run_passes import Tick
from histodecon.pp._shard_cache import ShardCache
from histodecon.pp._tile_stream import opened

if TYPE_CHECKING:
    import pandas as pd
    from distributed import Client, Future

SMALL = 2**20
"""Bytes that the scheduler keeps, so that they outlive every worker; more is laid down on all workers."""

ROUNDS = 4
"""How often shards are handed out that were given up because data were lost with the workers that held them."""


@dataclass(frozen=True)
class _Task:
    at: int
    number: int
    of: tuple[int, ...]


def run_on_cluster(
    passes: Sequence[Pass],
    loaded: Sequence[Encoder],
    cache: ShardCache,
    names: pd.Index,
    *,
    client: Client,
    batch_size: int | None,
    tick: Tick,
) -> list[np.ndarray]:
    """Encode the tiles of all passes, one task for each shard.

    Parameters
    ----------
    passes, loaded, cache, names, batch_size, tick
        As in :func:`histodecon.pp._run_passes.run_passes`. Shards that are kept are read first, here, and every other one is
        kept as it arrives.
    client
        The client.

    Returns
    -------
    For each encoder float32 (n_obs, dim).

    Raises
    ------
    InputError
        An image or a function cannot be sent; or what a worker raises.
    ResourceError
        Workers died again and again, or the cluster is gone.
    """
    values = [np.empty((len(names), one.dim), dtype=np.float32) for one in loaded]
    todo = _missing(passes, cache, values, tick)
    given: set[str] = set()

    def take(task: _Task, answers: list[np.ndarray], told: Told) -> None:
        rows = _rows(passes, task)
        for i, answer in zip(task.of, answers, strict=True):
            values[i][rows] = answer
            cache.save(task.at, i, task.number, answer)
            tick(len(rows))
        for category, text in told:
            if text not in given:
                given.add(text)
                warnings.warn(text, category, stacklevel=2)

    for _ in range(ROUNDS):
        if not todo:
            return values
        with interruptible(), _submitted(todo, passes, loaded, names, client, batch_size) as tasks:
            todo = _collect(tasks, take, lambda task: first_names(names[_rows(passes, task)]))
        if todo and client.status != "running":
            break
    if not todo:
        return values
    msg = f"The cluster gave up {len(todo)} shards"
    raise ResourceError(msg, why="its workers or its scheduler are gone", fix="start it again", code="FI-20")


def _rows(passes: Sequence[Pass], task: _Task) -> np.ndarray:
    return passes[task.at].rows[passes[task.at].shard(task.number)]


def _missing(passes: Sequence[Pass], cache: ShardCache, values: Sequence[np.ndarray], tick: Tick) -> list[_Task]:
    """Read what is kept; name the rest."""
    tasks = []
    for at, plan in enumerate(passes):
        found = {i: cache.read(at, i, values[i], tick) for i in plan.of}
        for number in range(plan.n_shards):
            of = tuple(i for i in plan.of if number not in found[i])
            if of:
                tasks.append(_Task(at, number, of))
    return tasks


@contextmanager
def _submitted(
    todo: Sequence[_Task],
    passes: Sequence[Pass],
    loaded: Sequence[Encoder],
    names: pd.Index,
    client: Client,
    batch_size: int | None,
) -> Iterator[dict[Future, _Task]]:
    """Hand tasks to a cluster; those that are left when the block ends, as after a Ctrl-C, are taken back."""
    run = uuid4().hex
    pictures: dict[int, tuple[Picture, Any]] = {}
    encoders: dict[int, Any] = {}
    tasks: dict[Future, _Task] = {}
    try:
        for task in todo:
            plan = passes[task.at]
            if id(plan.picture) not in pictures:
                pictures[id(plan.picture)] = _send_picture(client, f"{run}-{len(pictures)}", plan.picture)
            for i in task.of:
                if i not in encoders:
                    encoders[i] = _send_encoder(client, f"{run}-encoder-{i}", loaded[i])
            rows = _rows(passes, task)
            centers = plan.centers[plan.shard(task.number)]
            alone = replace(plan, picture=None, rows=np.arange(len(rows)), centers=centers, of=(), ids=())
            future = client.submit(
                encode_shard,
                run,
                alone,
                names[rows],
                *pictures[id(plan.picture)],
                [encoders[i] for i in task.of],
                batch_size,
                key=f"embed_tiles-{run}-{task.at}-{task.number}",
                pure=False,
            )
            tasks[future] = task
        yield tasks
    finally:
        with suppress(Exception, CancelledError):  # the cluster may be gone
            sent = [content for _, content in pictures.values()]
            client.cancel([*tasks, *sent, *encoders.values()])  # an error that is looked at holds on to them
            client.run(close_pictures, run, on_error="ignore")


def _collect(
    tasks: dict[Future, _Task], take: Callable[[_Task, list[np.ndarray], Told], None], spots: Callable[[_Task], str]
) -> list[_Task]:
    """Take results as they arrive; return the tasks that the cluster gave up."""
    import distributed

    lost = []
    for future in distributed.as_completed(list(tasks)):
        task = tasks.pop(future)
        try:
            answers, told = future.result()
        except (CancelledError, ThreadCancelledError):
            lost.append(task)
            continue
        except distributed.KilledWorker as error:
            msg = "Several workers died one after the other on the same shard"
            raise ResourceError(
                msg,
                where=f"spots {spots(task)}",
                why="most often the cluster ends a worker that takes more memory than it was given",
                fix="give each worker more memory, or `batch_size=8`",
                code="FI-20",
            ) from error
        finally:
            future.release()
        take(task, answers, told)
    return lost


def _send_encoder(client: Client, key: str, encoder: Encoder) -> Future:
    """Send how a network was loaded, or a function itself."""
    import cloudpickle

    with _sendable(f"Encoder {encoder.name!r}", "let the function hold no open file, lock or device", "BI-51"):
        pickled: bytes = cloudpickle.dumps(encoder)
    return client.submit(_same, pickled, key=key) if len(pickled) <= SMALL else _lay_down(client, pickled)


def _send_picture(client: Client, key: str, picture: Any) -> tuple[Picture, Any]:
    """Send a path, an array that reads itself from a file, or pixels."""
    import cloudpickle

    if isinstance(picture, (str, os.PathLike)):
        picture = str(Path(picture).absolute())
    with opened(picture) as image:
        sent = Picture(key, image.digest(), picture if isinstance(picture, str) else image.source)
    arrays: list[Any] = []  # are not copied to learn how large they are
    with _sendable("The image", "hand in its path: `image=path`", "BI-24"):
        rest = cloudpickle.dumps(picture, protocol=5, buffer_callback=arrays.append)
        if len(rest) + sum(array.raw().nbytes for array in arrays) <= SMALL:
            return sent, client.submit(_same, cloudpickle.dumps(picture), key=key)
    return sent, _lay_down(client, picture)


@contextmanager
def _sendable(what: str, fix: str, code: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # a class decides itself what it raises
        msg = f"{what} cannot be sent to other processes"
        raise InputError(msg, where=f"{type(error).__name__}: {error}"[:300], fix=fix, code=code) from error


def _lay_down(client: Client, value: Any) -> Future:
    client.submit(os.getpid, pure=False).result()  # a cluster that grows on demand has a worker now
    return client.scatter(value, hash=False, broadcast=True)


def _same(value: bytes) -> bytes:
    return value
