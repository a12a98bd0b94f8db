"""Drawn nuclei are found, counted and measured."""

from __future__ import annotations

import numpy as np
import pytest

from histodecon.encoders._nuclei import NUCLEUS_NAMES, find_nuclei, nucleus_features

MIDDLE = np.full((112, 112), 1 / 112**2, dtype=np.float32)


def draw(ellipses, turn: float = 0.0) -> np.ndarray:
    """Layer of 112 × 112 µm with soft ellipses (y, x, long, short), half axes in µm, the long one turned from x."""
    y, x = np.indices((112, 112)).astype(float)
    out = np.zeros((112, 112))
    for cy, cx, long, short in ellipses:
        u = ((x - cx) * np.cos(turn) + (y - cy) * np.sin(turn)) / long
        v = ((y - cy) * np.cos(turn) - (x - cx) * np.sin(turn)) / short
        out = np.maximum(out, np.clip((1 - np.hypot(u, v)) * short + 0.5, 0, 1))
    return out[None].astype(np.float32)


def find(dark):
    return find_nuclei(dark, np.zeros_like(dark))[0]


@pytest.mark.parametrize("turn", [0.0, 0.5, 1.2])
@pytest.mark.parametrize(("long", "short"), [(3.0, 3.0), (5.0, 5.0), (5.0, 4.0), (7.0, 2.5)])
def test_place_size_and_shape(long, short, turn):
    centers = [(20, 25), (60, 30), (90, 80), (30, 85)]
    nuclei = find(draw([(y, x, long, short) for y, x in centers], turn))
    assert len(nuclei.area) == 4
    found = sorted(zip(nuclei.y, nuclei.x, strict=True))
    np.testing.assert_allclose(found, sorted(centers), atol=0.5)
    np.testing.assert_allclose(nuclei.area, np.pi * long * short, rtol=0.15)
    np.testing.assert_allclose(nuclei.length, long / short, rtol=0.25)


def test_touching_nuclei_are_told_apart():
    row = [(56, 15 + 8 * i, 4.2, 4.2) for i in range(10)]
    assert len(find(draw(row)).area) == 10


def test_counts_by_size_and_place():
    dark = np.concatenate([draw([(56, 56, 3, 3), (50, 70, 5, 5), (10, 10, 3, 3)]), np.zeros((1, 112, 112), np.float32)])
    values = nucleus_features(dark, np.zeros_like(dark), MIDDLE, 32.5)
    table = dict(zip(NUCLEUS_NAMES, values.T, strict=True))
    in_middle, in_tile = 1000 / (np.pi * 32.5**2), 1000 / 112**2

    def total(kind, where):
        return sum(table[name] for name in NUCLEUS_NAMES if name.startswith(f"nuclei_{kind}") and name.endswith(where))

    assert total("round", "middle") == pytest.approx([2 * in_middle, 0])
    assert total("round", "tile") == pytest.approx([3 * in_tile, 0])
    assert total("long", "tile") == pytest.approx([0, 0])
    assert total("dark", "tile") == pytest.approx([3 * in_tile, 0], rel=0.05)
    small = table["nuclei_round_small_tile"] + table["nuclei_round_medium_tile"]
    assert small == pytest.approx([2 * in_tile, 0], rel=0.1)
    assert all(table[name][1] == 0 for name in NUCLEUS_NAMES if name.startswith(("nuclei_", "nuclear_", "blob_")))


def test_tiles_do_not_touch_each_other():
    edge = draw([(56, 111, 5, 5)])
    together = find(np.concatenate([edge, edge[:, :, ::-1], edge]))
    assert together.tile.tolist() == [0, 1, 2]
    np.testing.assert_allclose(together.area, find(edge).area[0])
