"""Records of slides without a table live in attrs, and those of tables are found, too."""

from __future__ import annotations

import anndata as ad
import numpy as np
import spatialdata
from spatialdata import SpatialData
from spatialdata.models import Image2DModel

from histodecon._core import set_slide_notes, set_uns_branch, slide_notes


def test_notes_of_attrs_and_of_tables():
    table = ad.AnnData(np.zeros((2, 1), np.float32))
    set_uns_branch(table, "slides", {"A": {"mpp": 0.5}, "B": {"mpp": 0.6}})
    data = SpatialData(tables={"table": table}, attrs={"other": 1})
    assert slide_notes(data) == {"A": {"mpp": 0.5}, "B": {"mpp": 0.6}}
    set_slide_notes(data, {"B": {"mpp": 0.7}})
    assert slide_notes(data)["B"] == {"mpp": 0.7}
    assert data.attrs["other"] == 1


def test_notes_survive_zarr(tmp_path):
    image = Image2DModel.parse(np.zeros((3, 8, 8), np.uint8), dims=("c", "y", "x"))
    data = SpatialData(images={"A_image": image})
    set_slide_notes(data, {"A": {"mpp": 0.25, "mpp_source": "image file", "width_px": 8}})
    data.write(tmp_path / "a.zarr")
    assert slide_notes(spatialdata.read_zarr(tmp_path / "a.zarr")) == slide_notes(data)


def test_attrs_of_others_are_not_taken():
    assert slide_notes(SpatialData(attrs={"histodecon": "mine"})) == {}
