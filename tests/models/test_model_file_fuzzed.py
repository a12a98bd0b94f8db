"""A fuzzer for the reader of model files: a model or an error of ours, nothing is unpickled, memory stays bounded.

`HISTODECON_FUZZ` is the number of files; `make reliability` takes many.
"""

from __future__ import annotations

import functools
import json
import os
import pickle
import random
import resource
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import torch

import histodecon as hd
from histodecon._core._safetensors import pack, payload_digest, read_header
from histodecon.models import AbundanceRegressor

TRIES = int(os.environ.get("HISTODECON_FUZZ", "200"))
GOLDEN = Path(__file__).parent / "golden"
ODD: list[Any] = [
    None, True, -1, 0, 1, 2, 7, 10**6, 10**9, 10**30, -0.5, 1e308, float("inf"), float("nan"), "", "x", "../../x", "T cell",
    [], [[]], {}, {"x": 1}, [1, "a"], ["a"] * 40, "a" * 5000, [0] * 5000,
]  # fmt: skip
TEXTS = ["", "{}", "[]", "null", "NaN", "1e999", "[" * 5000, "9" * 5000, '"\\ud800"', "\x00", "true", '{"a":' * 2000]
PEAK = 40_000_000
UNIT = 1 if sys.platform == "darwin" else 1024


@functools.cache
def seeds() -> list[bytes]:
    return [path.read_bytes() for path in sorted(GOLDEN.glob("*.safetensors"))]


def with_bytes_changed(content: bytes, rng: random.Random) -> bytes:
    found = bytearray(content)
    for _ in range(rng.randint(1, 6)):
        head = rng.random() < 0.8
        at, size = rng.randrange(min(len(found), 3000) if head and found else len(found) + 1), rng.randint(0, 30)
        how = rng.randrange(5)
        if how == 0 and at < len(found):
            found[at] ^= 1 << rng.randrange(8)
        elif how == 1:
            del found[at : at + size]
        elif how == 2:
            found[at:at] = rng.randbytes(size)
        elif how == 3:
            found[:8] = rng.choice([0, 1, 7, 2**20, 10**6, 2**31, 2**63, len(found)]).to_bytes(8, "little")
        else:
            start = rng.randrange(len(found) + 1)
            found[at:at] = found[start : start + size * 4]
    return bytes(found)


def changed_inside(value: Any, rng: random.Random) -> Any:
    """The same JSON with one value exchanged, anywhere in it."""
    if isinstance(value, dict) and value and rng.random() < 0.85:
        key = rng.choice([*value])
        if rng.random() < 0.15:
            return {name: one for name, one in value.items() if name != key}
        return value | {key: changed_inside(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.85:
        at = rng.randrange(len(value))
        return [*value[:at], changed_inside(value[at], rng), *value[at + 1 :]]
    return rng.choice(ODD)


def with_a_lie(content: bytes, rng: random.Random) -> bytes:
    """Other texts or tensors in the header, and a digest that fits: nothing but the checks of the reader stands in the way."""
    metadata, tensors = read_header(content, "seed")[0], dict(safetensors.numpy.load(content))
    for _ in range(rng.randint(1, 2)):
        if rng.random() < 0.75:
            key = rng.choice([*metadata])
            try:
                metadata[key] = json.dumps(changed_inside(json.loads(metadata[key]), rng))
            except ValueError:
                metadata[key] = rng.choice([*TEXTS, "mlp", "ridge", "mean", "context", "ensemble", "proportion", "log"])
            if rng.random() < 0.1:
                metadata[key] = rng.choice(TEXTS)
        else:
            name = rng.choice([*tensors])
            array = tensors[name]
            tensors[name] = rng.choice([array.ravel(), array[:0], array * np.float64(1e300), np.zeros((3, 3)), -array])
    metadata["payload_sha256"] = payload_digest(metadata, tensors)
    return pack(tensors, metadata)


def with_another_table(content: bytes, rng: random.Random) -> bytes:
    """Entries of tensors that are not true."""
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    header = changed_inside(header, rng)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + content[8 + size :]


def test_a_model_or_an_error_of_ours(
    monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    def never(*_: Any, **__: Any) -> Any:
        msg = "something was unpickled"
        raise AssertionError(msg)

    for module, name in ((pickle, "loads"), (pickle, "load"), (pickle, "Unpickler"), (torch, "load"), (np, "load")):
        monkeypatch.setattr(module, name, never)
    for one in seeds():
        AbundanceRegressor.from_bytes(one)  # what is imported is imported before memory is counted
    rng, counted = random.Random(1), {"read": 0, "refused": 0}
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tracemalloc.start()
    for turn in range(TRIES):
        how = (with_bytes_changed, with_a_lie, with_another_table)[turn % 3]
        content = how(rng.choice(seeds()), rng)
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        try:
            model = AbundanceRegressor.from_bytes(content)
        except hd.HistodeconError:
            counted["refused"] += 1
        else:
            counted["read"] += 1
            if not model.learner_.n_rings:
                found = model.predict(np.zeros((2, model.n_features_in_), dtype=np.float32))
                assert found.shape == (2, len(model.cell_types_))
        assert tracemalloc.get_traced_memory()[1] - before < PEAK
    tracemalloc.stop()
    assert (
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - resident
    ) * UNIT < 10 * PEAK  # what torch takes is not traced
    assert counted["refused"] > counted["read"]
    record_property("fuzz", "model files: bytes, texts of the header with a digest that fits, tables of tensors")
    record_property("n", TRIES)
