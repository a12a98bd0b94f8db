"""What stands beside a table: found by name, read in the order asked for."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from toy_embeddings import TYPES, cohort, truth_table

import histodecon as hd
from histodecon.tl._companions import companions_of, read_sd

ALL = np.ones(90, dtype=bool)


def test_the_sd_is_read_by_name() -> None:
    adata = cohort()
    sd = truth_table(adata) + 1
    hd.tl.set_targets(adata, truth_table(adata), sd=sd)
    turned = tuple(TYPES[::-1])
    np.testing.assert_array_equal(read_sd(adata, "cell_abundance", ALL, turned), sd[list(turned)].to_numpy())
    assert companions_of(adata, "cell_abundance") == {"sd": "cell_abundance_sd"}


def test_quantiles_stand_in_for_it() -> None:
    adata = cohort()
    truth = truth_table(adata)
    normal = {"means": truth + 50, "q05": truth + 50 - 1.6448536 * 2, "q95": truth + 50 + 1.6448536 * 2}
    parts = [part.add_prefix(f"{name}cell_abundance_w_sf_") for name, part in normal.items()]
    hd.tl.set_targets(adata, pd.concat(parts, axis=1))
    assert "cell_abundance_sd" not in adata.obsm
    np.testing.assert_allclose(read_sd(adata, "cell_abundance", ALL, tuple(TYPES)), 2.0, rtol=1e-6)


def test_absent_or_foreign_uncertainty_is_told() -> None:
    adata = cohort()
    hd.tl.set_targets(adata, truth_table(adata))
    with pytest.raises(hd.MissingKeyError, match=r"(?s)BI-87.*cell_abundance_sd.*sd="):
        read_sd(adata, "cell_abundance", ALL, tuple(TYPES))
    hd.tl.set_targets(adata, truth_table(adata), sd=truth_table(adata))
    with pytest.raises(hd.AlignmentError, match="BI-64"):
        read_sd(adata, "cell_abundance", ALL, ("other",))
    adata.obsm["cell_abundance_sd"].iloc[3, 0] = np.nan
    with pytest.raises(hd.TargetError, match="1 of 90"):
        read_sd(adata, "cell_abundance", ALL, tuple(TYPES))
    read_sd(adata, "cell_abundance", np.arange(90) != 3, tuple(TYPES))
