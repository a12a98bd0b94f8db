"""Stained is what takes green away and has a color."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from histodecon import ImageError, images


@pytest.mark.parametrize(
    ("color", "stained"),
    [
        ((255, 255, 255), False),
        ((222, 210, 226), False),  # lilac glass
        ((220, 195, 218), False),  # a wash of eosin beside the tissue
        ((128, 128, 128), False),
        ((2, 0, 3), False),  # black ground
        ((190, 158, 194), True),  # stroma
        ((115, 112, 158), True),  # epithelium
        ((60, 40, 100), True),  # a nucleus
        ((230, 130, 170), True),  # eosin
    ],
)
def test_colors(color, stained):
    tiles = np.full((1, 6, 6, 3), color, dtype=np.uint8)
    assert images.tissue_fraction(tiles).tolist() == [float(stained)]


def test_fraction_counts_pixels():
    tiles = np.full((3, 10, 10, 3), 245, dtype=np.uint8)
    tiles[1, :3] = (190, 110, 180)
    tiles[2] = (120, 80, 150)
    np.testing.assert_allclose(images.tissue_fraction(tiles), [0, 0.3, 1])
    np.testing.assert_allclose(images.tissue_fraction(tiles, green_density=0.4), [0, 0, 1])


def test_bad_tiles():
    with pytest.raises(ImageError):
        images.tissue_fraction(np.zeros((1, 4, 4, 3)))
    with pytest.raises(ImageError):
        images.tissue_fraction(np.zeros((4, 4, 3), np.uint8))


def test_her2st_spots_are_tissue_and_glass_is_not(shared_data):
    image = images.open_image(shared_data / "her2st" / "images" / "C2__5714_HE_BT_C2.jpg")
    spots = pd.read_csv(shared_data / "her2st" / "spotfiles" / "C2_selection.tsv", sep="\t")
    xy = spots[["pixel_x", "pixel_y"]].to_numpy()
    on = np.concatenate([images.tissue_fraction(tiles) for _, tiles in images.iter_tiles(image, xy, 163, 64)])
    assert on.min() > 0.3
    glass = np.column_stack([np.linspace(500, 8500, 40), np.full(40, 1500.0)])
    off = np.concatenate([images.tissue_fraction(tiles) for _, tiles in images.iter_tiles(image, glass, 163, 64)])
    assert off.max() < 0.05
