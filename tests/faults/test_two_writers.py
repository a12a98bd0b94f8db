"""Two processes write one file, and whoever reads it finds one of the two, whole."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import numpy as np

import histodecon as hd

FORK = multiprocessing.get_context("fork")
TURNS = 60


def model(level: float) -> hd.models.AbundanceRegressor:
    rng = np.random.default_rng(0)
    targets = np.column_stack([np.full(40, level), rng.uniform(1, 2, 40)])
    return hd.models.AbundanceRegressor("mean").fit(rng.normal(size=(40, 300)), targets, cell_types=["T", "B"])


def _save(level: float, path: Path) -> None:
    one = model(level)
    for _ in range(TURNS):
        one.save(path)


def test_two_processes_save_one_model(tmp_path: Path) -> None:
    """FI-12."""
    path = tmp_path / "model.safetensors"
    model(3.0).save(path)
    writers = [FORK.Process(target=_save, args=(level, path)) for level in (3.0, 7.0)]
    for writer in writers:
        writer.start()
    seen = set()
    while any(writer.is_alive() for writer in writers):
        answer = hd.models.AbundanceRegressor.load(path).predict(np.zeros((1, 300)))
        seen.add(round(float(answer[0, 0]), 6))
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert seen <= {3.0, 7.0}
    assert [one.name for one in tmp_path.iterdir()] == [path.name]
