"""Local maps on tissue: pairs, rings, colors, and maps that are not there."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import anndata as ad
import matplotlib.pyplot as plt
import numpy as np
import pytest
from tests_support import state_of

import histodecon as hd

PAIRS = [("T-cells", "B-cells"), ("T-cells", "CAFs MSC/iCAF-like"), ("T-cells", "T-cells")]


@pytest.fixture(autouse=True)
def _close() -> Iterator[None]:
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def computed() -> ad.AnnData:
    adata = hd.datasets.toy_slide(n_patients=2)["table"]
    hd.tl.colocalization(adata, "true_abundance", pairs=PAIRS, local=True)
    return adata


@pytest.fixture
def adata(computed: ad.AnnData) -> ad.AnnData:
    return computed.copy()


def test_panels_show_the_contributions_of_the_slide(adata: ad.AnnData) -> None:
    library = adata.obs["library_id"].iloc[0]
    axes = hd.pl.local_colocalization(adata, library_id=library, show=False)
    rows = (adata.obs["library_id"] == library).to_numpy()
    r = adata.uns["colocalization"]["libraries"][library]["R"]
    names = list(adata.uns["colocalization"]["names"])
    for i, (ax, (first, second)) in enumerate(zip(axes, PAIRS, strict=True)):
        np.testing.assert_array_equal(ax.collections[0].get_array(), adata.obsm["local_colocalization"][rows, i])
        assert f"R = {r[names.index(first), names.index(second)]:.2f}" in ax.get_title()
        low, high = ax.collections[0].get_clim()
        assert low == -high
        rings = (adata.obsm["local_colocalization_q"][rows, i] < 0.05).sum()
        assert len(ax.collections[1].get_offsets()) == rings > 0


def test_pairs_are_chosen_in_either_order_and_saved(adata: ad.AnnData, tmp_path: Path) -> None:
    library = adata.obs["library_id"].iloc[0]
    axes = hd.pl.local_colocalization(adata, [("B-cells", "T-cells")], library_id=library, alpha=0.0, show=False)
    assert len(axes) == 1
    assert len(axes[0].collections) == 1  # no ring
    hd.pl.local_colocalization(adata, library_id=library, columns=2, save=tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 10_000


def test_nothing_is_said_and_nothing_changes(adata: ad.AnnData) -> None:
    before = state_of(adata)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        axes = hd.pl.local_colocalization(adata, library_id=adata.obs["library_id"].iloc[0], show=False)
        axes[0].figure.canvas.draw()
    assert state_of(adata) == before


def test_a_pair_without_variance_says_so(adata: ad.AnnData) -> None:
    adata.obsm["local_colocalization"][:] = np.nan
    adata.obsm["local_colocalization_q"][:] = np.nan
    axes = hd.pl.local_colocalization(adata, library_id=adata.obs["library_id"].iloc[0], show=False)
    assert "R undefined" in axes[0].get_title()
    assert "no values" in axes[0].texts[0].get_text()


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"key": "other"}, hd.MissingKeyError, "BI-104.*local maps present: 'colocalization'.*local=True"),
        ({"pairs": [("T-cells", "Endothelial")]}, hd.InputError, "T-cells × Endothelial"),
        ({"pairs": []}, hd.InputError, "No pair"),
        ({"library_id": None}, hd.InputError, "slides"),
    ],
)
def test_refusals(adata: ad.AnnData, options: dict[str, object], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        hd.pl.local_colocalization(adata, **{"library_id": adata.obs["library_id"].iloc[0], **options})  # type: ignore[arg-type]
