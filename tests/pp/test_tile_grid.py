"""A slide without spots becomes a table: exact grid, tissue only, and every later step takes it as it is."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import spatialdata
from scipy.spatial import cKDTree
from slide_files import generic_tiff
from spatialdata import SpatialData
from spatialdata.models import Image2DModel
from spatialdata.transformations import Affine, Identity, Scale, Sequence, Translation
from tests_support import slots, state_of

import histodecon as hd
from histodecon import (
    GeometryError,
    ImageError,
    InputError,
    MissingKeyError,
    ResolutionError,
    ResolutionWarning,
    images,
)

STAIN = (170, 90, 160)
WIDTH, HEIGHT = 1500, 1100
BLOCK = (400, 300, 1000, 800)  # x0, y0, x1, y1


def picture() -> np.ndarray:
    """Glass with one block of tissue whose pixels tell their place: green is faint in x, blue in y."""
    pixels = np.full((HEIGHT, WIDTH, 3), 245, dtype=np.uint8)
    x0, y0, x1, y1 = BLOCK
    pixels[y0:y1, x0:x1] = STAIN
    return pixels


def slide(mpp: float = 0.5, **kwargs) -> SpatialData:
    return hd.io.read_slide(picture(), library_id="A", mpp=mpp, **kwargs)


def element(transformation, system="A"):
    return Image2DModel.parse(
        np.moveaxis(picture(), 2, 0),
        dims=("c", "y", "x"),
        c_coords=["r", "g", "b"],
        transformations={system: transformation},
    )


def untouched(data: SpatialData, error: type[Exception], match: str, **kwargs) -> None:
    before = slots(data) if "table" in data.tables else (list(data.shapes), list(data.tables))
    with pytest.raises(error, match=match):
        hd.pp.tile_grid(data, **kwargs)
    assert before == (slots(data) if "table" in data.tables else (list(data.shapes), list(data.tables)))


@pytest.mark.parametrize(("layout", "neighbors"), [("hex", 6), ("square", 4)])
def test_distances_are_exact_in_um(layout, neighbors):
    data = slide(mpp=0.5)
    hd.pp.tile_grid(data, spacing_um=40, layout=layout, size_um=30)
    xy_um = data["table"].obsm["spatial"] * 0.5
    distance, _ = cKDTree(xy_um).query(xy_um, k=neighbors + 1)
    inner = distance[:, 1:].max(axis=1) < 41
    assert inner.sum() > 20
    np.testing.assert_allclose(distance[inner, 1:], 40)
    fitted = images.lattice_pitch(
        data["table"].obsm["spatial"], *data["table"].obs[["array_row", "array_col"]].to_numpy().T
    )
    assert fitted.layout == layout
    assert fitted.pixels == pytest.approx(80)


def test_places_are_all_those_with_tissue():
    data = slide()
    hd.pp.tile_grid(data, spacing_um=40, size_um=30, tissue_threshold=0.3)
    table, size = data["table"], 60
    grid = images._grid.grid_centers(WIDTH, HEIGHT, 80)
    expected = []
    for x, y in grid.xy:
        a, b = (int(np.floor(v - size / 2 + 0.5)) for v in (x, y))
        x0, y0, x1, y1 = BLOCK
        share = max(0, min(a + size, x1) - max(a, x0)) * max(0, min(b + size, y1) - max(b, y0)) / size**2
        if share >= 0.3:
            expected.append((x, y, share))
    np.testing.assert_allclose(table.obsm["spatial"], [place[:2] for place in expected])
    assert np.abs(table.obs["tissue_fraction"] - [place[2] for place in expected]).max() < 0.02
    assert table.obs["in_tissue_tile"].all()
    assert (table.obs["in_tissue"] == 1).all()
    record = table.uns["histodecon"]["slides"]["A"]
    assert record["n_places"] == len(grid.xy)
    assert (record["pitch_um"], record["layout"], record["spot_diameter_um"]) == (40.0, "hex", 40.0)


def test_the_table_is_as_a_reader_of_spots_makes_it():
    data = slide(patient="P7")
    hd.pp.tile_grid(data, spacing_um=60)
    table = data["table"]
    spots = hd.datasets.toy_slide(n_rows=4, n_cols=4)["table"]
    assert table.uns["spatialdata_attrs"]["region_key"] == spots.uns["spatialdata_attrs"]["region_key"]
    assert table.uns["spatialdata_attrs"]["instance_key"] == spots.uns["spatialdata_attrs"]["instance_key"]
    assert table.obs_names.is_unique
    assert all(name.endswith("-A") for name in table.obs_names)
    assert table.obs["patient"].tolist() == ["P7"] * table.n_obs
    record = table.uns["spatial"]["A"]
    factor = record["scalefactors"]["tissue_hires_scalef"]
    hires = record["images"]["hires"]
    x0, y0, x1, y1 = BLOCK
    middle = np.argmin(np.abs(table.obsm["spatial"] - [(x0 + x1) / 2, (y0 + y1) / 2]).sum(axis=1))
    x, y = np.floor(table.obsm["spatial"][middle] * factor).astype(int)
    np.testing.assert_allclose(hires[y, x], STAIN, atol=2)
    circles, squares = data["A_spots"], data["A_tiles"]
    np.testing.assert_allclose(circles.geometry.get_coordinates(), table.obsm["spatial"])
    assert np.unique(circles["radius"]).tolist() == [60.0]
    middle = squares.geometry.centroid.get_coordinates()
    assert np.abs(middle - table.obsm["spatial"]).to_numpy().max() <= 0.5
    np.testing.assert_allclose(squares.geometry.area, (112 / 0.5) ** 2)
    joined = spatialdata.match_element_to_table(data, "A_spots", "table")[1]
    assert joined.obs_names.tolist() == table.obs_names.tolist()


@pytest.mark.parametrize("mpp", [0.25, 0.5, 1.1])
@pytest.mark.parametrize("pyramid", [False, True])
def test_tiles_show_their_places(tmp_path, mpp, pyramid):
    """Red is x / 8 and blue is y / 8: the mean of a tile tells its middle."""
    y, x = np.mgrid[:1024, :1400]
    coded = np.stack([x // 8 + 40, np.full_like(x, 60), y // 8 + 60], axis=2).astype(np.uint8)
    source = generic_tiff(tmp_path / "A.tif", coded, mpp=mpp, tile=256) if pyramid else coded
    data = hd.io.read_slide(source, library_id="A", mpp=mpp)
    size_um = 96 * mpp
    hd.pp.tile_grid(data, spacing_um=90 * mpp, size_um=size_um)
    assert data["table"].uns["histodecon"]["tiles"]["A"]["size_px"] == 96

    for px in (96, 48, 24) if pyramid else (96,):

        def middle(tiles):
            return tiles[..., [0, 2]].reshape(len(tiles), -1, 2).mean(axis=1)

        middle.input_px = px
        hd.pp.embed_tiles(data, middle, show_progress_bar=False, overwrite=True)
        inside = (data["table"].obs["tile_padding"] == 0).to_numpy()
        assert inside.sum() > 50
        seen = (data["table"].obsm["X_middle"][inside] - [40, 60]) * 8 + 3.5 + 0.5
        factor = 96 / px  # the level that is read: tiles are right to half a pixel of it
        rounded = 0.01 if px == 96 else 1.5  # a grey value is 8 px; means of levels are rounded to whole ones
        assert np.abs(seen - data["table"].obsm["spatial"][inside]).max() <= 0.5 * factor + rounded


def test_from_slide_to_map_without_a_single_spot():
    toy = hd.datasets.toy_slide(n_patients=2)
    measured = toy["table"]
    hd.pp.tile_spots(toy)
    hd.pp.embed_tiles(toy, "color_stats", show_progress_bar=False)
    hd.tl.set_targets(measured, "true_abundance")
    train = measured[measured.obs["library_id"] == "toy_1"].copy()
    model = hd.tl.train_regressor(train, use_rep="X_color_stats", learner="ridge", random_state=0)

    data = hd.io.read_slide({"one": toy["toy_2_image"], "two": toy["toy_1_image"]}, mpp=1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResolutionWarning)
        hd.pp.tile_grid(data, spacing_um=60)
        hd.pp.embed_tiles(data, "color_stats", show_progress_bar=False)
    table = data["table"]
    hd.tl.predict_abundance(table, model)
    hd.tl.colocalization(table)
    assert table.obsm["predicted_abundance"].shape[0] == table.n_obs
    assert table.uns["colocalization"]["params"]["length_um"] == pytest.approx(60)
    assert set(table.obs["library_id"]) == {"one", "two"}
    assert hd.get.abundance(table).n_obs == table.n_obs

    hd.tl.predict_abundance(measured, model)
    spots = (measured.obs["library_id"] == "toy_2").to_numpy()
    places = (table.obs["library_id"] == "one").to_numpy()
    distance, near = cKDTree(table.obsm["spatial"][places]).query(measured.obsm["spatial"][spots])
    a = measured.obsm["predicted_abundance"].to_numpy()[spots][distance < 20]
    b = table.obsm["predicted_abundance"].to_numpy()[places][near[distance < 20]]
    assert np.mean([np.corrcoef(a[:, k], b[:, k])[0, 1] for k in range(a.shape[1])]) > 0.8


def test_a_grid_of_another_pitch_is_not_taken_for_visium():
    data = slide()
    hd.pp.tile_grid(data, spacing_um=37, layout="square")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        hd.pp.tile_spots(data)
    assert data["table"].uns["histodecon"]["tiles"]["A"]["mpp"] == 0.5
    assert data["table"].obs["in_tissue_tile"].all()


def test_tables_survive_zarr_and_can_be_made_anew(tmp_path):
    data = slide()
    hd.pp.tile_grid(data)
    data.write(tmp_path / "a.zarr")
    back = spatialdata.read_zarr(tmp_path / "a.zarr")
    assert state_of(back["table"], loose=True) == state_of(data["table"], loose=True)
    hd.pp.tile_grid(back, spacing_um=50)
    hd.pp.tile_grid(data, spacing_um=50)
    np.testing.assert_array_equal(back["table"].obsm["spatial"], data["table"].obsm["spatial"])
    data["table"].write_h5ad(tmp_path / "a.h5ad")


def test_copy_leaves_the_input_alone():
    data = slide()
    new = hd.pp.tile_grid(data, copy=True)
    assert not list(data.tables)
    assert not list(data.shapes)
    assert new["table"].n_obs > 0
    assert new.attrs == data.attrs


def test_a_measured_table_is_not_replaced_and_a_grid_goes_beside_it():
    toy = hd.datasets.toy_slide(n_rows=5, n_cols=5)
    untouched(toy, InputError, "HD-BI-53.*table_key")
    before = state_of(toy["table"])
    hd.pp.tile_grid(toy, table_key="grid", spacing_um=50)
    assert state_of(toy["table"]) == before
    assert {"toy_1_spots", "toy_1_grid_spots", "toy_1_grid_tiles"} <= set(toy.shapes)
    assert toy["grid"].uns["histodecon"]["slides"]["toy_1"]["mpp"] == 1.0  # of the measured table
    hd.pp.embed_tiles(toy, "color_stats", table_key="grid", show_progress_bar=False)
    assert toy["grid"].obsm["X_color_stats"].shape[0] == toy["grid"].n_obs
    del toy.tables["table"]
    untouched(toy, InputError, "HD-BI-53.*shapes", mpp=1.0)


def test_scaled_and_shifted_images_keep_full_resolution_coordinates():
    moved = Sequence([Scale([2.0, 2.0], axes=("x", "y")), Translation([100.0, 50.0], axes=("x", "y"))])
    data = SpatialData(images={"A_image": element(moved)})
    hd.pp.tile_grid(data, mpp=0.25, size_um=30, spacing_um=40)
    xy = data["table"].obsm["spatial"]
    x0, y0, x1, y1 = BLOCK
    assert (xy >= np.array([2 * x0 + 100, 2 * y0 + 50]) - 60).all()
    assert (xy <= np.array([2 * x1 + 100, 2 * y1 + 50]) + 60).all()
    record = data["table"].uns["histodecon"]
    assert record["tiles"]["A"]["size_px"] == 120
    assert record["slides"]["A"]["image_mpp"] == 0.5
    assert record["slides"]["A"]["width_px"] == 2 * WIDTH
    assert data.coordinate_systems == ["A"]


def test_images_of_other_names():
    images_ = {"scan": element(Identity(), "global"), "B_image": element(Identity(), "global")}
    data = SpatialData(images=images_)
    hd.pp.tile_grid(data, mpp=0.5, library_id="S", image_key="scan")
    assert set(data["table"].obs["library_id"]) == {"S"}
    hd.pp.embed_tiles(data, "color_stats", image_key="scan", show_progress_bar=False)
    both = SpatialData(images=images_)
    hd.pp.tile_grid(both, mpp={"scan": 0.5, "B": 0.5})
    assert set(both["table"].obs["library_id"]) == {"scan", "B"}
    named = SpatialData(images=images_)
    hd.pp.tile_grid(named, mpp=0.5, image_key={"X": "scan", "Y": "B_image"})
    assert set(named["table"].obs["library_id"]) == {"X", "Y"}


@pytest.mark.parametrize(
    ("kwargs", "error", "match"),
    [
        ({"spacing_um": 0}, InputError, "spacing_um"),
        ({"spacing_um": float("nan")}, InputError, "spacing_um"),
        ({"spacing_um": 0.01}, InputError, "too dense"),
        ({"size_um": -1}, InputError, "size_um"),
        ({"layout": "ring"}, InputError, "Layout"),
        ({"tissue_threshold": 2}, InputError, "tissue_threshold"),
        ({"mpp": 50}, ResolutionError, "HD-BI-15"),
        ({"mpp": "0.5"}, ResolutionError, "must be a number"),
        ({"image_key": "absent"}, MissingKeyError, "HD-BI-35"),
        ({"library_id": ["A", "B"], "image_key": "A_image"}, InputError, "HD-BI-36"),
        ({"library_id": ["A", "B"]}, MissingKeyError, "B_image"),
        ({"table_key": "a/b"}, InputError, "HD-BI-67"),
    ],
)
def test_bad_arguments_change_nothing(kwargs, error, match):
    untouched(slide(), error, match, **kwargs)


def test_glass_is_refused_with_numbers():
    glass = hd.io.read_slide(np.full((500, 600, 3), 240, np.uint8), library_id="A", mpp=0.5)
    untouched(glass, InputError, r"HD-BI-40.*0 of \d+ tiles.*threshold 0\.1.*mean luminance is 240")
    pale = slide()
    untouched(pale, InputError, "HD-BI-40.*the most stained has 0.7", tissue_threshold=1.0, spacing_um=500, size_um=299)


def test_fluorescence_is_refused():
    dark = np.zeros((500, 600, 3), np.uint8)
    dark[100:400, 100:500, 2] = 60
    untouched(hd.io.read_slide(dark, library_id="A", mpp=0.5), ImageError, "HD-BI-30")


def test_no_scale_no_image_no_spatialdata():
    untouched(SpatialData(images={"A_image": element(Identity())}), ResolutionError, "HD-BI-14")
    untouched(SpatialData(), MissingKeyError, "HD-BI-35")
    sheared = Affine([[1, 0.3, 0], [0, 1, 0], [0, 0, 1]], input_axes=("x", "y"), output_axes=("x", "y"))
    untouched(SpatialData(images={"A_image": element(sheared)}), GeometryError, "HD-BI-17", mpp=0.5)
    with pytest.raises(InputError, match="read_slide"):
        hd.pp.tile_grid(hd.datasets.toy_slide(n_rows=4, n_cols=4)["table"])


def test_several_faults_are_told_together():
    data = SpatialData(images={"A_image": element(Identity()), "B_image": element(Identity())})
    untouched(data, ResolutionError, "2 problems")
