"""How much memory a piece of work takes."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from types import TracebackType

_STATM = Path("/proc/self/statm")
_EVERY = 0.02


class PeakMemory:
    """Watch the memory of this process inside a ``with`` block.

    Looks fifty times a second, so a shorter peak can pass unseen; other threads of the process are counted too, worker
    processes are not. ``mb`` is what the block took at most beyond what was there before, in MB; NaN on systems without
    ``/proc``.
    """

    def __init__(self) -> None:
        self.mb = float("nan")
        self._done = threading.Event()

    def __enter__(self) -> PeakMemory:
        if _STATM.exists():
            self._before = self._most = _resident()
            self._watch = threading.Thread(target=self._look, daemon=True)
            self._watch.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if _STATM.exists():
            self._done.set()
            self._watch.join()
            self.mb = max(self._most, _resident()) - self._before

    def _look(self) -> None:
        while not self._done.wait(_EVERY):
            self._most = max(self._most, _resident())


def _resident() -> float:
    return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
