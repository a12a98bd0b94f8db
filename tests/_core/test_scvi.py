"""A session leaves everything as it was."""

from __future__ import annotations

import importlib.util
import logging
import random
import signal
import warnings

import numpy as np
import pytest
import torch

from histodecon._core._scvi import TALKATIVE, accelerator_of, scvi_session

if importlib.util.find_spec("scvi") is None:
    pytest.skip("the extra cell2location is absent", allow_module_level=True)


@pytest.fixture(scope="module", autouse=True)
def _imported() -> None:
    """The first import sets levels of its loggers, for good."""
    with scvi_session(0, "scvi"):
        pass


def state() -> tuple:
    levels = [logging.getLogger(name).level for name in TALKATIVE]
    numbers = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002
    return levels, numbers, warnings.filters[:], signal.getsignal(signal.SIGINT), torch.get_num_threads()


def test_random_states_levels_filters_and_threads_come_back() -> None:
    import scvi

    before, seed = state(), scvi.settings.seed
    with scvi_session(3, "scvi"):
        assert scvi.settings.seed == 3
        assert torch.get_num_threads() == 1
        inside = torch.rand(2), np.random.rand(2)  # noqa: NPY002 scvi-tools draws from it
        warnings.simplefilter("error")
    assert state() == before
    assert scvi.settings.seed == seed
    with scvi_session(3, "scvi"):
        again = torch.rand(2), np.random.rand(2)  # noqa: NPY002
    assert torch.equal(inside[0], again[0])
    assert np.array_equal(inside[1], again[1])


def test_an_interrupt_that_became_an_exit_is_an_interrupt_again() -> None:
    before = state()

    def interrupted() -> None:
        with scvi_session(0, "scvi"):
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # as Lightning does
            raise SystemExit(1)

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert state() == before


def test_errors_pass_through() -> None:
    before = state()
    with pytest.raises(ValueError, match="mine"), scvi_session(0, "scvi"):
        raise ValueError("mine")
    assert state() == before


def test_auto_is_a_device_that_pyro_knows() -> None:
    assert accelerator_of("auto").type in {"cpu", "cuda"}
    assert accelerator_of("cpu").type == "cpu"
