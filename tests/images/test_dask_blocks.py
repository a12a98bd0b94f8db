"""Boxes of dask arrays, whole blocks or not, equal those that dask computes."""

from __future__ import annotations

import dask
import dask.array as da
import numpy as np
import pytest

from histodecon.images._dask_blocks import computed

VALUES = np.arange(1 * 40 * 50 * 3).reshape(1, 40, 50, 3)
BOXES = [(0, 20, 0, 25), (20, 40, 25, 50), (0, 40, 0, 50), (10, 20, 0, 25), (0, 20, 3, 4), (30, 40, 25, 50)]


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize("made", ["plain", "mapped", "transposed"])
def test_boxes(box, made):
    array = da.from_array(VALUES, chunks=(1, 10, 25, 3))
    expected = VALUES
    if made == "mapped":
        array, expected = array + 1, expected + 1
    if made == "transposed":
        array, expected = array.transpose(0, 2, 1, 3).transpose(0, 2, 1, 3), expected
    y0, y1, x0, x1 = box
    index = (0, slice(y0, y1), slice(x0, x1), slice(None))
    np.testing.assert_array_equal(computed(array, index), expected[index])


def test_only_the_blocks_asked_for_are_made():
    made = []
    array = da.from_array(VALUES, chunks=(1, 10, 25, 3)).map_blocks(lambda block: made.append(1) or block, meta=VALUES)
    with dask.config.set(scheduler="synchronous"):
        computed(array, (0, slice(0, 20), slice(0, 25), slice(None)))
    assert len(made) == 2
