from __future__ import annotations

import numpy as np
import pytest
import shapely
from scipy.spatial import cKDTree

from histodecon._core import InputError
from histodecon.datasets import toy_slide
from histodecon.images import _segment_nuclei as module
from histodecon.images import open_image, segment_nuclei


@pytest.fixture(scope="module")
def drawn():
    return toy_slide(n_rows=5, n_cols=5, mpp=0.5, nuclei=True)


def centers(areas) -> np.ndarray:
    return shapely.get_coordinates(shapely.centroid(np.asarray(areas, dtype=object)))


def found_centers(outlines: list[np.ndarray]) -> np.ndarray:
    return centers([shapely.Polygon(outline) for outline in outlines])


def test_most_drawn_nuclei_are_found_and_most_that_are_found_were_drawn(drawn):
    found = found_centers(segment_nuclei(open_image(drawn["toy_1_image"]), 0.5))
    truth = centers(drawn["toy_1_nuclei"].geometry)
    near = 3.0 / 0.5
    assert np.mean(cKDTree(found).query(truth)[0] < near) > 0.8
    assert np.mean(cKDTree(truth).query(found)[0] < near) > 0.8


def test_blocks_leave_no_trace(drawn, monkeypatch):
    """A function that sees single pixels finds the same nuclei whatever the blocks are."""
    image = np.full((400, 300, 3), 255, dtype=np.uint8)
    for y in range(20, 400, 40):
        for x in range(20, 300, 40):
            image[y - 5 : y + 6, x - 5 : x + 6] = 60

    def squares(block, mpp):
        from scipy import ndimage

        return ndimage.label(block[..., 0] < 100)[0]

    whole = segment_nuclei(open_image(image), 0.5, find=squares)
    monkeypatch.setattr(module, "BLOCK_PX", 100)
    parts = segment_nuclei(open_image(image), 0.5, find=squares)
    assert len(whole) == len(parts) == 70
    order = [np.lexsort(found_centers(found).round(3).T) for found in (whole, parts)]
    np.testing.assert_allclose(found_centers(parts)[order[1]], found_centers(whole)[order[0]], atol=1e-6)
    assert np.allclose(sorted(found_centers(whole)[:, 0])[0], 20.5)


def test_a_fine_image_is_shrunk_and_outlines_come_back_in_its_pixels():
    image = np.full((600, 600, 3), 255, dtype=np.uint8)
    image[280:320, 180:220] = 60
    seen = []

    def squares(block, mpp):
        seen.append((block.shape[0], mpp))
        return (block[..., 0] < 150).astype(np.int32)

    (outline,) = segment_nuclei(open_image(image), 0.125, find=squares)
    assert seen[0][1] == pytest.approx(0.5, rel=0.02)
    np.testing.assert_allclose(shapely.Polygon(outline).centroid.coords[0], (200, 300), atol=3)
    assert shapely.Polygon(outline).area == pytest.approx(1600, rel=0.25)


def test_glass_has_no_nuclei():
    assert segment_nuclei(open_image(np.full((300, 300, 3), 240, dtype=np.uint8)), 0.5) == []


@pytest.mark.parametrize("wrong", [lambda b, m: np.zeros((3, 3), int), lambda b, m: np.zeros(b.shape[:2])])
def test_a_function_that_returns_no_labels_is_told(wrong):
    image = np.full((100, 100, 3), 90, dtype=np.uint8)
    with pytest.raises(InputError, match="labels of the block"):
        segment_nuclei(open_image(image), 0.5, find=wrong)
