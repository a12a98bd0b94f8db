"""One item ahead, in order, with its errors, and no thread left behind."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from histodecon import images
from histodecon.images._prefetch import read_ahead


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("histodecon-read")]


def test_items_in_order():
    assert list(read_ahead(iter(range(50)))) == list(range(50))
    assert list(read_ahead(iter([]))) == []
    assert not threads()


def test_the_next_is_made_while_the_last_is_worked_on():
    made = []
    running = threading.Event()

    def items():
        for n in range(4):
            made.append(n)
            if n == 1:
                running.set()
            yield n

    stream = read_ahead(items())
    assert next(stream) == 0
    assert running.wait(5)  # made without asking
    time.sleep(0.05)
    assert made == [0, 1]  # and no further: memory is bounded
    assert list(stream) == [1, 2, 3]


def test_an_error_comes_after_the_items_before_it():
    def items():
        yield 1
        msg = "damaged"
        raise OSError(msg)

    stream = read_ahead(items())
    assert next(stream) == 1
    with pytest.raises(OSError, match="damaged"):
        next(stream)
    assert not threads()


@pytest.mark.parametrize("leave", ["break", "error", "interrupt"])
def test_leaving_early_ends_the_thread(leave):
    def items():
        while True:
            yield 0

    stream = read_ahead(items())
    kinds = {"error": ValueError, "interrupt": KeyboardInterrupt}
    if leave == "break":
        for _ in stream:
            break
        stream.close()
    else:
        next(stream)
        with pytest.raises(kinds[leave]):
            stream.throw(kinds[leave]())
    assert not threads()


def test_tiles_are_the_same_with_and_without():
    image = images.open_image(np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8))
    xy = np.random.default_rng(1).uniform(0, 200, (40, 2))
    ahead, plain = (list(images.iter_tiles(image, xy, 30, 20, batch_size=7, prefetch=on)) for on in (True, False))
    for (rows, tiles), (rows_plain, tiles_plain) in zip(ahead, plain, strict=True):
        np.testing.assert_array_equal(rows, rows_plain)
        np.testing.assert_array_equal(tiles, tiles_plain)


def test_a_reading_error_reaches_the_caller():
    def broken(*_):
        msg = "cut short"
        raise OSError(msg)

    image = images.SlideImage(broken, 100, 100, chunks=([0, 50, 100], [0, 50, 100]))
    with pytest.raises(OSError, match="cut short"):
        list(images.iter_tiles(image, [[50, 50]], 10, 10))
