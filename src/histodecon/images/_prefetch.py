"""Make the next item while the last one is worked on."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def read_ahead(items: Iterator[T]) -> Iterator[T]:
    """Run an iterator one item ahead, in one thread of its own.

    Parameters
    ----------
    items
        The iterator; nothing else may use it.

    Yields
    ------
    The same items in the same order. Two exist at a time: the one handed out and the next. What the iterator raises is
    raised here, after the items before it. When the caller stops early, by ``break``, an error or Ctrl-C, the thread ends with
    the item that it is at.
    """
    end = object()
    with ThreadPoolExecutor(1, thread_name_prefix="histodecon-read") as thread:
        waiting = thread.submit(next, items, end)
        try:
            while (item := waiting.result()) is not end:
                waiting = thread.submit(next, items, end)
                yield item  # type: ignore[misc]
                del item
        finally:
            waiting.cancel()
