"""A signal is heard while something long computes."""

from __future__ import annotations

import os
import signal
import threading
import time

import numpy as np
import pytest

from histodecon._core import interruptible


def _busy(seconds: float) -> None:
    """One step of the interpreter that takes long: no signal is heard in it."""
    threading.Event().wait(seconds)


@pytest.mark.usefixtures("signals_are_heard")
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_does_not_wait_for_the_call(sign: signal.Signals) -> None:
    start = time.monotonic()
    with interruptible() as call:
        threading.Timer(0.2, os.kill, (os.getpid(), sign)).start()
        with pytest.raises(KeyboardInterrupt):
            call(_busy, 6.0)
    assert time.monotonic() - start < 3
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_answers_errors_and_settings_pass() -> None:
    with np.errstate(divide="raise"), interruptible() as call:
        assert call(divmod, 7, 2) == (3, 1)
        with pytest.raises(FloatingPointError):
            call(np.divide, np.ones(2), np.zeros(2))
        with pytest.raises(KeyboardInterrupt):
            call(_interrupted)


def _interrupted() -> None:
    raise KeyboardInterrupt


def test_a_handler_of_somebody_else_stays() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with interruptible():
            assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)


def test_outside_of_the_main_thread_signals_are_left_alone() -> None:
    answers: list[int] = []

    def work() -> None:
        with interruptible() as call:
            answers.append(call(abs, -3))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert answers == [3]
