"""Where the finished shards of a run are kept until it is through."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from histodecon._core import FallbackWarning, ShardStore, StoreError, alone, locked, present
from histodecon.encoders import Encoder
from histodecon.pp._passes import SHARD, Pass
from histodecon.pp._prune_shards import prune_shards

RESUME = "{done} of {all} shards of {size} spots are finished and kept; the same call goes on from there."


class ShardCache:
    """The stores of a run, one for each pass and encoder.

    Parameters
    ----------
    stores
        By pass (its position in the list) and encoder; absent where nothing is kept.
    passes
        The passes.
    strict
        Whether a shard that cannot be kept is an error; else it is told once, and the run goes on without.
    """

    def __init__(self, stores: dict[tuple[int, int], ShardStore], passes: Sequence[Pass], *, strict: bool) -> None:
        self.stores = stores
        self.passes = passes
        self.strict = strict
        self.kept = 0

    def read(self, at: int, encoder: int, out: np.ndarray, tick: Callable[[int], None]) -> set[int]:
        """Put finished shards in their place.

        Parameters
        ----------
        at
            Position of the pass.
        encoder
            Position of the encoder.
        out
            Its embedding, float32 (n_obs, dim).
        tick
            Called with the number of tiles of each shard.

        Returns
        -------
        Numbers of the shards that were found whole.
        """
        store, plan = self.stores.get((at, encoder)), self.passes[at]
        found: set[int] = set()
        for number, line in {} if store is None else store.finished().items():
            values = store.load(number, line) if store is not None and 0 <= number < plan.n_shards else None
            rows = plan.rows[plan.shard(number)]
            if values is not None and len(values) == len(rows):
                out[rows] = values
                found.add(number)
                tick(len(rows))
        self.kept += len(found)
        return found

    def save(self, at: int, encoder: int, number: int, values: np.ndarray) -> None:
        """Keep a shard.

        Parameters
        ----------
        at, encoder
            As in :meth:`read`.
        number
            Its number.
        values
            float32 (rows, dim).

        Raises
        ------
        StoreError
            It cannot be kept, and ``cache_dir`` was named.
        """
        store = self.stores.get((at, encoder))
        if store is None:
            return
        try:
            store.save(number, values)
            self.kept += 1
        except StoreError as error:
            if self.strict:
                raise
            self.stores.clear()
            _warn_without(str(error))

    def note(self) -> str:
        """Say how much is kept, and how to go on."""
        shards = sum(plan.n_shards * len(plan.of) for plan in self.passes)
        return RESUME.format(done=self.kept, all=shards, size=SHARD) if self.stores else ""


@contextmanager
def shard_cache(
    passes: Sequence[Pass], loaded: Sequence[Encoder], *, cache_dir: str | os.PathLike[str] | bool | None
) -> Iterator[ShardCache]:
    """Open the stores of a run, and hold their locks.

    Parameters
    ----------
    passes
        The passes.
    loaded
        The encoders.
    cache_dir
        As in :func:`histodecon.pp.embed_tiles`.

    Yields
    ------
    The cache. Afterwards the stores of the user's cache are removed if all went well; those of a named folder stay. Stores of the
    user's cache that nobody touched for a month are removed before.

    Raises
    ------
    StoreError
        The named folder cannot be made.
    """
    named = cache_dir is not None and not isinstance(cache_dir, bool)
    folder = Path(os.fspath(cache_dir)).expanduser() if named else _users_cache()  # type: ignore[arg-type] # a path when named
    stores = {} if cache_dir is False else _stores(folder, passes, loaded, every=named)
    with ExitStack() as stack:
        try:
            inorder = sorted(stores.values(), key=lambda one: one.folder)  # two processes take them in one order
            for store in inorder:
                store.create()
                stack.enter_context(present(store.folder))
            for store in inorder:
                stack.enter_context(locked(store.lock))
                store.create()  # who held the lock may have removed it, if it did not see us come
        except StoreError as error:
            if named:
                raise
            stores.clear()
            _warn_without(str(error))
        cache = ShardCache(stores, passes, strict=named)
        try:
            yield cache
        except BaseException as error:
            if cache.note():
                error.add_note(cache.note())
            raise
        if not named:
            for store in cache.stores.values():
                if alone(store.folder):  # else the last one removes it
                    store.remove()


def _stores(
    folder: Path, passes: Sequence[Pass], loaded: Sequence[Encoder], *, every: bool
) -> dict[tuple[int, int], ShardStore]:
    """Make a store for each pass and encoder; functions have one on request only. Old ones of the user's cache are removed."""
    if not every:
        prune_shards(folder)
    return {
        (at, i): plan.store(folder, position, loaded[i].dim)
        for at, plan in enumerate(passes)
        for position, i in enumerate(plan.of)
        if every or loaded[i].network is not None
    }


def _users_cache() -> Path:
    import pooch

    return Path(pooch.os_cache("histodecon")) / "embeddings"


def _warn_without(why: str) -> None:
    warnings.warn(
        f"[HD-FI-13] Finished shards are not kept: {why} The run goes on; a kill would lose it.",
        FallbackWarning,
        stacklevel=5,
    )
