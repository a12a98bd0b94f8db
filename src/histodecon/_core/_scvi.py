"""A place where scvi-tools works: quiet, seeded, interruptible, and nothing is left behind."""

from __future__ import annotations

import logging
import random
import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import numpy as np

from histodecon._core._device import one_thread, resolve_device
from histodecon._core._optional import declare_vision_operators, import_optional

if TYPE_CHECKING:
    import torch

TALKATIVE = ("lightning", "lightning.fabric", "lightning.pytorch", "scvi", "cell2location")


@contextmanager
def scvi_session(random_state: int, *packages: str) -> Iterator[None]:
    """Import packages that stand on scvi-tools and let them work: one thread, seeded, without their chatter.

    Parameters
    ----------
    random_state
        Seed of everything inside.
    *packages
        What to import.

    Yields
    ------
    Nothing. Afterwards random states, warnings, logging, Pyro's parameters and the answer to Ctrl-C are as before.
    """
    with ExitStack() as stack:
        stack.enter_context(_without_warnings())
        stack.enter_context(_same_interrupt())
        declare_vision_operators()
        for name in packages:
            import_optional(name)
        stack.enter_context(_without_chatter())
        stack.enter_context(_seeded(random_state))
        stack.enter_context(one_thread())
        if "cell2location" in packages:
            import pyro

            pyro_before = pyro.get_param_store().get_state()
            pyro.clear_param_store()
            stack.callback(pyro.get_param_store().set_state, pyro_before)
        yield


@contextmanager
def _without_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        for category in (UserWarning, FutureWarning, DeprecationWarning, RuntimeWarning):
            warnings.simplefilter("ignore", category)  # theirs; ours are given before and after
        yield


@contextmanager
def _without_chatter() -> Iterator[None]:
    """Only after the imports, which set these levels."""
    loggers = [logging.getLogger(name) for name in TALKATIVE]
    before = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


@contextmanager
def _same_interrupt() -> Iterator[None]:
    """Lightning turns Ctrl-C into SystemExit and switches its handler off; both are mended."""
    main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGINT) if main else None
    try:
        yield
    except SystemExit as error:
        raise KeyboardInterrupt from error
    finally:
        if main:
            signal.signal(signal.SIGINT, handler)


@contextmanager
def _seeded(random_state: int) -> Iterator[None]:
    import scvi
    import torch

    states = random.getstate(), np.random.get_state(), torch.get_rng_state(), scvi.settings.seed  # noqa: NPY002 theirs
    try:
        scvi.settings.seed = random_state
        yield
    finally:
        scvi.settings.seed = states[3]
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002 scvi-tools draws from it
        torch.set_rng_state(states[2])


def accelerator_of(device: str) -> torch.device:
    """Choose a device that Pyro and scvi-tools compute right on.

    Parameters
    ----------
    device
        ``"auto"``, or a name that torch knows.

    Returns
    -------
    The device; ``"auto"`` is CUDA or the CPU.
    """
    chosen = resolve_device(device)
    return resolve_device("cpu") if device == "auto" and chosen.type == "mps" else chosen
