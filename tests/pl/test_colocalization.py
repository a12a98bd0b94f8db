"""Maps of R side by side: order, shared colors, marks, and maps that do not fit."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import anndata as ad
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from tests_support import state_of

import histodecon as hd
from histodecon._core import write_table

NAMES = ["A", "long name / with $ and _", "C", "D"]


@pytest.fixture(autouse=True)
def _close() -> Iterator[None]:
    yield
    plt.close("all")


@pytest.fixture
def adata() -> ad.AnnData:
    rng = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(np.arange(8), np.arange(8)), axis=-1).reshape(-1, 2) * 100.0
    n = len(grid)
    adata = ad.AnnData(np.zeros((n, 1), dtype=np.float32), obs=pd.DataFrame(index=[f"s{i}" for i in range(n)]))
    adata.obs["library_id"] = "one/two"
    adata.obsm["spatial"] = grid
    field, other = np.sin(grid[:, 0] / 150), np.cos(grid[:, 1] / 150)
    values = np.c_[field, other, field, other] + 2 + 0.2 * rng.normal(size=(n, 4))
    for key, noise in (("cell_abundance", 0.0), ("predicted_abundance", 0.5)):
        table = pd.DataFrame(values + noise * rng.random((n, 4)), index=adata.obs_names, columns=NAMES)
        write_table(adata, key, table, kind="abundance")
    hd.tl.colocalization(adata, "cell_abundance", mpp=1.0, key_added="measured")
    hd.tl.colocalization(adata, mpp=1.0)
    return adata


def labels(ax: plt.Axes, axis: str = "x") -> list[str]:
    return [text.get_text().replace(r"\$", "$") for text in getattr(ax, f"get_{axis}ticklabels")()]


def test_maps_share_order_and_colors(adata: ad.AnnData) -> None:
    axes = hd.pl.colocalization(adata, ["measured", "colocalization"], show=False)
    assert [ax.get_title() for ax in axes] == ["measured", "predicted"]
    assert labels(axes[0]) == labels(axes[1]) == labels(axes[0], "y")
    order = [NAMES.index(name) for name in labels(axes[0])]
    for ax, key in zip(axes, ("measured", "colocalization"), strict=True):
        r = adata.uns[key]["pooled"]["R"]
        np.testing.assert_array_equal(ax.images[0].get_array(), r[np.ix_(order, order)])
    off = ~np.eye(4, dtype=bool)
    strongest = max(np.abs(adata.uns[key]["pooled"]["R"][off]).max() for key in ("measured", "colocalization"))
    assert axes[0].images[0].get_clim() == axes[1].images[0].get_clim() == pytest.approx((-strongest, strongest))


def test_clustering_puts_partners_side_by_side(adata: ad.AnnData) -> None:
    order = labels(hd.pl.colocalization(adata, show=False)[0])
    assert abs(order.index("A") - order.index("C")) == 1
    assert abs(order.index("D") - order.index(NAMES[1])) == 1
    plain = hd.pl.colocalization(adata, cell_types=["D", "A", "C"], cluster=False, show=False)
    assert labels(plain[0]) == ["D", "A", "C"]


def test_marks_stand_on_significant_pairs_of_different_types(adata: ad.AnnData) -> None:
    q = adata.uns["colocalization"]["pooled"]["q"]
    ax = hd.pl.colocalization(adata, cluster=False, alpha=0.01, show=False)[0]
    marks = {(int(row), int(column)) for column, row in ax.collections[0].get_offsets()}
    assert marks == {(i, j) for i in range(4) for j in range(4) if i != j and q[i, j] < 0.01}
    assert 0 < len(marks) < 12


def test_marks_and_names_of_many_types() -> None:
    rng = np.random.default_rng(0)
    places = np.array([(x, y) for x in range(20) for y in range(20)], dtype=float) * 100
    x = np.cos(places @ rng.normal(0, 0.003, (2, 20)))[:, np.arange(80) // 4] + 0.5 * rng.normal(size=(400, 80))
    names = [f"CD{k}+ tissue-resident memory T cells of the outer margin {k}" for k in range(80)]
    many = ad.AnnData(np.zeros((400, 1)), obs=pd.DataFrame({"library_id": "s"}, index=[f"s{i}" for i in range(400)]))
    many.obsm["spatial"] = places
    write_table(many, "predicted_abundance", pd.DataFrame(x, index=many.obs_names, columns=names), kind="abundance")
    hd.tl.colocalization(many, mpp=1.0)
    ax = hd.pl.colocalization(many, show=False)[0]
    q = many.uns["colocalization"]["pooled"]["q"]
    assert len(ax.collections[0].get_offsets()) == (q[~np.eye(80, dtype=bool)] < 0.05).sum() > 0
    assert 1.0 < np.sqrt(ax.collections[0].get_sizes()[0]) < 6.0
    assert len(set(labels(ax))) == 80  # names are cut in the middle, and still tell types apart


def test_a_slide_can_be_named(adata: ad.AnnData) -> None:
    axes = hd.pl.colocalization(adata, library_id="one/two", titles=["mine"], show=False)
    assert axes[0].get_title() == "mine"
    assert hd.pl.colocalization(adata, library_id="one/two", show=False)[0].get_title() == "predicted, one/two"


def test_maps_in_another_order_are_matched_by_name(adata: ad.AnnData) -> None:
    table = adata.obsm["predicted_abundance"].set_axis(NAMES, axis=1)
    write_table(adata, "predicted_abundance", table[NAMES[::-1]], kind="abundance")
    hd.tl.colocalization(adata, mpp=1.0, key_added="turned")
    axes = hd.pl.colocalization(adata, ["colocalization", "turned"], show=False)
    np.testing.assert_allclose(axes[0].images[0].get_array(), axes[1].images[0].get_array(), atol=1e-12)


def test_types_without_variance_stand_at_the_end_in_gray(adata: ad.AnnData, tmp_path: Path) -> None:
    adata.obsm["predicted_abundance"].iloc[:, 0] = 1.0
    with pytest.warns(hd.UndefinedMetricWarning):
        hd.tl.colocalization(adata, mpp=1.0)
    ax = hd.pl.colocalization(adata, show=False, save=tmp_path / "map.png")[0]
    assert labels(ax)[-1] == "A"
    assert np.ma.getmaskarray(ax.images[0].get_array())[-1].all()
    assert (tmp_path / "map.png").exists()
    adata.obsm["predicted_abundance"].iloc[:, :] = 1.0
    with pytest.warns(hd.UndefinedMetricWarning):
        hd.tl.colocalization(adata, mpp=1.0)
    ax = hd.pl.colocalization(adata, show=False)[0]
    assert "no pair of types has variance" in ax.texts[0].get_text()


def test_a_map_read_back_from_a_file_is_drawn(adata: ad.AnnData, tmp_path: Path) -> None:
    adata.write_h5ad(tmp_path / "a.h5ad")
    axes = hd.pl.colocalization(ad.read_h5ad(tmp_path / "a.h5ad"), ["measured", "colocalization"], show=False)
    assert len(axes) == 2


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"keys": "other"}, hd.MissingKeyError, "'other'.*maps present: 'measured', 'colocalization'"),
        ({"library_id": "one"}, hd.InputError, "Unknown slide: 'one'"),
        ({"cell_types": ["a"]}, hd.InputError, "Unknown cell type"),
        ({"titles": ["x", "y"]}, hd.InputError, "1 maps and 2 titles"),
        ({"keys": []}, hd.InputError, "at least one map"),
    ],
)
def test_refusals(adata: ad.AnnData, options: dict[str, object], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        hd.pl.colocalization(adata, **options)


def test_maps_of_other_types_are_refused(adata: ad.AnnData) -> None:
    table = adata.obsm["predicted_abundance"].set_axis(["A", "B", "C", "D"], axis=1)
    write_table(adata, "other", table, kind="abundance")
    hd.tl.colocalization(adata, "other", mpp=1.0, key_added="other")
    with pytest.raises(hd.AlignmentError, match=r"HD-BI-102.*'B', 'long name"):
        hd.pl.colocalization(adata, ["colocalization", "other"])


def test_the_adata_is_unchanged_and_nothing_is_said(adata: ad.AnnData) -> None:
    before = state_of(adata)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        axes = hd.pl.colocalization(adata, ["measured", "colocalization"], show=False)
        axes[0].figure.canvas.draw()
    assert state_of(adata) == before
