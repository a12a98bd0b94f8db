"""Maps on the tissue: which panels, shared colors, true sizes, and what is said when there is nothing to see."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import anndata as ad
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import EllipseCollection
from tests_support import state_of

import histodecon as hd
from histodecon._core import Key, set_uns_branch, write_table

NAMES = ["T-cells", "CAFs MSC/iCAF-like", "a$b_c$", "B-cells", "Rare"]


@pytest.fixture(autouse=True)
def _close() -> Iterator[None]:
    yield
    plt.close("all")


@pytest.fixture
def adata() -> ad.AnnData:
    rng = np.random.default_rng(0)
    n = 25
    adata = ad.AnnData(np.zeros((2 * n, 1), dtype=np.float32), obs=pd.DataFrame(index=[f"s{i}" for i in range(2 * n)]))
    adata.obs["library_id"] = np.repeat(["one", "two"], n)
    grid = np.stack(np.meshgrid(np.arange(5), np.arange(5)), axis=-1).reshape(-1, 2) * 100.0 + 150
    adata.obsm["spatial"] = np.r_[grid, grid]
    factors = {"tissue_hires_scalef": 0.25, "spot_diameter_fullres": 65.0}
    picture = np.full((200, 160, 3), 220, dtype=np.uint8)
    adata.uns["spatial"] = {name: {"images": {"hires": picture}, "scalefactors": factors} for name in ("one", "two")}
    set_uns_branch(adata, Key.uns.SLIDES, {name: {"mpp": 1.0} for name in ("one", "two")})
    truth = rng.gamma(1, size=(2 * n, 5)) * [5, 4, 3, 2, 1]
    for key, values in (("cell_abundance", truth), ("predicted_abundance", 0.5 * truth)):
        write_table(adata, key, pd.DataFrame(values, index=adata.obs_names, columns=NAMES), kind="abundance")
    return adata


def spots_of(ax: plt.Axes) -> EllipseCollection:
    return next(one for one in ax.collections if isinstance(one, EllipseCollection) and one.get_array() is not None)


def texts(ax: plt.Axes) -> str:
    return " ".join(text.get_text() for text in ax.texts)


def test_panels_hold_the_values_of_their_slide_and_share_colors(adata: ad.AnnData) -> None:
    axes = hd.pl.abundance(adata, ["B-cells", "T-cells"], library_id="two", show=False)
    assert axes.shape == (2, 3)
    truth = adata.obsm["cell_abundance"]["B-cells"].to_numpy()[25:]
    measured, predicted, change = (spots_of(ax) for ax in axes[0])
    np.testing.assert_array_equal(measured.get_array(), truth)
    np.testing.assert_array_equal(predicted.get_array(), 0.5 * truth)
    np.testing.assert_array_equal(change.get_array(), -0.5 * truth)
    assert measured.get_clim() == predicted.get_clim() == pytest.approx((0, np.percentile(truth, 99)))
    low, high = change.get_clim()
    assert -low == high
    assert axes[0, 0].get_ylabel() == "B-cells"
    assert [ax.get_title() for ax in axes[0]] == ["measured", "predicted   CC 1.00", "predicted − measured"]


def test_spots_have_their_place_and_true_size_on_the_picture(adata: ad.AnnData) -> None:
    ax = hd.pl.abundance(adata, "T-cells", library_id="one", show=False)[0, 0]
    spots = spots_of(ax)
    np.testing.assert_array_equal(spots.get_offsets(), adata.obsm["spatial"][:25])
    assert np.allclose(spots.get_widths(), 65.0)
    assert list(ax.images[0].get_extent()) == [0, 160 / 0.25, 200 / 0.25, 0]
    assert ax.get_ylim()[0] > ax.get_ylim()[1], "y runs down"


def test_types_come_by_mean_and_bars_carry_units(adata: ad.AnnData) -> None:
    axes = hd.pl.abundance(adata, library_id="one", show=False)
    means = adata.obsm["cell_abundance"].iloc[:25].set_axis(NAMES, axis=1).mean().sort_values(ascending=False)
    assert [ax.get_ylabel().replace(r"\$", "$") for ax in axes[:, 0]] == list(means.index[:4])
    labels = [ax.get_ylabel() for ax in axes[0, 0].figure.axes if ax not in axes]
    assert labels == ["cells per spot"] * 8


def test_one_table_has_one_panel_and_none_is_refused(adata: ad.AnnData) -> None:
    del adata.obsm["cell_abundance"]
    axes = hd.pl.abundance(adata, "T-cells", library_id="one", show=False)
    assert axes.shape == (1, 1)
    assert axes[0, 0].get_title() == "predicted"
    del adata.obsm["predicted_abundance"]
    with pytest.raises(hd.InputError, match="no abundance table"):
        hd.pl.abundance(adata, library_id="one")


def test_without_difference_there_are_two_panels(adata: ad.AnnData) -> None:
    assert hd.pl.abundance(adata, "T-cells", library_id="one", difference=False, show=False).shape == (1, 2)


def test_missing_and_constant_values_say_so(adata: ad.AnnData) -> None:
    adata.obsm["predicted_abundance"].iloc[:, 0] = np.nan
    adata.obsm["cell_abundance"].iloc[:, 1] = 2.0
    axes = hd.pl.abundance(adata, NAMES[:2], library_id="one", show=False)
    assert "no values here" in texts(axes[0, 1])
    assert "2 in every spot" in texts(axes[1, 0])
    assert axes[0, 1].get_title() == "predicted   CC undefined"
    axes[0, 0].figure.canvas.draw()


def test_a_spot_without_a_value_is_a_ring(adata: ad.AnnData) -> None:
    adata.obsm["cell_abundance"].iloc[3, 0] = np.nan
    ax = hd.pl.abundance(adata, "T-cells", library_id="one", show=False)[0, 0]
    rings = next(one for one in ax.collections if one.get_array() is None)
    np.testing.assert_array_equal(rings.get_offsets(), adata.obsm["spatial"][[3]])
    assert len(spots_of(ax).get_array()) == 24


def test_names_are_no_mathematics(adata: ad.AnnData, tmp_path: Path) -> None:
    axes = hd.pl.abundance(adata, "a$b_c$", library_id="one", show=False, save=tmp_path / "map.png")
    assert axes[0, 0].get_ylabel() == r"a\$b_c\$"
    assert (tmp_path / "map.png").stat().st_size > 10_000


def test_without_a_picture_spots_are_drawn_on_white(adata: ad.AnnData) -> None:
    adata.uns["spatial"] = {}
    with pytest.warns(hd.FallbackWarning, match="no picture"):
        ax = hd.pl.abundance(adata, "T-cells", library_id="one", show=False)[0, 0]
    assert not ax.images
    assert np.allclose(spots_of(ax).get_widths(), 65.0), "0.65 of the pitch"


def test_the_scale_bar_is_a_round_length(adata: ad.AnnData) -> None:
    ax = hd.pl.abundance(adata, "T-cells", library_id="one", show=False)[-1, 0]
    bar = next(artist for artist in ax.artists if hasattr(artist, "size_bar"))
    assert bar.txt_label.get_text() == "100 µm"
    del adata.uns["histodecon"]["slides"]
    assert not hd.pl.abundance(adata, "T-cells", library_id="one", show=False)[-1, 0].artists


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({}, hd.InputError, "2 slides.*library_id='one'"),
        ({"library_id": "three"}, hd.InputError, "'three' is unknown.*'one', 'two'"),
        ({"cell_types": "T cells", "library_id": "one"}, hd.InputError, "did you mean 'T-cells'"),
        ({"cell_types": [], "library_id": "one"}, hd.InputError, "No cell type"),
        ({"tables": "guess", "library_id": "one"}, hd.MissingKeyError, "'guess'.*tables present"),
    ],
)
def test_refusals(adata: ad.AnnData, options: dict[str, object], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        hd.pl.abundance(adata, **options)


def test_two_kinds_share_no_colors(adata: ad.AnnData) -> None:
    table = pd.DataFrame(np.full((50, 5), 0.2), index=adata.obs_names, columns=NAMES)
    write_table(adata, "predicted_abundance", table, kind="proportion")
    with pytest.raises(hd.InputError, match="HD-BI-61"):
        hd.pl.abundance(adata, library_id="one")


def test_the_adata_is_unchanged_and_nothing_is_said(adata: ad.AnnData) -> None:
    before = state_of(adata)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        axes = hd.pl.abundance(adata, library_id="one", show=False)
        axes[0, 0].figure.canvas.draw()
    assert state_of(adata) == before


def test_the_width_of_the_interval_stands_last_in_the_unit_of_the_table(adata: ad.AnnData) -> None:
    predicted = adata.obsm["predicted_abundance"].to_numpy()
    for name, share in (("lower", 0.5), ("upper", 2.0)):
        table = pd.DataFrame(share * predicted, index=adata.obs_names, columns=NAMES)
        record = {"bound_of": "predicted_abundance", "bound": name, "coverage": 0.9}
        write_table(adata, f"predicted_abundance_{name}", table, kind="abundance", record=record)
    axes = hd.pl.abundance(adata, ["B-cells", "T-cells"], library_id="two", show=False)
    assert axes.shape == (2, 4)
    assert axes[0, 3].get_title() == "width of the 90% interval"
    np.testing.assert_allclose(spots_of(axes[0, 3]).get_array(), 1.5 * predicted[25:, NAMES.index("B-cells")])
    bars = [ax.get_ylabel() for ax in axes[0, 0].figure.axes if ax not in axes]
    assert bars == ["cells per spot"] * 6
    assert hd.pl.abundance(adata, "T-cells", library_id="two", interval=False, show=False).shape == (1, 3)
    assert hd.pl.abundance(adata, "T-cells", library_id="two", tables="cell_abundance", show=False).shape == (1, 1)
    assert hd.pl.abundance(adata, "T-cells", library_id="two", tables="predicted_abundance", show=False).shape == (1, 2)
