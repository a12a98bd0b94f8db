"""Journals and parts that were changed at random, or on purpose: what is read is what was written, or nothing."""

from __future__ import annotations

import hashlib
import json
import os
import random
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from histodecon._core import ShardStore
from histodecon._core._shards import JOURNAL

TRIES = int(os.environ.get("HISTODECON_FUZZ", "200"))
ODD: list[Any] = [
    None, True, -1, 0, 5, 10**9, 10**30, -(10**30), 1e308, float("inf"), float("nan"), "", "x", "5", [], [[]], {}, "0" * 64, 5.0,
]  # fmt: skip


def mangled(content: bytes, rng: random.Random) -> bytes:
    """Some bytes flipped, cut out, put in, or said twice."""
    found = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        at, size = rng.randrange(len(found) + 1), rng.randint(0, 12)
        how = rng.randrange(4)
        if how == 0 and at < len(found):
            found[at] ^= 1 << rng.randrange(8)
        elif how == 1:
            del found[at : at + size]
        elif how == 2:
            found[at:at] = rng.choice(
                [rng.randbytes(size), b"[" * 3000, b'{"shard":', b"9" * 5000, b"\xff\xfe", b"1e999"]
            )
        else:
            found[at:at] = found[at : at + 40]
    return bytes(found)


def test_no_journal_and_no_part_is_believed_that_was_not_written(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """A fuzzer: bytes anywhere, and lines that state the right digest of a file that is not an array."""
    rng = random.Random(0)
    store = ShardStore(tmp_path / "store", 3)
    store.create()
    parts = [np.random.default_rng(i).normal(size=(5, 3)).astype(np.float32) for i in range(4)]
    for number, part in enumerate(parts):
        store.save(number, part)
    journal, first = store.folder / JOURNAL, store.folder / "shard_000000.npy"
    written, content = journal.read_bytes(), first.read_bytes()
    lines = [json.loads(line) for line in written.split(b"\n") if line]
    store.finished()
    tracemalloc.start()
    for turn in range(TRIES):
        journal.write_bytes(written)
        first.write_bytes(content)
        forged = turn % 3 == 2
        if turn % 3 == 0:
            journal.write_bytes(mangled(written, rng))
        elif turn % 3 == 1:
            line = dict(rng.choice(lines))
            line[rng.choice([*line])] = rng.choice(ODD)
            journal.write_bytes(written + b"\n" + json.dumps(line).encode() + b"\n")
        else:
            changed = mangled(content, rng)
            first.write_bytes(changed)
            line = {
                "shard": 0,
                "rows": rng.choice([5, 5, 5, 0, -1, 10**12]),
                "sha256": hashlib.sha256(changed).hexdigest(),
            }
            journal.write_bytes(written + b"\n" + json.dumps(line).encode() + b"\n")
        for number, line in store.finished().items():
            values = store.load(number, line)
            if values is not None:
                assert values.dtype == np.float32
                assert values.shape[1] == 3
                if not forged or number:
                    np.testing.assert_array_equal(values, parts[number])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000
    record_property("fuzz", "journal and parts of the cache of embeddings")
    record_property("n", TRIES)
