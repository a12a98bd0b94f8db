"""nnls as a method of tl.deconvolve: its scale; the solution itself is tested with models."""

from __future__ import annotations

import numpy as np
import pytest

import histodecon as hd


@pytest.mark.parametrize("cells", [1, 30.0])
def test_every_slide_has_the_number_of_cells_that_was_said(cells: float) -> None:
    adata = hd.datasets.toy_slide(n_patients=2, n_rows=6, n_cols=6)["table"]
    reference = hd.datasets.toy_reference()
    hd.tl.deconvolve(adata, reference, labels_key="cell_type", method="nnls", n_cells_per_location=cells)
    totals = adata.obsm["cell_abundance"].sum(axis=1)
    np.testing.assert_allclose(totals.groupby(adata.obs["library_id"].to_numpy()).mean(), cells)
    truth = adata.obsm["true_abundance"].sum(axis=1)
    assert np.corrcoef(totals, truth)[0, 1] > 0.8  # spots with more cells have more of them


def test_the_same_twice() -> None:
    found = []
    for _ in range(2):
        adata = hd.datasets.toy_slide(n_rows=5, n_cols=5)["table"]
        hd.tl.deconvolve(adata, hd.datasets.toy_reference(), labels_key="cell_type", method="nnls")
        found.append(adata.obsm["cell_abundance"].to_numpy())
    np.testing.assert_array_equal(*found)
