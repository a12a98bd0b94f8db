"""Tables as an AnnData that scanpy and squidpy can draw."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from tests_support import state_of

import histodecon as hd
from histodecon._core import write_table

NAMES = ["T-cells", "CAFs MSC/iCAF-like"]


def build() -> ad.AnnData:
    adata = ad.AnnData(np.zeros((9, 4), dtype=np.float32), obs=pd.DataFrame(index=[f"s{i}" for i in range(9)]))
    adata.obs["library_id"] = "slide"
    adata.obs["library_id"] = adata.obs["library_id"].astype("category")
    adata.obsm["spatial"] = np.stack(np.meshgrid([20, 50, 80], [20, 50, 80]), axis=-1).reshape(-1, 2).astype(float)
    adata.uns["spatial"] = {
        "slide": {
            "images": {"hires": np.full((50, 50, 3), 230, dtype=np.uint8)},
            "scalefactors": {"tissue_hires_scalef": 0.5, "spot_diameter_fullres": 20.0},
        }
    }
    values = np.arange(18.0).reshape(9, 2)
    for key, table in (("cell_abundance", values), ("predicted_abundance", values + 1)):
        write_table(adata, key, pd.DataFrame(table, index=adata.obs_names, columns=NAMES), kind="abundance")
    return adata


def test_layers_are_the_tables_under_their_real_names() -> None:
    adata = build()
    cells = hd.get.abundance(adata)
    assert list(cells.var_names) == NAMES
    assert list(cells.obs_names) == list(adata.obs_names)
    assert list(cells.layers) == ["target", "predicted"]
    np.testing.assert_array_equal(cells.layers["predicted"], adata.obsm["predicted_abundance"].to_numpy())
    np.testing.assert_array_equal(cells.X, cells.layers["target"])
    np.testing.assert_array_equal(hd.get.abundance(adata, use="predicted").X, cells.layers["predicted"])
    assert cells.uns["layers"]["target"] == {"key": "cell_abundance", "kind": "abundance", "unit": "cells per spot"}
    assert list(cells.obs["library_id"]) == ["slide"] * 9


def test_the_new_object_is_free_of_the_old() -> None:
    adata = build()
    before = state_of(adata)
    cells = hd.get.abundance(adata)
    cells.X[:] = -1
    cells.layers["target"][:] = -1
    cells.obsm["spatial"][:] = 0
    cells.obs["library_id"] = "other"
    assert state_of(adata) == before
    assert (cells.layers["predicted"] >= 0).all()


def test_tables_of_other_types_are_joined_by_name() -> None:
    adata = build()
    fine = pd.DataFrame({"B-cells": np.ones(9), "T-cells": np.full(9, 2.0)}, index=adata.obs_names)
    write_table(adata, "fine", fine, kind="abundance")
    cells = hd.get.abundance(adata, layers={"coarse": "cell_abundance", "fine": "fine"})
    assert list(cells.var_names) == [*NAMES, "B-cells"]
    assert (cells[:, "T-cells"].layers["fine"] == 2).all()
    assert np.isnan(cells[:, "CAFs MSC/iCAF-like"].layers["fine"]).all()
    assert list(cells.var["fine"]) == [True, False, True]


def test_round_trip(tmp_path: Path) -> None:
    cells = hd.get.abundance(build())
    cells.write_h5ad(tmp_path / "c.h5ad")
    back = ad.read_h5ad(tmp_path / "c.h5ad")
    assert list(back.var_names) == NAMES
    np.testing.assert_array_equal(back.layers["target"], cells.layers["target"])


def test_scanpy_draws_it() -> None:
    import scanpy as sc

    cells = hd.get.abundance(build())
    axes = sc.pl.embedding(cells, basis="spatial", color="T-cells", layer="predicted", show=False)
    np.testing.assert_array_equal(np.sort(axes.collections[0].get_array()), np.arange(9) * 2.0 + 1)
    plt.close("all")


def test_squidpy_draws_it() -> None:
    import squidpy as sq

    cells = hd.get.abundance(build())
    axes = sq.pl.spatial_scatter(cells, color="CAFs MSC/iCAF-like", layer="predicted", return_ax=True)
    axes = np.atleast_1d(axes)[0]
    assert axes.get_title() == "CAFs MSC/iCAF-like"
    assert axes.images, "the tissue lies below the spots"
    np.testing.assert_array_equal(np.sort(axes.collections[0].get_array()), np.arange(9) * 2.0 + 2)
    plt.close("all")


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"layers": {"x": "guess"}}, hd.MissingKeyError, "'guess'.*tables present"),
        ({"use": "guess"}, hd.InputError, "layers: 'target', 'predicted'"),
        ({"layers": {}}, hd.MissingKeyError, "no abundance table"),
    ],
)
def test_refusals(options: dict[str, object], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        hd.get.abundance(build(), **options)  # type: ignore[arg-type]


def test_no_table_at_all() -> None:
    adata = build()
    del adata.obsm["cell_abundance"], adata.obsm["predicted_abundance"]
    with pytest.raises(hd.MissingKeyError, match="predict_abundance"):
        hd.get.abundance(adata)


def test_a_subset_keeps_the_picture_of_its_slide_alone() -> None:
    adata = build()
    adata.obs["library_id"] = ["a"] * (adata.n_obs - 2) + ["b"] * 2
    adata.uns["spatial"] = {"a": {"images": {}}, "b": {"images": {}}}
    assert set(hd.get.abundance(adata).uns["spatial"]) == {"a", "b"}
    assert set(hd.get.abundance(adata[-2:].copy()).uns["spatial"]) == {"b"}


def test_as_a_table_of_the_spatialdata_it_belongs_to_the_same_spots(tmp_path: Path) -> None:
    import spatialdata as sd

    sdata = hd.datasets.toy_slide(n_patients=2, n_rows=5, n_cols=5)
    cells = hd.get.abundance(sdata["table"], layers={"true": "true_abundance"})
    assert cells.uns["spatialdata_attrs"] == sdata["table"].uns["spatialdata_attrs"]
    sdata["cell_types"] = cells
    sdata.write(tmp_path / "a.zarr")
    back = sd.read_zarr(tmp_path / "a.zarr")
    table = back["cell_types"]
    own = table.obs[table.obs["region"] == "toy_2_spots"]
    assert set(own["spot_id"]) == set(back["toy_2_spots"].index)
    colors = sd.get_values("T-cells", sdata=back, element_name="toy_2_spots", table_name="cell_types")
    np.testing.assert_array_equal(colors["T-cells"], cells[own.index, "T-cells"].X.ravel())
    plain = sdata["table"].copy()
    del plain.uns["spatialdata_attrs"]
    assert "spatialdata_attrs" not in hd.get.abundance(plain, layers={"true": "true_abundance"}).uns
