"""Runs that were killed and never taken up again do not fill the user's cache for good."""

from __future__ import annotations

import re
import time
from contextlib import suppress
from pathlib import Path

from histodecon._core import ShardStore, alone, present

KEPT_DAYS = 30
_RUN = re.compile(r"[0-9a-f]{64}")


def prune_shards(folder: Path, *, days: float = KEPT_DAYS) -> None:
    """Remove finished shards of runs that nobody has touched for long, and that nobody works on.

    Parameters
    ----------
    folder
        The user's cache. Only folders that are named as stores are looked at.
    days
        How long they are kept.
    """
    with suppress(OSError):
        for run in sorted(folder.iterdir()):
            if _RUN.fullmatch(run.name) and run.is_dir() and not run.is_symlink() and _age_s(run) > days * 86_400:
                with present(run):
                    if alone(run):
                        ShardStore(run, 0).remove()


def _age_s(run: Path) -> float:
    return time.time() - max(one.stat().st_mtime for one in (run, *run.iterdir()))
