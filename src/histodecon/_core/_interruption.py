"""Long calls that Ctrl-C and SIGTERM can leave at once."""

from __future__ import annotations

import contextvars
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from types import FrameType
from typing import Any

LISTEN_S = 0.1


@contextmanager
def interruptible() -> Iterator[Callable[..., Any]]:
    """Call functions in a thread of their own, so that the main thread hears signals while they compute.

    A batch may keep a large network busy for a minute, and Python hears a signal only between two steps of its own. Inside the
    block SIGTERM, by which clusters announce the end of a job, is a KeyboardInterrupt, too, unless somebody else handles it.

    Yields
    ------
    Function of a function and its arguments that returns what it returns and raises what it raises. Left by a signal, the
    call that runs is finished in its thread, and nobody waits for it.
    """
    thread = ThreadPoolExecutor(1, thread_name_prefix="histodecon-compute")

    def call(function: Callable[..., Any], *arguments: Any) -> Any:
        running = thread.submit(contextvars.copy_context().run, function, *arguments)
        while not running.done():  # the system may hand a signal to any thread: the main one must look by itself
            wait([running], timeout=LISTEN_S)
        return running.result()

    with _sigterm_interrupts():
        try:
            yield call
        finally:
            thread.shutdown(wait=False, cancel_futures=True)


@contextmanager
def _sigterm_interrupts() -> Iterator[None]:
    mine = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    if not mine:
        yield
        return
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _interrupt(number: int, frame: FrameType | None) -> None:
    msg = "SIGTERM"
    raise KeyboardInterrupt(msg)
