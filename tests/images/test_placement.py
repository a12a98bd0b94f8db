"""Coordinates that miss the image or the tissue, and what they look like."""

from __future__ import annotations

import numpy as np
import pytest

from histodecon import GeometryError, InputError, ResolutionError, images
from histodecon.images._placement import measure_tissue, outside, require_inside, require_tissue

STAIN = (170, 90, 160)
NAMES = np.array([f"s{i}" for i in range(200)])


def grid(x0, x1, y0, y1):
    return np.column_stack([np.tile(np.linspace(x0, x1, 20), 10), np.repeat(np.linspace(y0, y1, 10), 20)])


@pytest.fixture
def image():
    pixels = np.full((400, 600, 3), 250, dtype=np.uint8)
    pixels[20:180, 250:550] = STAIN
    return images.open_image(pixels)


def test_outside_counts_borders_as_inside(image):
    xy = np.array([[0, 0], [600, 400], [600.1, 0], [0, -0.1]], dtype=float)
    assert outside(image, xy).tolist() == [False, False, True, True]


def test_inside_passes(image):
    xy = grid(260, 540, 30, 170)
    xy[:2] = -5  # 1 %
    require_inside(image, xy, NAMES, library="A", hires_factor=None)
    tissue = measure_tissue(image, xy, 40)
    require_tissue(image, xy, 40, tissue, 0.1, library="A", hires_factor=None)


@pytest.mark.parametrize(
    ("xy", "factor", "error", "match"),
    [
        (grid(0, 390, 0, 590), None, GeometryError, "BI-10"),
        (grid(0, 5900, 0, 3900), 0.1, ResolutionError, r"BI-11.*scaled by 0\.1"),
        (grid(0, 5900, 0, 3900), None, GeometryError, r"BI-12.*x reaches 5900.*600 × 400"),
        (grid(0, 5900, 0, 3900), 0.5, GeometryError, "BI-12"),
    ],
)
def test_outside_is_explained(image, xy, factor, error, match):
    with pytest.raises(error, match=match):
        require_inside(image, xy, NAMES, library="A", hires_factor=factor)


@pytest.mark.parametrize(
    ("xy", "factor", "error", "match"),
    [
        (grid(30, 170, 260, 390), None, GeometryError, r"BI-10.*0% of 200.*exchanged"),
        (grid(130, 270, 15, 85), 0.5, ResolutionError, r"BI-11.*divided by 0\.5"),
        (grid(10, 100, 210, 240), None, InputError, r"BI-40.*0% of 200"),
    ],
)
def test_glass_is_explained(image, xy, factor, error, match):
    tissue = measure_tissue(image, xy, 10)
    with pytest.raises(error, match=match):
        require_tissue(image, xy, 10, tissue, 0.1, library="A", hires_factor=factor)


def test_little_tissue_is_no_fault(image):
    xy = grid(10, 590, 10, 390)
    tissue = measure_tissue(image, xy, 10)
    assert 0 < (tissue >= 0.1).mean() < 0.5
    require_tissue(image, xy, 10, tissue, 0.1, library="A", hires_factor=None)
