"""Pies and dominant types: their angles, colors, legend, and where colors are kept."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import anndata as ad
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import EllipseCollection, PolyCollection
from matplotlib.colors import to_hex
from tests_support import state_of

import histodecon as hd
from histodecon._core import read_table, write_table
from histodecon.pl._palette import TYPES

NAMES = ["T-cells", "CAFs MSC/iCAF-like", "a$b_c$", "B-cells"]


@pytest.fixture(autouse=True)
def _close() -> Iterator[None]:
    yield
    plt.close("all")


def make(values: np.ndarray, names: list[str], n_slides: int = 1) -> ad.AnnData:
    n = len(values) // n_slides
    adata = ad.AnnData(
        np.zeros((len(values), 1), dtype=np.float32), obs=pd.DataFrame(index=[f"s{i}" for i in range(len(values))])
    )
    adata.obs["library_id"] = [f"slide {i // n}" for i in range(len(values))]
    side = int(np.ceil(np.sqrt(n)))
    grid = np.stack(np.meshgrid(np.arange(side), np.arange(side)), axis=-1).reshape(-1, 2)[:n] * 100.0
    adata.obsm["spatial"] = np.tile(grid, (n_slides, 1))
    write_table(adata, "cell_abundance", pd.DataFrame(values, adata.obs_names, names), kind="abundance")
    return adata


@pytest.fixture
def adata() -> ad.AnnData:
    return make(np.random.default_rng(0).gamma(1, size=(18, 4)) * [4, 3, 2, 1], NAMES, n_slides=2)


def draw(adata: ad.AnnData, **options: object) -> np.ndarray:
    axes = hd.pl.composition(adata, **{"opacity": 0, "show": False, **options})
    assert axes is not None
    return axes


def area(corners: np.ndarray) -> float:
    x, y = corners.T
    return 0.5 * abs(float(x @ np.roll(y, 1) - y @ np.roll(x, 1)))


def wedges(ax: plt.Axes) -> dict[str, list[np.ndarray]]:
    """Outlines of each color, the closing corner left out."""
    return {
        to_hex(one.get_facecolor()[0]): [path.vertices[:-1] for path in one.get_paths()]
        for one in ax.collections
        if isinstance(one, PolyCollection)
    }


def legend(ax: plt.Axes) -> list[str]:
    return [text.get_text().replace(r"\$", "$") for text in ax.figure.legends[0].get_texts()]


def test_wedges_have_the_area_of_their_part_and_the_place_of_their_spot(adata: ad.AnnData) -> None:
    axes = draw(adata, size=1.0)
    table = adata.obsm["cell_abundance"].to_numpy()
    shares = table / table.sum(axis=1, keepdims=True)
    colors = [str(color) for color in adata.uns["cell_abundance_colors"]]
    for slide, ax in enumerate(axes):
        rows = slice(9 * slide, 9 * slide + 9)
        found = wedges(ax)
        assert set(found) == set(colors)
        for column, color in enumerate(colors):
            areas = [area(one) for one in found[color]]
            np.testing.assert_allclose(areas, shares[rows, column] * np.pi * 32.5**2, rtol=0.02)
            np.testing.assert_allclose([one[0] for one in found[color]], adata.obsm["spatial"][rows])


def test_pies_begin_at_the_top_and_run_clockwise() -> None:
    adata = make(np.array([[1.0, 3.0], [1.0, 3.0]]), ["small", "large"])
    (ax,) = draw(adata, size=1.0)
    assert legend(ax) == ["large  75 %", "small  25 %"]
    large = wedges(ax)[to_hex(adata.uns["cell_abundance_colors"][1])][0]
    np.testing.assert_allclose(large[1], [0, -32.5], atol=1e-9)
    np.testing.assert_allclose(large[-1], [-32.5, 0], atol=1e-9)  # three quarters later: left, as y runs down
    assert ax.get_ylim()[0] > ax.get_ylim()[1]


def test_the_dominant_type_is_one_disc_of_its_color(adata: ad.AnnData) -> None:
    axes = draw(adata, kind="dominant", size=1.0)
    first = adata.obsm["cell_abundance"].to_numpy().argmax(axis=1)
    for slide, ax in enumerate(axes):
        assert not wedges(ax)
        seen = np.full(9, -1)
        for one in ax.collections:
            if isinstance(one, EllipseCollection) and len(one.get_offsets()):
                assert np.allclose(one.get_widths(), 65.0)
                which = list(adata.uns["cell_abundance_colors"]).index(to_hex(one.get_facecolor()[0]))
                for center in one.get_offsets():
                    seen[np.flatnonzero((adata.obsm["spatial"][:9] == center).all(axis=1))] = which
        np.testing.assert_array_equal(seen, first[9 * slide : 9 * slide + 9])
    shares = np.bincount(first, minlength=4) / len(first)
    for label in legend(axes[0]):
        name, share = label.rsplit("  ", 1)
        assert share == f"{shares[NAMES.index(name)]:.0%}".replace("%", " %") or share == "< 1 %"


def test_spots_without_cells_or_values_are_rings(adata: ad.AnnData) -> None:
    table = read_table(adata, "cell_abundance")
    table.iloc[2], table.iloc[5, 1] = 0.0, np.nan
    write_table(adata, "cell_abundance", table, kind="abundance")
    for kind in ("pies", "dominant"):
        axes = draw(adata, kind=kind)
        rings = next(one for one in axes[0].collections if isinstance(one, EllipseCollection))
        np.testing.assert_array_equal(rings.get_offsets(), adata.obsm["spatial"][[2, 5]])
        assert legend(axes[0])[-1] == "no cells or no value"


def test_many_types_become_others_and_keep_the_sum() -> None:
    values = np.random.default_rng(0).gamma(1, size=(9, 40)) * np.arange(1, 41)
    adata = make(values, [f"type {i}" for i in range(40)])
    (ax,) = draw(adata, max_types=5)
    labels = legend(ax)
    assert len(labels) == 6
    assert labels[-1].startswith("35 other types")
    shares = values / values.sum(axis=1, keepdims=True)
    top = np.argsort(-shares.mean(axis=0))[:5]
    assert [label.split("  ")[0] for label in labels[:5]] == [f"type {i}" for i in top]
    assert len({str(adata.uns["cell_abundance_colors"][i]) for i in np.argsort(-values.mean(axis=0))[:32]}) == 32
    assert sum(area(one) for found in wedges(ax).values() for one in found) == pytest.approx(
        9 * np.pi * (1.4 * 32.5) ** 2, rel=0.02
    )
    assert len(legend(draw(make(values[:, :4], NAMES), max_types=3)[0])) == 4, "one type alone is not others"
    assert legend(draw(adata, cell_types=["type 3", "type 1"])[0])[0].startswith("type 3")


def test_colors_are_kept_as_scanpy_keeps_them_and_shared(adata: ad.AnnData, tmp_path: Path) -> None:
    draw(adata, palette={"B-cells": "red"})
    kept = list(adata.uns["cell_abundance_colors"])
    assert kept[3] == "#ff0000"
    assert kept[0] == TYPES[0].lower()
    swapped = read_table(adata, "cell_abundance").iloc[:, ::-1]
    write_table(adata, "predicted_abundance", swapped, kind="abundance")
    draw(adata)
    assert list(adata.uns["predicted_abundance_colors"]) == kept[::-1]
    for suffix in ("h5ad", "zarr"):
        getattr(adata, f"write_{suffix}")(tmp_path / f"a.{suffix}")
        back = getattr(ad, f"read_{suffix}")(tmp_path / f"a.{suffix}")
        before = state_of(back)
        draw(back, abundance="cell_abundance")
        assert state_of(back) == before
    draw(adata, palette="tab10", abundance="cell_abundance")
    assert adata.uns["cell_abundance_colors"][1] == "#ff7f0e"
    draw(adata, palette=["k", "w", "r", "b"], abundance="cell_abundance")
    assert list(adata.uns["cell_abundance_colors"]) == ["#000000", "#ffffff", "#ff0000", "#0000ff"]
    adata.uns["cell_abundance_colors"] = ["#000000"]
    with pytest.warns(hd.FallbackWarning, match="does not hold one color for each of the 4"):
        draw(adata, abundance="cell_abundance")


def test_a_view_and_everything_but_the_colors_stay_as_they_are(adata: ad.AnnData) -> None:
    before = state_of(adata)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        part = adata[adata.obs["library_id"] == "slide 1"]
        draw(part)[0].figure.canvas.draw()
        assert part.is_view
        assert state_of(adata) == before
        draw(adata)
    del adata.uns["cell_abundance_colors"]
    assert state_of(adata) == before


def test_slides_axes_and_files(adata: ad.AnnData, tmp_path: Path) -> None:
    assert [ax.get_title() for ax in draw(adata)] == ["slide 0", "slide 1"]
    assert [ax.get_title() for ax in draw(adata, library_id="slide 1")] == ["slide 1"]
    _, ax = plt.subplots()
    axes = draw(adata, library_id="slide 1", ax=ax, save=tmp_path / "a.png")
    assert axes[0] is ax
    assert ax.get_legend() is not None
    assert (tmp_path / "a.png").exists()
    assert plt.fignum_exists(ax.figure.number)
    with pytest.warns(hd.FallbackWarning, match="no picture"):
        draw(adata, opacity=0.5)


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"kind": "bars"}, hd.InputError, "Unknown kind 'bars'"),
        ({"abundance": "guess"}, hd.MissingKeyError, "'guess'"),
        ({"library_id": "slide 9"}, hd.InputError, "Unknown slide: 'slide 9'"),
        ({"cell_types": "T cells"}, hd.InputError, "did you mean 'T-cells'"),
        ({"palette": ["red"]}, hd.InputError, "1 colors for 4 cell types"),
        ({"palette": {"T-cells": "reddish"}}, hd.InputError, "no color 'reddish'"),
        ({"palette": "no map"}, hd.InputError, "Unknown colormap"),
    ],
)
def test_refusals_write_nothing(
    adata: ad.AnnData, options: dict[str, object], error: type[Exception], match: str
) -> None:
    before = state_of(adata)
    with pytest.raises(error, match=match):
        draw(adata, **options)
    assert state_of(adata) == before


def test_one_panel_for_two_slides_and_parts_of_nothing(adata: ad.AnnData) -> None:
    with pytest.raises(hd.InputError, match="one panel, and there are 2 slides"):
        draw(adata, ax=plt.subplots()[1])
    table = read_table(adata, "cell_abundance")
    table.iloc[4, 2] = -0.5
    write_table(adata, "cell_abundance", table, kind="abundance")
    with pytest.raises(hd.InputError, match=r"negative.*'s4'"):
        draw(adata)


def simulated(rgb: np.ndarray) -> list[np.ndarray]:
    """CIELAB as seen by normal eyes and by those without one kind of cones (Machado, Oliveira and Fernandes 2009)."""
    from skimage.color import rgb2lab

    eyes = [
        np.eye(3),
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
    ]
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    out = []
    for eye in eyes:
        seen = np.clip(linear @ np.asarray(eye).T, 0, 1)
        out.append(rgb2lab(np.where(seen <= 0.0031308, 12.92 * seen, 1.055 * seen ** (1 / 2.4) - 0.055)[None])[0])
    return out


@pytest.mark.parametrize(("n", "least"), [(16, 16.0), (32, 9.0)])
def test_colors_are_as_far_apart_for_every_eye_as_is_said(n: int, least: float) -> None:
    rgb = np.array([[int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)] for color in TYPES[:n]])
    assert len(set(TYPES)) == 32
    for lab in simulated(rgb):
        apart = np.linalg.norm(lab[:, None] - lab[None], axis=-1)
        assert apart[~np.eye(n, dtype=bool)].min() > least
