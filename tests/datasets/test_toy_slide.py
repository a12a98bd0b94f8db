from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage
from scipy.spatial import cKDTree

from histodecon._core import InputError, ResolutionError, read_table
from histodecon.datasets import toy_slide
from histodecon.datasets._toy_cells import LOOKS, Cells, place_cells
from histodecon.datasets._toy_counts import MARKERS, draw_counts, signatures
from histodecon.datasets._toy_noise import at_points, smooth_noise, upsample
from histodecon.datasets._toy_paint import paint
from histodecon.datasets._toy_plan import CELL_TYPES, STEP_UM, Plan, draw_plan
from histodecon.datasets._toy_stain import Stain, develop


@pytest.fixture(scope="module")
def cohort():
    return toy_slide(n_patients=2, n_rows=8, n_cols=8, random_state=5)


@pytest.fixture(scope="module")
def plan() -> Plan:
    return draw_plan(np.random.default_rng(3), 900.0, 1000.0, margin_um=60)


@pytest.fixture(scope="module")
def cells(plan: Plan) -> Cells:
    return place_cells(np.random.default_rng(4), plan)


def image_of(sdata, library: str) -> np.ndarray:
    return np.moveaxis(sdata.images[f"{library}_image"].values, 0, 2)


def library_rows(adata, library: str) -> np.ndarray:
    return np.flatnonzero(adata.obs["library_id"].astype(str) == library)


def test_the_same_seed_draws_the_same_slide_and_shares_nothing():
    first, again = (toy_slide(n_rows=5, n_cols=5, random_state=2) for _ in range(2))
    other = toy_slide(n_rows=5, n_cols=5, random_state=3)
    np.testing.assert_array_equal(image_of(first, "toy_1"), image_of(again, "toy_1"))
    assert (first["table"].X != again["table"].X).nnz == 0
    pd.testing.assert_frame_equal(first["table"].obsm["true_abundance"], again["table"].obsm["true_abundance"])
    assert not np.array_equal(image_of(first, "toy_1"), image_of(other, "toy_1"))
    first["table"].obsm["true_abundance"].iloc[:] = -1
    assert (again["table"].obsm["true_abundance"].to_numpy() >= 0).all()


def test_a_patient_does_not_depend_on_how_many_there_are(cohort):
    alone = toy_slide(n_rows=8, n_cols=8, random_state=5)
    rows = library_rows(cohort["table"], "toy_1")
    np.testing.assert_array_equal(image_of(alone, "toy_1"), image_of(cohort, "toy_1"))
    np.testing.assert_array_equal(alone["table"].X.toarray(), cohort["table"][rows].X.toarray())


def test_the_table_says_what_the_docstring_says(cohort):
    adata = cohort["table"]
    assert adata.obs_names.is_unique
    assert list(adata.obs["patient"].cat.categories) == ["P1", "P2"]
    assert list(adata.obs["library_id"].cat.categories) == ["toy_1", "toy_2"]
    assert set(cohort.images) == {"toy_1_image", "toy_2_image"}
    assert set(cohort.shapes) == {"toy_1_spots", "toy_2_spots"}
    assert set(adata.uns["spatial"]) == {"toy_1", "toy_2"}
    assert (adata.obs["in_tissue"] == 1).all()
    assert list(read_table(adata, "true_abundance").columns) == list(CELL_TYPES)
    assert "CAFs MSC/iCAF-like" in CELL_TYPES
    assert list(adata.obsm["true_abundance"].columns) == list(adata.varm["signatures"].columns)


def test_spots_are_a_hexagonal_lattice_of_100_um(cohort):
    adata = cohort["table"]
    for library in ("toy_1", "toy_2"):
        rows = library_rows(adata, library)
        xy = adata.obsm["spatial"][rows] * adata.uns["histodecon"]["slides"][library]["mpp"]
        distance, _ = cKDTree(xy).query(xy, k=8)
        np.testing.assert_allclose(distance[:, 1], 100, atol=1e-6)
        neighbors = (distance[:, 1:] < 101).sum(axis=1)
        assert neighbors.max() == 6
        assert (neighbors == 6).mean() > 0.3
        column, row = adata.obs["array_col"].to_numpy()[rows], adata.obs["array_row"].to_numpy()[rows]
        assert ((column - row) % 2 == 0).all()
        np.testing.assert_allclose(np.ptp(xy[:, 0] - 50 * column), 0, atol=1e-6)
        np.testing.assert_allclose(np.ptp(xy[:, 1] - 50 * np.sqrt(3) * row), 0, atol=1e-6)


