"""Maps finer than the spots keep what was measured, and say where a value comes from."""

from __future__ import annotations

from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from tests_support import state_of

import histodecon as hd

TYPES = ["T-cells", "CAFs MSC/iCAF-like", "B"]
KEY = "superresolved_abundance"


def table_at(xy: np.ndarray, prefix: str, libraries: list[str]) -> ad.AnnData:
    adata = ad.AnnData(obs=pd.DataFrame(index=[f"{prefix}{i}" for i in range(len(xy))]))
    adata.obs["library_id"] = libraries
    adata.obsm["spatial"] = xy
    slides = {name: {"mpp": 0.5} for name in set(libraries)}
    adata.uns["histodecon"] = {"slides": slides}
    return adata


def lattice(n: int, step_px: float, start: float = 0.0) -> np.ndarray:
    return np.stack(np.meshgrid(np.arange(n), np.arange(n)), axis=-1).reshape(-1, 2) * step_px + start


@pytest.fixture
def slides() -> tuple[ad.AnnData, ad.AnnData]:
    """Two slides at the same positions: 36 spots 100 µm apart each, tiles 25 µm apart that reach beyond them."""
    rng = np.random.default_rng(0)
    centers, places = lattice(6, 200.0), lattice(28, 50.0, -175.0)
    spots = table_at(np.tile(centers, (2, 1)), "s", ["a"] * 36 + ["b"] * 36)
    tiles = table_at(np.tile(places, (2, 1)), "t", ["a"] * 784 + ["b"] * 784)
    measured = pd.DataFrame(rng.gamma(1.0, 3.0, (72, 3)), spots.obs_names, TYPES)
    hd.tl.set_targets(spots, measured, kind="abundance")
    guess = pd.DataFrame(rng.gamma(1.0, 1.0, (1568, 3)), tiles.obs_names, TYPES)
    hd.tl.set_targets(tiles, guess, kind="abundance", key_added="predicted_abundance")
    return tiles, spots


def sums(tiles: ad.AnnData, how: str = "sum") -> pd.DataFrame:
    own = tiles.obs["parent_spot"].to_numpy() != ""
    grouped = tiles.obsm[KEY][own].groupby(tiles.obs["parent_spot"][own].to_numpy())
    return grouped.sum() if how == "sum" else grouped.mean()


@pytest.mark.parametrize("smooth", [True, False])
@pytest.mark.parametrize("radius_um", [None, 40.0])
def test_cells_are_kept(slides: tuple[ad.AnnData, ad.AnnData], smooth: bool, radius_um: float | None) -> None:
    tiles, spots = slides
    hd.tl.super_resolve(tiles, spots, smooth=smooth, radius_um=radius_um)
    found = sums(tiles)
    assert len(found) == spots.n_obs
    np.testing.assert_allclose(found, spots.obsm["cell_abundance"].loc[found.index], rtol=1e-6)
    assert list(hd.get.abundance(tiles, layers={"X": KEY}).var_names) == TYPES
    record = tiles.uns["histodecon"]["tables"][KEY]
    assert record["n_parents"] == 72
    assert record["n_outside"] == int((tiles.obs["parent_spot"] == "").sum()) > 0
    assert tiles.obsm[KEY][(tiles.obs["parent_spot"] == "").to_numpy()].isna().all(axis=None)


def test_a_tile_belongs_to_the_nearest_spot_of_its_own_slide(slides: tuple[ad.AnnData, ad.AnnData]) -> None:
    tiles, spots = slides
    hd.tl.super_resolve(tiles, spots, radius_um=70.0)
    for name, parent in tiles.obs["parent_spot"].items():
        tile = tiles[name]
        own = spots[spots.obs["library_id"] == tile.obs["library_id"].iloc[0]]
        distance = 0.5 * np.linalg.norm(own.obsm["spatial"] - tile.obsm["spatial"], axis=1)
        assert (parent == "") == (distance.min() > 70.0)
        assert parent == "" or distance[own.obs_names.get_loc(parent)] == distance.min()


