"""Targets of a configuration: from counts and a reference to a file that the experiments read."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

if not (Path(__file__).parents[2] / "paper").is_dir():
    pytest.skip("not a checkout", allow_module_level=True)

from paper._bench import Bench
from paper._config import read_config
from paper._sections import Absent
from paper.targets import make, with_symbols

import histodecon as hd

TOML = """
title = "Targets"
cache = "{folder}/cache"
device = "cpu"

[cohorts.one]
dataset = "toy"
tile_um = 112
targets_file = "{folder}/made/one.h5ad"
n_rows = 6

[reference]
file = "{folder}/cells.h5ad"
labels_key = "cell_type"

[encoders.color_stats]

[encoder_sets]
color_stats = ["color_stats"]
"""


def test_made_once_and_read(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text(TOML.format(folder=tmp_path.as_posix()))
    config = read_config(path)
    cohort = config.cohorts["one"]
    with pytest.raises(Absent, match=r"there is no .*cells\.h5ad"):
        make(cohort, config, method="nnls")
    bench = Bench(config, tmp_path / "out", path)
    assert bench.cohort("one", "color_stats") is None
    assert "python -m paper.targets" in bench.missing["targets of one"]
    hd.datasets.toy_reference().write_h5ad(tmp_path / "cells.h5ad")
    made = make(cohort, config, method="nnls")
    assert made == tmp_path / "made" / "one.h5ad"
    assert make(cohort, config, method="nnls") is None
    adata = bench.cohort("one", "color_stats")
    found = hd.get.abundance(ad.read_h5ad(made), layers={"found": "cell_abundance"}).to_df()
    own = hd.get.abundance(adata, layers={"found": "cell_abundance"}).to_df()
    pd.testing.assert_frame_equal(own, found.loc[own.index], check_names=False)
    assert set(adata.obs["patient"]) == {"P1", "P2"}


def test_symbols_add_up():
    counts = np.array([[1, 2, 4, 8], [16, 32, 64, 128]])
    adata = ad.AnnData(sp.csr_matrix(counts), var=pd.DataFrame(index=["E1.3", "E2", "E3", "E4"]))
    adata.obsm["spatial"] = np.zeros((2, 2))
    out = with_symbols(adata, pd.Series({"E1": "A", "E2": "B", "E4": "A"}))
    assert list(out.var_names) == ["A", "B"]
    np.testing.assert_array_equal(out.X.toarray(), [[9, 2], [144, 32]])
    assert "spatial" in out.obsm