def test_abundance_is_the_number_of_nuclei_drawn_in_the_spot(monkeypatch):
    drawn = []

    def watched(rng, plan):
        drawn.append(place_cells(rng, plan))
        return drawn[-1]

    monkeypatch.setattr("histodecon.datasets._toy_cells.place_cells", watched)
    adata = toy_slide(n_rows=6, n_cols=6, mpp=0.8, random_state=1)["table"]
    (cells,) = drawn
    truth = read_table(adata, "true_abundance")
    for row, center in enumerate(adata.obsm["spatial"] * 0.8):
        inside = np.hypot(*(cells.xy - center).T) <= 32.5
        for kind, name in enumerate(CELL_TYPES):
            assert truth.iloc[row][name] == np.count_nonzero(inside & (cells.kind == kind))


def test_background_is_white_and_spots_lie_on_tissue(cohort):
    adata = cohort["table"]
    for library in ("toy_1", "toy_2"):
        image = image_of(cohort, library)
        border = np.concatenate([image[:8].reshape(-1, 3), image[-8:].reshape(-1, 3), image[:, :8].reshape(-1, 3)])
        assert np.percentile(border, 1) > 225
        dark = ndimage.uniform_filter((image[..., 1] < 215).astype(float), 65)
        x, y = adata.obsm["spatial"][library_rows(adata, library)].astype(int).T
        assert (dark[y, x] > 0.05).mean() > 0.9
        assert np.median(dark[y, x]) > 0.6


def test_patients_differ_in_stain(cohort):
    def look(library: str) -> tuple[np.ndarray, np.ndarray]:
        pixels = image_of(cohort, library).reshape(-1, 3).astype(float)
        white = np.median(pixels[pixels.min(axis=1) > 220], axis=0)
        density = -np.log((pixels + 1) / (white + 1))
        dark = density[density[:, 0] > np.quantile(density[:, 0], 0.98)].mean(axis=0)
        return white, dark / np.linalg.norm(dark)

    (white_1, dye_1), (white_2, dye_2) = look("toy_1"), look("toy_2")
    assert np.abs(white_1 - white_2).max() >= 1
    assert 0.5 < np.degrees(np.arccos(np.clip(dye_1 @ dye_2, -1, 1))) < 15


def test_counts_are_whole_and_follow_the_signatures(cohort):
    adata = cohort["table"]
    counts = adata.X.toarray()
    assert (counts == np.round(counts)).all()
    assert counts.min() >= 0
    truth = read_table(adata, "true_abundance")
    for name, genes in MARKERS.items():
        total = counts[:, adata.var_names.get_indexer(list(genes))].sum(axis=1)
        assert np.corrcoef(total, truth[name])[0, 1] > 0.85, name


def test_counts_have_the_mean_they_should():
    cells = np.tile([[5.0, 3.0, 2.0, 1.0, 4.0, 2.0]], (4000, 1))
    counts = draw_counts(np.random.default_rng(0), cells).toarray()
    expected = 1.05 * cells[0] @ signatures().to_numpy().T
    np.testing.assert_allclose(counts.mean(axis=0), expected, rtol=0.08)


def moran_r(x: np.ndarray, y: np.ndarray, xy_um: np.ndarray, length_um: float) -> float:
    x, y, n = x - x.mean(), y - y.mean(), len(x)
    total = weights = 0.0
    for i in range(n):
        for j in range(n):
            weight = np.exp(-((xy_um[i] - xy_um[j]) ** 2).sum() / (2 * length_um**2))
            weights += weight
            total += weight * x[i] * y[j]
    return float(n / weights * total / np.sqrt((x @ x) * (y @ y)))


@pytest.mark.parametrize("random_state", [0, 1])
def test_the_planted_pairs_are_there(random_state):
    adata = toy_slide(n_rows=9, n_cols=9, random_state=random_state)["table"]
    truth, planted = read_table(adata, "true_abundance"), adata.uns["histodecon"]["toy"]
    pairs = {key: [truth[name].to_numpy() for name in planted[key]] for key in ("attracted", "avoiding")}
    assert moran_r(*pairs["attracted"], adata.obsm["spatial"], 100.0) > 0.15
    assert moran_r(*pairs["avoiding"], adata.obsm["spatial"], 100.0) < -0.05


def test_nuclei_show_their_type(plan: Plan, cells: Cells):
    """Hematoxylin at the center of a nucleus, and its area, differ between types as the looks say."""
    amounts = paint(np.random.default_rng(0), plan, cells, (1125, 1250), 0.8)
    lonely = cKDTree(cells.xy).query(cells.xy, k=2)[0][:, 1] > 9
    tone = at_points(ndimage.gaussian_filter(amounts[0], 1), cells.xy, 0.8)
    mean = {name: np.median(tone[(cells.kind == k) & lonely]) for k, name in enumerate(CELL_TYPES)}
    assert mean["T-cells"] > 1.15 * mean["B-cells"]
    assert mean["B-cells"] > 1.15 * mean["Cancer Epithelial"]
    outside = at_points(plan.tissue, np.array([[2.0, 2.0]]), STEP_UM)
    assert outside[0] == 0
    assert amounts[:, :10, :10].max() == 0
    assert LOOKS["Cancer Epithelial"].long * LOOKS["Cancer Epithelial"].short > 2 * LOOKS["T-cells"].long ** 2