@pytest.mark.parametrize("smooth", [True, False])
def test_proportions_average_to_the_spot(slides: tuple[ad.AnnData, ad.AnnData], smooth: bool) -> None:
    tiles, spots = slides
    shares = hd.get.abundance(spots).to_df()
    hd.tl.set_targets(spots, shares.div(shares.sum(axis=1), axis=0))
    hd.tl.super_resolve(tiles, spots, smooth=smooth, outside="predicted")
    assert tiles.uns["histodecon"]["tables"][KEY]["kind"] == "proportion"
    np.testing.assert_allclose(tiles.obsm[KEY].sum(axis=1), 1.0, atol=1e-6)
    found = sums(tiles, "mean")
    np.testing.assert_allclose(found, spots.obsm["cell_abundance"].loc[found.index], atol=1e-6)


def test_a_prediction_that_is_right_stays(slides: tuple[ad.AnnData, ad.AnnData]) -> None:
    """A drawn truth on the tiles comes back when the spots are its sums."""
    tiles, spots = slides
    x, y = (tiles.obsm["spatial"] / 1000.0).T
    truth = np.stack([1 + np.sin(3 * x) ** 2, 1 + x * 0.2 + y * 0.1, 2 + np.cos(2 * y)], axis=1)
    hd.tl.set_targets(tiles, pd.DataFrame(truth, tiles.obs_names, TYPES), key_added="predicted_abundance")
    hd.tl.super_resolve(tiles, spots)
    own = (tiles.obs["parent_spot"] != "").to_numpy()
    parent = tiles.obs["parent_spot"].to_numpy()[own]
    total = pd.DataFrame(truth[own], columns=TYPES).groupby(parent).mean()
    hd.tl.set_targets(spots, total.loc[spots.obs_names], kind="abundance")
    hd.tl.super_resolve(tiles, spots)
    size = pd.Series(parent).map(pd.Series(parent).value_counts()).to_numpy()[:, None]
    np.testing.assert_allclose(tiles.obsm[KEY][own] * size, truth[own], rtol=1e-6)


def test_smooth_has_smaller_steps_between_spots(slides: tuple[ad.AnnData, ad.AnnData]) -> None:
    tiles, spots = slides
    x, y = (spots.obsm["spatial"] / 1000.0).T
    field = np.stack([2 + np.sin(3 * x + i) * np.cos(2 * y) for i in range(3)], axis=1)
    hd.tl.set_targets(spots, pd.DataFrame(field, spots.obs_names, TYPES), kind="abundance")
    flat = pd.DataFrame(np.ones((tiles.n_obs, 3)), tiles.obs_names, TYPES)
    hd.tl.set_targets(tiles, flat, kind="abundance", key_added="predicted_abundance")
    rough = {}
    for smooth in (True, False):
        hd.tl.super_resolve(tiles, spots, smooth=smooth)
        image = tiles.obsm[KEY].to_numpy()[:784, 0].reshape(28, 28)[6:22, 6:22]
        rough[smooth] = np.abs(np.diff(image, axis=1)).max()
    assert rough[True] < 0.5 * rough[False]


def test_spots_without_a_value_and_without_tiles(slides: tuple[ad.AnnData, ad.AnnData]) -> None:
    tiles, spots = slides
    spots.obsm["cell_abundance"].iloc[7] = np.nan
    kept = tiles[(tiles.obs["library_id"] == "a") | (tiles.obsm["spatial"][:, 0] > 120)].copy()
    with pytest.warns(hd.DroppedSpotsWarning, match="6 of 72 spots have no tile"):
        hd.tl.super_resolve(kept, spots)
    mine = (kept.obs["parent_spot"] == spots.obs_names[7]).to_numpy()
    assert mine.sum() > 4
    assert kept.obsm[KEY][mine].isna().all(axis=None), "its tiles are not given to its neighbors"
    assert kept.uns["histodecon"]["tables"][KEY]["n_spots_without_tiles"] == 6


