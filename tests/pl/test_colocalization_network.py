"""The network: one line a significant pair, colors and widths of R, many types."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import anndata as ad
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from tests_support import state_of

import histodecon as hd
from histodecon._core import write_table


@pytest.fixture(autouse=True)
def _close() -> Iterator[None]:
    yield
    plt.close("all")


def build(k: int, *, structure: float = 1.0) -> ad.AnnData:
    rng = np.random.default_rng(0)
    xy = rng.uniform(0, 3000, (400, 2))
    fields = np.column_stack([np.cos(xy @ rng.normal(size=2) / 500 + phase) for phase in range(4)])
    values = structure * fields @ rng.normal(size=(4, k)) + rng.normal(size=(400, k)) + 9
    adata = ad.AnnData(np.zeros((400, 1), dtype=np.float32), obs=pd.DataFrame(index=[f"s{i}" for i in range(400)]))
    adata.obsm["spatial"] = xy
    names = [f"type {i} with $a/long_name$ and more of it" for i in range(k)]
    write_table(adata, "predicted_abundance", pd.DataFrame(values, adata.obs_names, names), kind="abundance")
    hd.tl.colocalization(adata, mpp=1.0, length_um=100)
    return adata


def test_one_line_a_significant_pair() -> None:
    adata = build(7)
    ax = hd.pl.colocalization_network(adata, show=False)
    pooled = adata.uns["colocalization"]["pooled"]
    upper = np.triu_indices(7, k=1)
    significant = pooled["q"][upper] < 0.05
    assert len(ax.patches) == significant.sum() > 3
    widths = sorted(patch.get_linewidth() for patch in ax.patches)
    strongest = np.abs(pooled["R"][upper][significant])
    assert widths[-1] == pytest.approx(4.0)
    assert widths[0] == pytest.approx(0.4 + 3.6 * strongest.min() / strongest.max())
    red = sum(patch.get_edgecolor()[0] > patch.get_edgecolor()[2] for patch in ax.patches)
    assert red == (pooled["R"][upper][significant] > 0).sum()


def test_few_lines_are_drawn_and_the_rest_is_counted() -> None:
    adata = build(80)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ax = hd.pl.colocalization_network(adata, max_edges=30, min_r=0.05, show=False)
        ax.figure.canvas.draw()
    assert len(ax.patches) == 30
    pooled = adata.uns["colocalization"]["pooled"]
    upper = np.triu_indices(80, k=1)
    enough = ((pooled["q"][upper] < 0.05) & (np.abs(pooled["R"][upper]) >= 0.05)).sum()
    assert f"{enough - 30} weaker pairs" in " ".join(text.get_text() for text in ax.texts)


def test_no_line_is_said_and_own_axes_are_used() -> None:
    adata = build(4, structure=0.0)
    adata.uns["colocalization"]["pooled"]["q"][:] = 1.0
    before = state_of(adata)
    _, mine = plt.subplots()
    ax = hd.pl.colocalization_network(adata, ax=mine, show=False)
    assert ax is mine
    assert "no pair has q" in " ".join(text.get_text() for text in ax.texts)
    assert state_of(adata) == before


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"key": "other"}, hd.MissingKeyError, "'other'.*maps present: 'colocalization'"),
        ({"cell_types": ["x"]}, hd.InputError, "Unknown cell type"),
        ({"max_edges": 0}, hd.InputError, "max_edges=0"),
        ({"library_id": "nowhere"}, hd.InputError, "Unknown slide"),
    ],
)
def test_refusals(options: dict[str, object], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        hd.pl.colocalization_network(build(4), **options)  # type: ignore[arg-type]
