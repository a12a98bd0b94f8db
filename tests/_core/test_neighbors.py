"""Who stands around a spot."""

from __future__ import annotations

from typing import Any

import anndata as ad
import numpy as np
import pytest
from scipy.sparse import csr_matrix

import histodecon as hd
from histodecon._core._neighbors import pitch_um, read_rings

QUICK = {"n_networks": 1, "max_epochs": 3, "hidden": 8}


def grid(n: int, *, hexagonal: bool, seed: int = 0) -> np.ndarray:
    rows, columns = np.divmod(np.arange(n * n), n)
    x, y = columns + (0.5 * (rows % 2) if hexagonal else 0), rows * (np.sqrt(3) / 2 if hexagonal else 1)
    return 100 * np.stack([x, y], axis=1) + np.random.default_rng(seed).normal(scale=2, size=(n * n, 2))


def table(*slides: np.ndarray) -> ad.AnnData:
    xy = np.concatenate(slides)
    adata = ad.AnnData(np.zeros((len(xy), 1)))
    adata.obsm["spatial"] = xy
    adata.obs["library_id"] = np.repeat([f"s{i}" for i in range(len(slides))], [len(one) for one in slides])
    return adata


@pytest.mark.parametrize(("hexagonal", "first", "second"), [(True, 6, 12), (False, 8, 16)])
def test_rings_of_lattices(hexagonal: bool, first: int, second: int) -> None:
    rings = read_rings(table(grid(9, hexagonal=hexagonal)), 2)
    middle = 4 * 9 + 4
    assert [int((ring[middle] > 0).sum()) for ring in rings] == [first, second]
    for ring in rings:
        np.testing.assert_allclose(np.asarray(ring.sum(axis=1)).ravel(), 1)
        assert ring.diagonal().sum() == 0
    assert rings[0].multiply(rings[1]).nnz == 0


def test_slides_on_top_of_each_other_stay_apart() -> None:
    one = grid(5, hexagonal=True)
    both = read_rings(table(one, one + 1), 2)
    alone = read_rings(table(one), 2)
    for two, ring in zip(both, alone, strict=True):
        dense = two.toarray()
        np.testing.assert_allclose(dense[:25, :25], ring.toarray())
        assert not dense[:25, 25:].any()


def test_squidpy_decides_where_it_was_asked() -> None:
    adata = table(grid(4, hexagonal=False), grid(4, hexagonal=False))
    given = np.zeros((32, 32))
    given[0, 1] = given[1, 0] = given[0, 20] = 1  # the last one leads to another slide
    adata.obsp["spatial_connectivities"] = csr_matrix(given)
    ring = read_rings(adata, 1)[0]
    assert list(zip(*ring.nonzero(), strict=True)) == [(0, 1), (1, 0)]


def test_lonely_spots_have_nobody() -> None:
    rings = read_rings(table(np.array([[0.0, 0.0]]), grid(3, hexagonal=True)), 2)
    assert rings[0][0].nnz == 0
    assert read_rings(table(grid(3, hexagonal=True)), 0) is None


def test_only_some_count_as_neighbors_and_rings_stay_what_they_are() -> None:
    adata = table(grid(5, hexagonal=True))
    among = np.arange(25) % 3 > 0
    for ring, whole in zip(read_rings(adata, 2, among=among), read_rings(adata, 2), strict=True):
        expected = (whole.toarray() > 0) * among
        np.testing.assert_array_equal(ring.toarray() > 0, expected)
        np.testing.assert_allclose(ring.toarray().sum(axis=1), expected.any(axis=1))


def test_another_column_may_tell_slides_apart() -> None:
    adata = table(grid(4, hexagonal=True), grid(4, hexagonal=True) + 1)
    expected = read_rings(adata, 1)[0].toarray()
    adata.obs["section"] = adata.obs.pop("library_id")
    np.testing.assert_array_equal(read_rings(adata, 1, library_key="section")[0].toarray(), expected)
    assert not np.array_equal(read_rings(adata, 1)[0].toarray(), expected)