def test_abundance_outside_is_on_the_scale_of_a_tile(slides: tuple[ad.AnnData, ad.AnnData]) -> None:
    tiles, spots = slides
    hd.tl.super_resolve(tiles, spots, outside="predicted", key_added="fine")
    out = (tiles.obs["fine_parent_spot"] == "").to_numpy()
    usual = np.median(tiles.obs["fine_parent_spot"][~out].value_counts()[lambda n: n > 0])
    expected = tiles.obsm["predicted_abundance"][out] / usual
    np.testing.assert_allclose(tiles.obsm["fine"][out], expected, rtol=1e-12)


def test_order_of_rows_and_columns_does_not_matter(slides: tuple[ad.AnnData, ad.AnnData]) -> None:
    tiles, spots = slides
    hd.tl.super_resolve(tiles, spots)
    rng = np.random.default_rng(1)
    other = tiles[rng.permutation(tiles.n_obs)].copy()
    turned = hd.get.abundance(tiles, layers={"X": "predicted_abundance"}).to_df().iloc[:, ::-1]
    hd.tl.set_targets(other, turned, kind="abundance", key_added="predicted_abundance")
    hd.tl.super_resolve(other, spots[rng.permutation(spots.n_obs)].copy())
    np.testing.assert_allclose(other.obsm[KEY].loc[tiles.obs_names], tiles.obsm[KEY], rtol=1e-9)
    assert (other.obs["parent_spot"].loc[tiles.obs_names].astype(str) == tiles.obs["parent_spot"].astype(str)).all()


def test_copy(slides: tuple[ad.AnnData, ad.AnnData]) -> None:
    tiles, spots = slides
    before = state_of(tiles), state_of(spots)
    out = hd.tl.super_resolve(tiles, spots, copy=True)
    assert KEY in out.obsm
    assert (state_of(tiles), state_of(spots)) == before


def spoil(tiles: Any, spots: Any, what: str) -> dict[str, Any]:
    if what == "slides":
        tiles.obs["library_id"] = "other"
    elif what == "types":
        spots.obsm["cell_abundance"] = spots.obsm["cell_abundance"].rename(columns={"B": "NK"})
        spots.uns["histodecon"]["tables"].pop("cell_abundance")
    elif what == "far":
        tiles.obsm["spatial"] = tiles.obsm["spatial"] + 1e6
    elif what == "mpp":
        del tiles.uns["histodecon"]["slides"], spots.uns["histodecon"]["slides"]
    elif what == "negative":
        tiles.obsm["predicted_abundance"] -= 5.0
        tiles.uns["histodecon"]["tables"]["own"] = {
            key: value
            for key, value in tiles.uns["histodecon"]["tables"]["predicted_abundance"].items()
            if key != "rows"
        }
        tiles.obsm["own"] = tiles.obsm["predicted_abundance"]
        return {"predicted": "own"}
    elif what == "absent":
        del spots.obsm["cell_abundance"]
    elif what == "option":
        return {"outside": "zero"}
    elif what == "radius":
        return {"radius_um": 0.0}
    elif what == "key":
        return {"key_added": "a/b"}
    return {}


@pytest.mark.parametrize(
    ("what", "error", "text"),
    [
        ("slides", hd.AlignmentError, "'other'"),
        ("types", hd.AlignmentError, "'NK'"),
        ("far", hd.InputError, "µm from its spot"),
        ("mpp", hd.ResolutionError, "HD-BI-14"),
        ("negative", hd.InputError, "negative"),
        ("absent", hd.MissingKeyError, "HD-BI-87"),
        ("option", hd.InputError, "HD-BI-72"),
        ("radius", hd.InputError, "HD-BI-72"),
        ("key", hd.NamingError, "HD-BI-67"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_written(
    slides: tuple[ad.AnnData, ad.AnnData], what: str, error: type[Exception], text: str
) -> None:
    tiles, spots = slides
    arguments = spoil(tiles, spots, what)
    before = state_of(tiles), state_of(spots)
    with pytest.raises(error, match=text):
        hd.tl.super_resolve(tiles, spots, **arguments)
    assert (state_of(tiles), state_of(spots)) == before
