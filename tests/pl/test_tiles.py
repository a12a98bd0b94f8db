"""The picture shows the tiles that an encoder gets, with their names, where they lie."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.collections import EllipseCollection
from matplotlib.patches import Rectangle
from tests_support import state_of

import histodecon as hd
from histodecon import InputError, MissingKeyError, images


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def tiled():
    sdata = hd.datasets.toy_slide(n_patients=2, n_rows=6, n_cols=6)
    hd.pp.tile_spots(sdata, tissue_threshold=0.6)
    return sdata


def test_tiles_are_those_of_the_encoder(tiled):
    adata = tiled["table"]
    before = state_of(adata)
    rows = np.flatnonzero(adata.obs["library_id"] == "toy_2")
    names = list(adata.obs_names[rows[[3, 0]]])
    axes = hd.pl.tiles(tiled, library_id="toy_2", barcodes=names, output_px=32, show=False)
    assert len(axes) == 3
    image = images.open_image(tiled.images["toy_2_image"])
    size = adata.uns["histodecon"]["tiles"]["toy_2"]["size_px"]
    expected = np.empty((2, 32, 32, 3), np.uint8)
    for order, cut in images.iter_tiles(image, adata[names].obsm["spatial"], size, 32):
        expected[order] = cut
    for ax, name, tile in zip(axes[1:], names, expected, strict=True):
        np.testing.assert_array_equal(ax.get_images()[0].get_array(), tile)
        assert name in ax.get_title()
        assert f"{adata.obs.loc[name, 'tissue_fraction']:.0%}" in ax.get_title()
    assert state_of(adata) == before


def test_map_marks_spots_and_tiles(tiled):
    adata = tiled["table"]
    part = adata[adata.obs["library_id"] == "toy_1"]
    ax = hd.pl.tiles(tiled, library_id="toy_1", n_tiles=5, show=False)[0]
    (circles,) = [item for item in ax.collections if isinstance(item, EllipseCollection)]
    np.testing.assert_array_equal(circles.get_offsets(), part.obsm["spatial"])
    black = (circles.get_edgecolor()[:, :3] < 0.1).all(axis=1)
    np.testing.assert_array_equal(black, part.obs["in_tissue_tile"])
    assert 0 < black.sum() < len(black)
    assert f"{(~black).sum()} below" in ax.get_title()
    squares = [item for item in ax.patches if isinstance(item, Rectangle)]
    assert len(squares) == 5
    middle = np.array([square.get_center() for square in squares])
    distance = np.linalg.norm(part.obsm["spatial"][None] - middle[:, None], axis=2)
    assert distance.min(axis=1).max() < 1e-6
    shown = part.obs["tissue_fraction"].to_numpy()[distance.argmin(axis=1)]
    assert (np.diff(shown) >= 0).all()
    assert shown[0] == part.obs["tissue_fraction"].min()
    assert shown[-1] == part.obs["tissue_fraction"].max()


def test_picture_lies_in_fullres_pixels():
    """Half the image, by its transformation or as the small picture, covers the same ground."""
    sdata = hd.datasets.toy_slide(n_rows=6, n_cols=6)
    full = sdata.images["toy_1_image"]
    hd.pp.tile_spots(sdata)
    one = hd.pl.tiles(sdata, n_tiles=0, show=False)[0].get_images()[0].get_extent()
    np.testing.assert_allclose(one, [0, full.sizes["x"], full.sizes["y"], 0])
    adata = sdata["table"].copy()
    adata.uns["spatial"]["toy_1"]["images"]["hires"] = np.asarray(full.transpose("y", "x", "c"))[::2, ::2]
    adata.uns["spatial"]["toy_1"]["scalefactors"]["tissue_hires_scalef"] = 0.5
    hd.pp.tile_spots(adata)
    two = hd.pl.tiles(adata, n_tiles=0, show=False)[0].get_images()[0].get_extent()
    np.testing.assert_allclose(two, one, atol=2)


def test_extremes_of_a_type_are_those_with_most_and_least_of_it(tiled):
    adata = tiled["table"]
    before = state_of(adata)
    axes = hd.pl.tiles(
        tiled,
        library_id="toy_1",
        cell_types=["T-cells", "Macrophage"],
        abundance="true_abundance",
        n_tiles=6,
        show=False,
    )
    assert len(axes) == 1 + 2 * 2 * 3
    kept = adata[(adata.obs["library_id"] == "toy_1") & adata.obs["in_tissue_tile"].to_numpy(dtype=bool)]
    for start, name in ((1, "T-cells"), (7, "Macrophage")):
        values = kept.obsm["true_abundance"][name].sort_values(kind="stable")
        shown = [ax.get_title().splitlines()[1] for ax in axes[start : start + 6]]
        np.testing.assert_array_equal(values[shown[:3]], values.iloc[::-1].iloc[:3])
        np.testing.assert_array_equal(values[shown[3:]], values.iloc[:3])
        assert axes[start].get_ylabel() == f"{name}\nhighest, cells per spot"
        assert axes[start + 3].get_ylabel() == f"{name}\nlowest, cells per spot"
    assert state_of(adata) == before


def test_save(tiled, tmp_path):
    axes = hd.pl.tiles(tiled, library_id="toy_1", n_tiles=1, save=tmp_path / "a.png")
    assert len(axes) == 2
    assert (tmp_path / "a.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("kwargs", "error", "match"),
    [
        ({}, InputError, "BI-35.*2 slides"),
        ({"library_id": "toy_9"}, InputError, "BI-104.*toy_9"),
        ({"library_id": "toy_1", "barcodes": "nobody"}, InputError, "BI-104.*barcode"),
        ({"library_id": "toy_1", "n_tiles": -1}, InputError, "n_tiles"),
        ({"library_id": "toy_1", "cell_types": "T-cells"}, MissingKeyError, "predicted_abundance"),
        (
            {"library_id": "toy_1", "cell_types": "T cell", "abundance": "true_abundance"},
            InputError,
            "did you mean 'T-cells'",
        ),
        ({"library_id": "toy_1", "cell_types": "T-cells", "barcodes": "x"}, InputError, "not by both"),
        ({"library_id": "toy_1", "image": {"toy_1": np.full((50, 50, 3), 200, np.uint8)}}, InputError, "BI-52"),
    ],
)
def test_bad_input(tiled, kwargs, error, match):
    with pytest.raises(error, match=match):
        hd.pl.tiles(tiled, show=False, **kwargs)


def test_before_tile_spots():
    with pytest.raises(MissingKeyError, match=r"BI-87.*tile_spots"):
        hd.pl.tiles(hd.datasets.toy_slide(n_rows=4, n_cols=4), show=False)