@pytest.fixture(scope="module")
def cohort() -> Any:
    sdata = hd.datasets.toy_slide(n_patients=3, n_rows=7, n_cols=7, mpp=1.0)
    hd.pp.tile_spots(sdata)
    hd.pp.embed_tiles(sdata, "color_stats", show_progress_bar=False)
    hd.tl.set_targets(sdata["table"], "true_abundance")
    return sdata


@pytest.mark.parametrize(
    ("learner", "params"), [("context", QUICK), ("ensemble", {"params": {"mlp": QUICK, "context": QUICK}})]
)
def test_the_journey_with_neighbors(cohort: Any, learner: str, params: dict) -> None:
    adata = cohort["table"].copy()
    how = {"use_rep": "X_color_stats", "learner": learner, "params": params, "device": "cpu"}
    hd.tl.cross_validate(adata, **how, baselines=(), show_progress_bar=False)
    inside = adata[adata.obs["patient"] != "P2"].copy()
    out = adata[adata.obs["patient"] == "P2"].copy()
    model = hd.tl.train_regressor(inside, **how, show_progress_bar=False)
    hd.tl.predict_abundance(out, model, background="keep")
    np.testing.assert_allclose(
        out.obsm["predicted_abundance"].to_numpy(),
        adata.obsm["crossval_abundance"][adata.obs["patient"] == "P2"].to_numpy(),
        atol=1e-5,
    )
    assert model.training_["pitch_um"] == pytest.approx(100, rel=0.02)


def test_another_pitch_is_refused(cohort: Any) -> None:
    adata = cohort["table"]
    how = {"use_rep": "X_color_stats", "learner": "context", "params": QUICK, "device": "cpu"}
    model = hd.tl.train_regressor(adata, **how, show_progress_bar=False)
    assert pitch_um(adata) == pytest.approx(100, rel=0.02)
    other = adata.copy()
    other.obsm["spatial"] = other.obsm["spatial"] * 2
    with pytest.raises(hd.ModelMismatchError, match="200 µm here, 100 µm in training") as error:
        hd.tl.predict_abundance(other, model)
    assert error.value.code == "BI-122"
    assert "predicted_abundance" not in other.obsm


def test_glass_is_nobodys_neighbor_in_prediction(cohort: Any) -> None:
    adata = cohort["table"].copy()
    how = {"use_rep": "X_color_stats", "learner": "context", "params": QUICK, "device": "cpu"}
    model = hd.tl.train_regressor(adata, **how, show_progress_bar=False)
    glass = np.arange(adata.n_obs) % 11 == 0
    adata.obs["in_tissue_tile"] = ~glass
    found = []
    for factor in (1.0, 3.0):  # whatever is seen on glass
        adata.obsm["X_color_stats"] = np.where(glass[:, None], factor, 1) * cohort["table"].obsm["X_color_stats"]
        with pytest.warns(hd.DroppedSpotsWarning):
            hd.tl.predict_abundance(adata, model)
        found.append(adata.obsm["predicted_abundance"].to_numpy()[~glass])
    np.testing.assert_array_equal(*found)


def test_spots_without_targets_are_nobodys_neighbor_in_training(cohort: Any) -> None:
    adata = cohort["table"].copy()
    without = np.arange(adata.n_obs) % 7 == 0
    adata.obsm["cell_abundance"].iloc[without] = np.nan
    how = {"use_rep": "X_color_stats", "learner": "context", "params": QUICK, "device": "cpu"}
    one = hd.tl.train_regressor(adata, **how, show_progress_bar=False)
    adata.obsm["X_color_stats"] = np.where(without[:, None], 3, 1) * adata.obsm["X_color_stats"]
    two = hd.tl.train_regressor(adata, **how, show_progress_bar=False)
    arrays = two.learner_.arrays()
    assert all(np.array_equal(array, arrays[name]) for name, array in one.learner_.arrays().items())
