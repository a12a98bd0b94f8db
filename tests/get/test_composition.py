"""Mean cell types of groups of spots."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import histodecon as hd


@pytest.fixture
def adata() -> Any:
    adata = hd.datasets.toy_slide(n_patients=2, n_rows=6, n_cols=6, mpp=1.0)["table"]
    hd.tl.set_targets(adata, "true_abundance")
    adata.obs["annotation"] = pd.Categorical(np.where(np.arange(adata.n_obs) % 3 == 0, "a", "b"))
    return adata


def test_against_a_loop(adata: Any) -> None:
    adata.obsm["cell_abundance"].iloc[3] = np.nan
    adata.obs.loc[adata.obs_names[5], "annotation"] = np.nan
    table = hd.get.composition(adata, ["patient", "annotation"], abundance="cell_abundance")
    rows = []
    cells = hd.get.abundance(adata).to_df()  # under the real names
    for patient in sorted(set(adata.obs["patient"])):
        for region in ("a", "b"):
            own = (adata.obs["patient"] == patient) & (adata.obs["annotation"] == region) & cells.notna().all(axis=1)
            total = cells[own].mean().sum()
            rows += [
                (patient, region, name, int(own.sum()), cells.loc[own, name].mean(), cells.loc[own, name].std(), share)
                for name in cells.columns
                for share in [cells.loc[own, name].mean() / total]
            ]
    want = pd.DataFrame(rows, columns=["patient", "annotation", "cell_type", "n_spots", "mean", "sd", "share"])
    pd.testing.assert_frame_equal(table, want, check_dtype=False)


def test_shares_sum_to_one_and_empty_groups_have_none(adata: Any) -> None:
    cells = adata.obsm["cell_abundance"].copy()
    cells.loc[adata.obs["annotation"] == "a"] = 0.0
    hd.tl.set_targets(adata, cells)
    table = hd.get.composition(adata, abundance="cell_abundance")
    assert table.loc[table["annotation"] == "a", "share"].isna().all()
    assert table.loc[table["annotation"] == "b", "share"].sum() == pytest.approx(1)


def test_an_absent_column_answers(adata: Any) -> None:
    with pytest.raises(hd.MissingKeyError, match="assign_regions"):
        hd.get.composition(adata, "tissue", abundance="cell_abundance")
    with pytest.raises(hd.MissingKeyError, match="predicted_abundance"):
        hd.get.composition(adata)
