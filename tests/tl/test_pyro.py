"""When a loss is flat, and the posterior in closed form against draws."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from histodecon.tl._pyro import WINDOW, _Batches, is_flat


def test_it_is_flat_when_a_hundred_epochs_gain_too_little() -> None:
    falling = 1000.0 - np.arange(400)
    assert not is_flat(falling, 1e-3)
    assert is_flat(np.full(2 * WINDOW, 5.0), 1e-6)
    assert is_flat(np.concatenate([falling, np.full(2 * WINDOW, 600.0)]), 1e-3)
    assert is_flat(np.arange(400.0) + 1, 1e-3)  # a loss that rises gains nothing


def test_too_few_epochs_are_never_flat() -> None:
    assert not is_flat([1.0] * (2 * WINDOW - 1), 0.5)
    assert is_flat([1.0] * (2 * WINDOW), 0.5)


@pytest.mark.parametrize("gain", [0.5, 2.0])
def test_the_tolerance_is_a_share_of_the_loss(gain: float) -> None:
    tolerance = 1e-3
    losses = np.repeat([1000.0 + gain, 1000.0], WINDOW)
    assert is_flat(losses, tolerance) == (gain < tolerance * 1000)


def test_a_window_may_be_shorter() -> None:
    assert is_flat([9.0, 5.0, 5.0], 1e-3, window=1)
    assert not is_flat([9.0, 5.0], 1e-3, window=1)


@pytest.mark.parametrize(("n", "asked", "size"), [(1564, 512, 522), (100, None, 100), (30, 512, 30), (2047, 512, 512)])
def test_batches_are_equally_large(n: int, asked: int | None, size: int) -> None:
    class Model:
        adata = SimpleNamespace(n_obs=n)
        module = SimpleNamespace(_get_fn_args_from_batch=None)

        def _make_data_loader(self, adata: object, *, shuffle: bool, batch_size: int) -> list[object]:
            assert shuffle == (batch_size < n)
            made.append(batch_size)
            return []

    made: list[int] = []
    _Batches(Model(), asked, "cpu")
    assert made == [size]
    assert n % size == 0 or n % size > 0.9 * size  # no small one at the end
