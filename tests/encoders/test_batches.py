"""How many tiles are computed at once."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from histodecon.encoders import _batches
from histodecon.encoders._batches import CPU, MOST, PROBE, SHARE, UNMEASURED, choose_batch_size, largest_batch


def test_devices_that_are_not_measured():
    for device, size in (("cpu", CPU), ("mps", UNMEASURED)):
        assert choose_batch_size(SimpleNamespace(device=torch.device(device)), 224) == size


@given(free=st.integers(0, 2**40), used=st.integers(1, 2**36))
def test_the_largest_power_of_two_that_fits(free, used):
    size = largest_batch(free, used)
    assert size in [2**i for i in range(MOST.bit_length())]
    assert size == 1 or size * used / PROBE <= SHARE * free
    assert size == MOST or 2 * size * used / PROBE > SHARE * free - used


def test_nothing_fits():
    assert largest_batch(2**30, 0) == 1
    assert largest_batch(0, 2**30) == 1


@pytest.mark.parametrize(("fits", "expected"), [(True, 32), (False, 1)])
def test_cuda_is_asked(monkeypatch, fits, expected):
    def network(tiles: np.ndarray) -> None:
        assert tiles.shape == (PROBE, 224, 224, 3)
        if not fits:
            raise torch.OutOfMemoryError

    network.device = torch.device("cuda")
    gb = 2**30
    for name, value in {
        "memory_allocated": lambda _: 2 * gb,
        "reset_peak_memory_stats": lambda _: None,
        "max_memory_allocated": lambda _: 3 * gb,
        "empty_cache": lambda: None,
        "mem_get_info": lambda _: (6 * gb, 80 * gb),
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    assert choose_batch_size(network, 224) == expected  # 8 tiles take 1 GB, 4.2 GB may be filled


def test_lack_of_memory_is_told_apart():
    assert _batches.is_out_of_memory(torch.OutOfMemoryError())
    assert not _batches.is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not _batches.is_out_of_memory(ValueError("out of memory"))
