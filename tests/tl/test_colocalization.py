"""Colocalization of tables in an AnnData: slides apart, µm, names, warnings, refusals."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from tests_support import state_of

import histodecon as hd
from histodecon import stats
from histodecon._core import Key, set_uns_branch, write_table

NAMES = ["T-cells", "B/plasma cells", "Cancer"]


def build(libraries: tuple[str, ...] = ("slide/1", "s2"), *, side: int = 7, mpp: float = 0.5) -> ad.AnnData:
    """Square slides, 100 µm pitch; the second type follows the first, the third avoids it."""
    n = side * side
    rng = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(np.arange(side), np.arange(side)), axis=-1).reshape(-1, 2)
    xy = np.tile(grid * 100 / mpp, (len(libraries), 1))
    field = np.sin(xy[:, 0] * mpp / 150) + np.cos(xy[:, 1] * mpp / 150)
    values = np.c_[field, field, -field] + 3 + 0.3 * rng.normal(size=(len(xy), 3))
    obs = pd.DataFrame({"library_id": np.repeat(libraries, n)}, index=[f"s{i}" for i in range(len(xy))])
    adata = ad.AnnData(np.zeros((len(xy), 1), dtype=np.float32), obs=obs)
    adata.obsm["spatial"] = xy
    table = pd.DataFrame(values, index=adata.obs_names, columns=NAMES)
    write_table(adata, "predicted_abundance", table, kind="abundance")
    slides = {"slide_1" if name == "slide/1" else name: {"mpp": mpp} for name in libraries}
    set_uns_branch(adata, Key.uns.TILES, slides)
    return adata


def test_maps_are_those_of_stats_per_slide_and_pooled() -> None:
    adata = build()
    assert hd.tl.colocalization(adata) is None
    found = adata.uns["colocalization"]
    assert list(found["names"]) == NAMES
    values, um = adata.obsm["predicted_abundance"].to_numpy(), adata.obsm["spatial"] * 0.5
    halves = [stats.morans_r(values[rows], um[rows], 100.0) for rows in (slice(0, 49), slice(49, 98))]
    for key, result in zip(("slide_1", "s2"), halves, strict=True):
        slide = found["libraries"][key]
        for name, field in (("R", "r"), ("z", "z"), ("p", "p"), ("q", "q")):
            np.testing.assert_allclose(slide[name], getattr(result, field), atol=1e-12)
        assert (slide["n"], slide["mpp"], slide["n_left_out"], slide["reason"]) == (49, 0.5, 0, "")
    assert found["libraries"]["slide_1"]["library_id"] == "slide/1"
    np.testing.assert_allclose(found["pooled"]["R"], (halves[0].r + halves[1].r) / 2, atol=1e-12)
    assert found["params"]["length_um"] == 100.0
    assert found["params"]["length_from"] == "spot pitch"
    assert found["params"]["include_self"] is True


def test_planted_attraction_and_avoidance_are_found() -> None:
    adata = build()
    hd.tl.colocalization(adata)
    pooled = adata.uns["colocalization"]["pooled"]
    assert pooled["R"][0, 1] > 0.5
    assert pooled["R"][0, 2] < -0.5
    assert pooled["q"][0, 1] < 1e-6
    assert pooled["q"][0, 2] < 1e-6


def test_slides_never_mix() -> None:
    adata = build()
    hd.tl.colocalization(adata)
    before = adata.uns["colocalization"]["libraries"]["s2"]["R"]
    adata.obsm["spatial"][:49] += 12345.0
    adata.obsm["predicted_abundance"].iloc[:49] += np.arange(49.0)[:, None]
    hd.tl.colocalization(adata)
    np.testing.assert_array_equal(adata.uns["colocalization"]["libraries"]["s2"]["R"], before)


def test_the_order_of_spots_changes_nothing() -> None:
    adata = build()
    hd.tl.colocalization(adata)
    order = np.random.default_rng(0).permutation(adata.n_obs)
    shuffled = adata[order].copy()
    hd.tl.colocalization(shuffled)
    for part in ("R", "z", "p", "q"):
        np.testing.assert_allclose(
            shuffled.uns["colocalization"]["pooled"][part], adata.uns["colocalization"]["pooled"][part], atol=1e-10
        )


def test_length_and_pixel_size_are_physical() -> None:
    coarse, fine = build(mpp=0.5), build(mpp=0.25)
    for adata in (coarse, fine):
        hd.tl.colocalization(adata, length_um=150)
    np.testing.assert_allclose(
        coarse.uns["colocalization"]["pooled"]["R"], fine.uns["colocalization"]["pooled"]["R"], atol=1e-12
    )
    hd.tl.colocalization(coarse, length_um=300, mpp={"slide/1": 1.0, "s2": 1.0}, key_added="twice")
    np.testing.assert_allclose(
        coarse.uns["twice"]["pooled"]["R"], fine.uns["colocalization"]["pooled"]["R"], atol=1e-12
    )
    assert coarse.uns["twice"]["params"]["length_from"] == "argument"


def test_options_reach_the_statistic() -> None:
    adata = build(("s2",))
    hd.tl.colocalization(adata, include_self=False, permutations=19, random_state=5)
    found = adata.uns["colocalization"]
    values, um = adata.obsm["predicted_abundance"].to_numpy(), adata.obsm["spatial"] * 0.5
    expected = stats.morans_r(values, um, 100.0, include_self=False, permutations=19, random_state=5)
    np.testing.assert_array_equal(found["libraries"]["s2"]["p"], expected.p)
    np.testing.assert_allclose(found["libraries"]["s2"]["R"], expected.r, atol=1e-12)
    assert (found["params"]["permutations"], found["params"]["random_state"]) == (19, 5)


def test_copy_leaves_the_original_alone() -> None:
    adata = build()
    before = state_of(adata)
    other = hd.tl.colocalization(adata, copy=True)
    assert state_of(adata) == before
    assert other is not None
    assert "colocalization" in other.uns


def test_record_survives_files(tmp_path: Path) -> None:
    adata = build()
    hd.tl.colocalization(adata)
    adata.write_h5ad(tmp_path / "a.h5ad")
    adata.write_zarr(tmp_path / "a.zarr")
    for back in (ad.read_h5ad(tmp_path / "a.h5ad"), ad.read_zarr(tmp_path / "a.zarr")):
        found, original = back.uns["colocalization"], adata.uns["colocalization"]
        assert list(found["names"]) == NAMES
        assert found["libraries"]["slide_1"]["library_id"] == "slide/1"
        assert dict(found["params"]) == original["params"]
        for part in ("R", "z", "p", "q"):
            np.testing.assert_array_equal(found["pooled"][part], original["pooled"][part])


def test_spots_without_a_value_are_left_out_and_counted() -> None:
    adata = build(("s2",))
    adata.obsm["predicted_abundance"].iloc[[3, 8]] = np.nan
    with pytest.warns(hd.DroppedSpotsWarning, match="2 of 49 spots") as caught:
        hd.tl.colocalization(adata)
    assert caught[0].filename == __file__
    slide = adata.uns["colocalization"]["libraries"]["s2"]
    assert (slide["n"], slide["n_left_out"]) == (47, 2)
    assert np.isfinite(slide["R"]).all()


def test_types_without_variance_are_nan_and_named() -> None:
    adata = build()
    table = adata.obsm["predicted_abundance"].set_axis(NAMES, axis=1)
    table.iloc[:49, 1] = 0.0
    write_table(adata, "predicted_abundance", table, kind="abundance")
    with pytest.warns(
        hd.UndefinedMetricWarning, match="HD-BI-99.*slide/1: no variance in 1 of 3 \\('B/plasma cells'\\)"
    ):
        hd.tl.colocalization(adata)
    found = adata.uns["colocalization"]
    assert np.isnan(found["libraries"]["slide_1"]["R"][1]).all()
    assert np.isfinite(found["pooled"]["R"]).all()


def test_too_few_spots_are_nan_with_a_reason() -> None:
    adata = build(("s2",))[:3].copy()
    with pytest.warns(hd.UndefinedMetricWarning, match="3 spots"):
        hd.tl.colocalization(adata)
    slide = adata.uns["colocalization"]["libraries"]["s2"]
    assert np.isnan(slide["p"]).all()
    assert "3 spots" in slide["reason"]


@pytest.mark.parametrize(
    ("length_um", "match"), [(10.0, "BI-92.*no more than the correlation"), (1e6, "BI-93.*tends to 0")]
)
def test_a_length_that_does_not_fit_is_said(length_um: float, match: str) -> None:
    with pytest.warns(hd.HistodeconWarning, match=match):
        hd.tl.colocalization(build(), length_um=length_um)


def test_a_shared_position_is_said() -> None:
    adata = build(("s2",))
    adata.obsm["spatial"][1] = adata.obsm["spatial"][0]
    with pytest.warns(hd.HistodeconWarning, match="BI-97.*1 of 49 spots share a position") as caught:
        hd.tl.colocalization(adata)
    assert caught[0].filename == __file__


def test_nothing_is_said_when_all_is_well() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        hd.tl.colocalization(build())


def _forget_mpp(adata: ad.AnnData) -> None:
    set_uns_branch(adata, Key.uns.TILES, {})


def _one_position(adata: ad.AnnData) -> None:
    adata.obsm["spatial"][:49] = 7.0


def _lose_a_position(adata: ad.AnnData) -> None:
    adata.obsm["spatial"][4, 1] = np.nan


def _jitter(adata: ad.AnnData) -> None:
    adata.obsm["spatial"][4, 1] += 0.01


def _lose_libraries(adata: ad.AnnData) -> None:
    del adata.obs["library_id"]


def _clash(adata: ad.AnnData) -> None:
    adata.obs["library_id"] = np.repeat(["s/2", "s_2"], 49)


def _all_nan(adata: ad.AnnData) -> None:
    adata.obsm["predicted_abundance"].iloc[:] = np.nan


def _no_coordinates(adata: ad.AnnData) -> None:
    del adata.obsm["spatial"]


def _wrong_array(adata: ad.AnnData) -> None:
    set_array(adata)
    adata.obs["array_row"] = np.roll(adata.obs["array_row"], 1)


def set_array(adata: ad.AnnData, *, mpp: float = 0.5) -> None:
    um = np.rint(adata.obsm["spatial"] * mpp / 100).astype(int)
    adata.obs["array_row"], adata.obs["array_col"] = um[:, 1], um[:, 0]


def test_the_lattice_of_the_array_takes_the_place_of_jittered_positions() -> None:
    adata = build()
    set_array(adata)
    hd.tl.colocalization(adata, key_added="ideal")
    turn = np.array([[np.cos(0.01), -np.sin(0.01)], [np.sin(0.01), np.cos(0.01)]])
    adata.obsm["spatial"] = adata.obsm["spatial"] @ turn + np.random.default_rng(0).normal(size=(98, 2))
    hd.tl.colocalization(adata, positions="array", length_um=100)
    found = adata.uns["colocalization"]
    np.testing.assert_allclose(found["pooled"]["R"], adata.uns["ideal"]["pooled"]["R"], atol=1e-3)
    hd.tl.colocalization(adata, positions="array", method="lattice")  # they are one
    with pytest.raises(hd.GeometryError):
        hd.tl.colocalization(adata, method="lattice")
    assert adata.uns["colocalization"]["params"]["positions"] == "array"


def test_chosen_pairs_are_tested_and_the_others_keep_r() -> None:
    adata = build()
    hd.tl.colocalization(adata, key_added="all")
    hd.tl.colocalization(adata, pairs=[("Cancer", "T-cells")])
    found, everything = adata.uns["colocalization"], adata.uns["all"]
    for part in (found["pooled"], found["libraries"]["s2"], found["across_slides"]):
        assert np.isfinite(part["R"][~np.eye(3, dtype=bool)]).all()
        assert np.isfinite(part["p"]).sum() == 2
        assert part["q"][0, 2] == part["q"][2, 0] == part["p"][0, 2]
    assert found["pooled"]["p"][0, 2] == everything["pooled"]["p"][0, 2]


def test_local_maps_average_to_r_and_do_not_outlive_their_pairs() -> None:
    adata = build()
    adata.obsm["predicted_abundance"].iloc[5] = np.nan
    with pytest.warns(hd.DroppedSpotsWarning):
        hd.tl.colocalization(adata, pairs=[("T-cells", "Cancer"), ("T-cells", "B/plasma cells")], local=True)
    found, local = adata.uns["colocalization"], adata.obsm["local_colocalization"]
    assert list(found["local"]["second"]) == ["Cancer", "B/plasma cells"]
    assert local.shape == (98, 2)
    assert np.isnan(local[5]).all()
    for key, rows in (("slide_1", slice(0, 49)), ("s2", slice(49, 98))):
        r = found["libraries"][key]["R"]
        np.testing.assert_allclose(np.nanmean(local[rows], axis=0), [r[0, 2], r[0, 1]], atol=1e-12)
    for ending in ("_p", "_q"):
        values = adata.obsm[f"local_colocalization{ending}"]
        assert ((values >= 0) & (values <= 1) | np.isnan(values)).all()
    assert (adata.obsm["local_colocalization_q"] < 0.05).any()
    with pytest.warns(hd.DroppedSpotsWarning):
        hd.tl.colocalization(adata)
    assert not [key for key in adata.obsm if key.startswith("local_")]


def test_smooth_null_precision_and_slides_as_observations() -> None:
    adata = build(("a", "b", "c"))
    hd.tl.colocalization(adata, null="smooth", precision="float32")
    found = adata.uns["colocalization"]
    assert found["params"]["null"] == "smooth"
    assert found["libraries"]["a"]["effective_n"][0, 1] < 49
    hd.tl.colocalization(adata, key_added="plain")
    assert found["pooled"]["p"][0, 1] > adata.uns["plain"]["pooled"]["p"][0, 1]
    np.testing.assert_allclose(found["pooled"]["R"], adata.uns["plain"]["pooled"]["R"], atol=1e-6)
    across = adata.uns["plain"]["across_slides"]
    assert across["n_slides"][0, 1] == 3
    assert across["lower"][0, 1] < across["R"][0, 1] < across["upper"][0, 1]


@pytest.mark.parametrize(
    ("spoil", "options", "error", "match"),
    [
        (None, {"abundance": "guess"}, hd.MissingKeyError, "'guess'.*tables present: 'predicted_abundance'"),
        (_forget_mpp, {}, hd.ResolutionError, "HD-BI-14.*slide/1.*mpp="),
        (None, {"mpp": -1.0}, hd.ResolutionError, "not a positive number"),
        (None, {"length_um": 0.0}, hd.InputError, "HD-BI-95"),
        (None, {"length_um": float("nan")}, hd.InputError, "HD-BI-95"),
        (None, {"method": "kdtree"}, hd.InputError, "method='kdtree'.*near"),
        (None, {"null": "rough"}, hd.InputError, "null='rough'.*smooth"),
        (None, {"null": "smooth", "permutations": 9}, hd.InputError, "exclude each other"),
        (None, {"precision": "half"}, hd.InputError, "precision='half'"),
        (None, {"local": True}, hd.InputError, "for which pairs"),
        (None, {"pairs": [("T-cells", "cancer")]}, hd.InputError, "'cancer'.*Cancer"),
        (None, {"pairs": ["T-cells"]}, hd.InputError, "no pairs of names"),
        (None, {"pairs": []}, hd.InputError, "pairs is empty"),
        (None, {"positions": "array"}, hd.MissingKeyError, "array_col"),
        (_wrong_array, {"positions": "array"}, hd.GeometryError, "BI-96.*slide/1.*farthest"),
        (_jitter, {"method": "fft"}, hd.GeometryError, "BI-95.*method='fft'.*1 of 2.*slide/1"),
        (None, {"key_added": "a b"}, hd.NamingError, 'key_added="a_b"'),
        (None, {"library_key": "slide"}, hd.MissingKeyError, "'slide'.*library_id"),
        (_one_position, {}, hd.GeometryError, "HD-BI-96.*slide/1"),
        (_lose_a_position, {}, hd.GeometryError, "'s4'"),
        (_lose_libraries, {"mpp": 0.5}, hd.InputError, "HD-BI-36.*library_key="),
        (_clash, {"mpp": 0.5}, hd.NamingError, "'s/2', 's_2'"),
        (_all_nan, {}, hd.InputError, "No spot has a value"),
        (_no_coordinates, {}, hd.MissingKeyError, "spatial"),
    ],
)
def test_refusals_leave_the_adata_unchanged(
    spoil: Callable[[ad.AnnData], None] | None,
    options: dict[str, object],
    error: type[Exception],
    match: str,
) -> None:
    adata = build()
    if spoil is not None:
        spoil(adata)
    before = state_of(adata)
    with pytest.raises(error, match=match):
        hd.tl.colocalization(adata, **options)  # type: ignore[arg-type]
    assert state_of(adata) == before


def test_one_spot_has_no_pitch() -> None:
    with pytest.raises(hd.InputError, match="HD-BI-32"):
        hd.tl.colocalization(build()[:1].copy())
    with pytest.raises(hd.InputError, match="0 spots"):
        hd.tl.colocalization(build()[:0].copy())


def test_toy_slide_shows_its_planted_pairs() -> None:
    adata = hd.datasets.toy_slide(n_patients=2)["table"]
    hd.tl.colocalization(adata, "true_abundance")
    found, toy = adata.uns["colocalization"], adata.uns["histodecon"]["toy"]
    names = list(found["names"])
    a, b = (names.index(name) for name in toy["attracted"])
    off = found["pooled"]["R"] - np.diag(np.full(len(names), np.inf))
    assert off.max() == found["pooled"]["R"][a, b]
    assert found["pooled"]["q"][a, b] < 0.01