def test_nuclei_are_spread_more_evenly_than_by_chance(plan: Plan, cells: Cells):
    """In disks of a spot's size the cancer cells of a nest scatter less than a Poisson process."""
    rng = np.random.default_rng(0)
    centers = rng.uniform(0, [1000, 900], (20000, 2))
    pure = at_points(ndimage.minimum_filter(plan.nest, 23), centers, STEP_UM) > 0.99
    cancer = cells.xy[cells.kind == 0]
    counts = np.array([len(found) for found in cKDTree(cancer).query_ball_point(centers[pure], 32.5)])
    assert pure.sum() > 50
    assert counts.var() < 0.6 * counts.mean()


def test_light_follows_beer_and_lambert():
    amounts = np.zeros((3, 40, 60), np.float32)
    amounts[0, :, 30:] = 1.5
    amounts[1, 20:] = 0.7
    stain = Stain(np.array([[0.6, 0.7, 0.3], [0.1, 0.9, 0.4], [0.1, 0.8, 0.6]]), np.array([240.0, 242.0, 244.0]), 0.0)
    picture = develop(np.random.default_rng(0), amounts, stain, rows_at_once=7)
    expected = stain.lamp * np.exp(-np.einsum("sk,shw->hwk", stain.matrix, amounts))
    assert np.abs(picture - expected).max() <= 0.51


def test_noise_has_unit_spread_and_textures_tile():
    field = smooth_noise(np.random.default_rng(0), (600, 500), 6.0)
    assert abs(float(field.mean())) < 0.05
    assert abs(float(field.std()) - 1) < 0.1
    tile = smooth_noise(np.random.default_rng(0), (128, 128), (4.0, 16.0), periodic=True)
    step_inside, step_across = np.abs(np.diff(tile, axis=0)).mean(), np.abs(tile[0] - tile[-1]).mean()
    assert step_across < 1.5 * step_inside


def test_upsampling_keeps_a_ramp():
    ramp = np.add.outer(np.arange(10.0), 2 * np.arange(12.0))
    fine = upsample(ramp, 5.0, (50, 60))
    y, x = (np.arange(50) + 0.5) / 5 - 0.5, (np.arange(60) + 0.5) / 5 - 0.5
    np.testing.assert_allclose(fine[3:-3, 3:-3], np.add.outer(y, 2 * x)[3:-3, 3:-3], atol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"n_patients": 0}, InputError),
        ({"n_rows": 3}, InputError),
        ({"n_cols": 1}, InputError),
        ({"random_state": -1}, InputError),
        ({"random_state": None}, InputError),
        ({"mpp": 0.05}, ResolutionError),
        ({"mpp": 5}, ResolutionError),
        ({"mpp": float("nan")}, ResolutionError),
    ],
)
def test_impossible_slides_are_refused(arguments, error):
    with pytest.raises(error, match="To fix it"):
        toy_slide(**arguments)


def test_drawn_nuclei_are_given_on_request_and_change_nothing(cohort):
    given = toy_slide(n_patients=2, n_rows=8, n_cols=8, nuclei=True, random_state=5)
    np.testing.assert_array_equal(image_of(given, "toy_2"), image_of(cohort, "toy_2"))
    np.testing.assert_array_equal(given["table"].X.toarray(), cohort["table"].X.toarray())
    assert "toy_1_nuclei" not in cohort.shapes
    for library in ("toy_1", "toy_2"):
        nuclei, rows = given[f"{library}_nuclei"], library_rows(given["table"], library)
        xy = np.stack([nuclei.geometry.centroid.x, nuclei.geometry.centroid.y], axis=1)
        inside = cKDTree(xy).query_ball_point(given["table"].obsm["spatial"][rows], 32.5)
        types = nuclei["cell_type"].cat.codes.to_numpy()
        counted = np.stack([np.bincount(types[own], minlength=len(CELL_TYPES)) for own in inside])
        np.testing.assert_array_equal(counted, read_table(given["table"], "true_abundance").iloc[rows])
        # they lie where they were drawn: their middle is darker than the slide
        pixels = image_of(given, library)[tuple(np.clip(xy[:, ::-1].astype(int), 0, None).T)]
        assert pixels[:, 0].mean() < image_of(given, library)[..., 0].mean() - 30
