"""Encode the tiles of all passes, and keep every shard that is finished."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from histodecon import images
from histodecon._core import InputError, first_names, interruptible
from histodecon.encoders import Encoder
from histodecon.pp._passes import SHARD, Pass
from histodecon.pp._shard_cache import ShardCache
from histodecon.pp._tile_stream import opened
from histodecon.pp._unreadable import named

if TYPE_CHECKING:
    import pandas as pd

STREAMED = 64
"""Tiles that are cut at once for a CPU; an accelerator gets whole shards, so that its batches follow each other closely."""

Tick = Callable[[int], None]


def run_passes(
    passes: Sequence[Pass],
    loaded: Sequence[Encoder],
    cache: ShardCache,
    names: pd.Index,
    *,
    batch_size: int | None,
    tick: Tick,
) -> list[np.ndarray]:
    """Encode the tiles of all passes, shard by shard.

    Parameters
    ----------
    passes
        The passes.
    loaded
        The encoders.
    cache
        Where finished shards are kept.
    names
        Barcodes, for errors.
    batch_size
        Tiles encoded at once; None leaves it to each encoder.
    tick
        Called with the number of tiles that are done.

    Returns
    -------
    For each encoder float32 (n_obs, dim).
    """
    values = [np.empty((len(names), one.dim), dtype=np.float32) for one in loaded]
    with interruptible() as call:
        for at, plan in enumerate(passes):
            everything = set(range(plan.n_shards))
            missing = {i: everything - cache.read(at, i, values[i], tick) for i in plan.of}
            for number in _encode_missing(plan, missing, loaded, values, names, batch_size, tick, call):
                for i in plan.of:
                    if number in missing[i]:
                        cache.save(at, i, number, values[i][plan.rows[plan.shard(number)]])
    return values


def tiles_at_once(encoders: Sequence[Encoder], batch_size: int | None) -> int:
    """Say how many tiles are cut before they are encoded.

    Parameters
    ----------
    encoders
        The encoders that read them.
    batch_size
        Tiles encoded at once.

    Returns
    -------
    The number; divides a shard.
    """
    on_cpu = all(one.device == "cpu" for one in encoders) and (batch_size or 0) <= STREAMED
    return STREAMED if on_cpu else SHARD


def stream_shards(plan: Pass, shards: Sequence[int], *, streamed: int) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Cut the tiles of some shards in one pass through the image.

    Parameters
    ----------
    plan
        The pass.
    shards
        Numbers of the shards, ascending.
    streamed
        Tiles that are cut at once; divides a shard.

    Yields
    ------
    The number of a shard, places of tiles in the pass, and these tiles. No batch has tiles of two shards, so that a shard is the
    same whatever is computed before it.
    """
    places = np.concatenate([np.arange(len(plan.rows))[plan.shard(number)] for number in shards])
    with opened(plan.picture) as image:
        for rows, tiles in images.iter_tiles(
            image,
            plan.centers[places],
            plan.box_px,
            plan.output_px,
            batch_size=streamed,
            interpolation=plan.interpolation,  # type: ignore[arg-type] # the card allows these two only
        ):
            here = places[rows]
            yield int(here[0]) // SHARD, here, tiles


def _encode_missing(
    plan: Pass,
    missing: Mapping[int, set[int]],
    loaded: Sequence[Encoder],
    values: Sequence[np.ndarray],
    names: pd.Index,
    batch_size: int | None,
    tick: Tick,
    call: Callable[..., np.ndarray],
) -> Iterator[int]:
    """Encode what some encoder misses; yield each shard that is complete."""
    shards = sorted(set().union(*missing.values()))
    if not shards:
        return
    streamed = tiles_at_once([loaded[i] for i in plan.of], batch_size)
    tiles_of = stream_shards(plan, shards, streamed=streamed)
    barcodes = [str(name) for name in names[plan.rows]]
    for number, places, tiles in named(tiles_of, plan.picture, plan.centers, plan.box_px, barcodes):
        rows = plan.rows[places]
        for i in plan.of:
            if number in missing[i]:
                values[i][rows] = call(encode_finite, loaded[i], tiles, batch_size, names[rows])
                tick(len(rows))
        if places[-1] + 1 == plan.shard(number).stop:
            yield number


def encode_finite(encoder: Encoder, tiles: np.ndarray, batch_size: int | None, names: pd.Index) -> np.ndarray:
    """Encode tiles, and refuse answers that are not finite.

    Parameters
    ----------
    encoder
        The encoder.
    tiles
        uint8 (n, px, px, 3).
    batch_size
        Tiles at once.
    names
        Their barcodes.

    Returns
    -------
    float32 (n, dim).

    Raises
    ------
    InputError
        Some are not finite.
    """
    values = encoder.encode(tiles, batch_size=batch_size)
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(bad):
        msg = f"Encoder {encoder.name!r} answered with numbers that are not finite"
        raise InputError(
            msg,
            where=f"{len(bad)} of {len(values)} spots of this batch: {first_names(names[bad])}",
            why="one such value spoils every prediction",
            fix="look at these tiles with `histodecon.pl.tiles(data, barcodes=[...])`, or mend the encoder",
            code="BI-42",
        )
    return values
