"""Embeddings of other tools reach the spots that they belong to, or nothing is written."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from imported_files import clam, grid, hest, lazyslide, place_code, sopa, trident
from tests_support import state_of

import histodecon as hd
from histodecon._core import read_embedding
from histodecon.pp._match_tiles import match_places

SIDE = 128


@pytest.fixture(scope="module")
def drawn() -> Any:
    return hd.datasets.toy_slide(n_rows=8, n_cols=8)


@pytest.fixture(scope="module")
def two() -> Any:
    return hd.datasets.toy_slide(n_patients=2, n_rows=6, n_cols=6)["table"]


@pytest.fixture
def adata(drawn: Any) -> Any:
    return drawn["table"].copy()


def xy_of(adata: Any) -> np.ndarray:
    return np.asarray(adata.obsm["spatial"], dtype=float)


def tile_of(adata: Any, corners: np.ndarray, side: float) -> np.ndarray:
    """Slow oracle: the center of the one tile of a gapless grid that holds the spot."""
    out = []
    for x, y in xy_of(adata):
        (hit,) = [c for c in corners if c[0] <= x < c[0] + side and c[1] <= y < c[1] + side]
        out.append(hit + side / 2)
    return np.array(out)


def record(adata: Any, key: str) -> dict[str, Any]:
    return dict(adata.uns["histodecon"]["embeddings"][key])


def vectors(adata: Any, width: int = 6, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(adata.n_obs, width)).astype(np.float32)


def frame_of(adata: Any, width: int = 6, seed: int = 0) -> pd.DataFrame:
    return pd.DataFrame(vectors(adata, width, seed), index=adata.obs_names)


# Coordinates


@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.float64])
def test_trident(adata: Any, tmp_path: Path, batch: bool, dtype: Any) -> None:
    corners = grid(xy_of(adata), SIDE)
    code = place_code((corners + SIDE / 2) / 1000).astype(dtype)
    path = trident(tmp_path / "slide.h5", code, corners, side=SIDE, batch=batch)
    hd.pp.set_embedding(adata, path)
    expected = place_code(tile_of(adata, corners, SIDE) / 1000).astype(dtype).astype(np.float32)
    np.testing.assert_allclose(adata.obsm["X_resnet50"], expected, rtol=2e-6 if dtype != np.float16 else 2e-3)
    assert adata.obsm["X_resnet50"].dtype == np.float32
    found = record(adata, "X_resnet50")
    assert (found["tool"], found["encoder"], found["verified"]) == ("TRIDENT", "resnet50", False)
    assert found["matched"] == {"toy_1": "coordinates"}
    assert found["mpp"] == {"toy_1": 0.5}
    assert json.loads(found["recipe"])["magnification"] == 20
    assert found["n_tiles"] == len(np.unique(expected, axis=0))
    assert found["max_distance_px"] <= SIDE / np.sqrt(2)


def test_the_name_of_the_folder_tells_the_encoder(adata: Any, tmp_path: Path) -> None:
    folder = tmp_path / "features_my-net"
    folder.mkdir()
    corners = grid(xy_of(adata), SIDE)
    hd.pp.set_embedding(adata, trident(folder / "a.h5", place_code(corners), corners, side=SIDE, encoder="None"))
    assert record(adata, "X_my-net")["encoder"] == "my-net"


def test_clam_states_its_tiles_otherwise(adata: Any, tmp_path: Path) -> None:
    corners = grid(xy_of(adata), SIDE)
    path = clam(tmp_path / "a.h5", place_code(corners + SIDE / 2), corners, patch=64, downsample=2.0)
    hd.pp.set_embedding(adata, path, encoder="resnet50")
    np.testing.assert_allclose(adata.obsm["X_resnet50"], place_code(tile_of(adata, corners, SIDE)), rtol=1e-6)
    assert record(adata, "X_resnet50")["tool"] == "CLAM"


@pytest.mark.parametrize("named", [True, False])
def test_lazyslide(adata: Any, tmp_path: Path, named: bool) -> None:
    corners = grid(xy_of(adata), SIDE)
    sdata = lazyslide(place_code(corners + SIDE / 2), corners, side=SIDE, model="plip")
    hd.pp.set_embedding(adata, sdata, values_key="plip_tiles" if named else None)
    expected = place_code(tile_of(adata, corners, SIDE))
    np.testing.assert_allclose(adata.obsm["X_plip"], expected, rtol=1e-6)
    found = record(adata, "X_plip")
    assert found["tool"] == "LazySlide"
    assert found["mpp"] == {"toy_1": 0.5}
    sdata.write(tmp_path / "slide.zarr")
    hd.pp.set_embedding(adata, tmp_path / "slide.zarr", key_added="X_again")
    np.testing.assert_array_equal(adata.obsm["X_again"], adata.obsm["X_plip"])
    assert record(adata, "X_again")["fingerprint"] == found["fingerprint"]


def test_lazyslide_as_one_anndata_has_corners(adata: Any) -> None:
    corners = grid(xy_of(adata), SIDE)
    whole = lazyslide(place_code(corners + SIDE / 2), corners, side=SIDE)
    one = ad.AnnData(place_code(corners + SIDE / 2), obsm={"spatial": corners})
    one.obs["tile_id"], one.uns["tile_spec"] = np.arange(len(corners)), whole.attrs["tile_spec"]["tiles"]
    hd.pp.set_embedding(adata, one, encoder="plip")
    np.testing.assert_allclose(adata.obsm["X_plip"], place_code(tile_of(adata, corners, SIDE)), rtol=1e-6)


def test_a_table_of_lazyslide_alone_does_not_say_where_its_tiles_lie(adata: Any) -> None:
    corners = grid(xy_of(adata), SIDE)
    table = lazyslide(place_code(corners), corners, side=SIDE)["uni_tiles"]
    with pytest.raises(hd.MissingKeyError, match=r"BI-03.*SpatialData"):
        hd.pp.set_embedding(adata, table, encoder="plip")


def test_sopa(adata: Any, tmp_path: Path) -> None:
    corners = grid(xy_of(adata), SIDE)
    sdata = sopa(place_code(corners + SIDE / 2), corners, side=SIDE)
    expected = place_code(tile_of(adata, corners, SIDE))
    hd.pp.set_embedding(adata, sdata)
    np.testing.assert_allclose(adata.obsm["X_hoptimus_like"], expected, rtol=1e-6)
    found = record(adata, "X_hoptimus_like")
    assert found["tool"] == "sopa"
    assert found["mpp"] == {"toy_1": pytest.approx(SIDE / 224)}
    table = sdata["hoptimus_like_embeddings"]
    table.write_h5ad(tmp_path / "table.h5ad")
    for key, source in {"X_table": table, "X_file": tmp_path / "table.h5ad"}.items():
        hd.pp.set_embedding(adata, source, key_added=key)
        np.testing.assert_array_equal(adata.obsm[key], adata.obsm["X_hoptimus_like"])
        assert record(adata, key)["fingerprint"] == found["fingerprint"]


def test_a_table_of_the_same_spatialdata_by_name(drawn: Any) -> None:
    adata = drawn["table"]
    corners = grid(xy_of(adata), SIDE)
    made = sopa(place_code(corners + SIDE / 2), corners, side=SIDE)
    sdata = type(drawn)(
        images=dict(drawn.images),
        shapes=dict(drawn.shapes) | dict(made.shapes),
        tables={"table": adata.copy(), "emb": made["hoptimus_like_embeddings"]},
    )
    out = hd.pp.set_embedding(sdata, "emb", key_added="X_own", copy=True)
    np.testing.assert_allclose(out["table"].obsm["X_own"], place_code(tile_of(adata, corners, SIDE)), rtol=1e-6)
    assert "X_own" not in sdata["table"].obsm


def test_any_anndata_with_centers(adata: Any) -> None:
    corners = grid(xy_of(adata), SIDE)
    tiles = ad.AnnData(place_code(corners + SIDE / 2), obsm={"spatial": corners + SIDE / 2})
    with pytest.raises(hd.AlignmentError, match=r"BI-08.*match=\"coordinates\""):
        hd.pp.set_embedding(adata, tiles, encoder="own", tile_um=SIDE)
    hd.pp.set_embedding(adata, tiles, encoder="own", tile_um=SIDE, match="coordinates")
    np.testing.assert_allclose(adata.obsm["X_own"], place_code(tile_of(adata, corners, SIDE)), rtol=1e-6)
    hd.pp.set_embedding(adata, tiles, encoder="own", max_distance_um=91, match="coordinates", key_added="X_far")
    np.testing.assert_array_equal(adata.obsm["X_far"], adata.obsm["X_own"])
    with pytest.raises(hd.AlignmentError, match="BI-09"):
        hd.pp.set_embedding(adata, tiles, encoder="own", max_distance_um=20, match="coordinates")
    with pytest.raises(hd.ResolutionError, match="tile_um=112"):
        hd.pp.set_embedding(adata, tiles, encoder="own", match="coordinates")


@settings(max_examples=40, deadline=None)
@given(
    spots=st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300)), min_size=1, max_size=12),
    tiles=st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300)), min_size=1, max_size=12),
    side=st.integers(1, 200),
)
def test_the_nearest_tile_that_holds_the_spot(spots: list, tiles: list, side: int) -> None:
    xy, centers = np.array(spots, dtype=float), np.array(tiles, dtype=float)
    rows, _ = match_places(xy, centers, side, None)
    for spot, row in zip(xy, rows, strict=True):
        off = np.abs(centers - spot).max(axis=1)
        assert (row == -1) == bool((off > side / 2).all())
        assert row == -1 or off[row] == off.min()
    near, _ = match_places(xy, centers, None, float(side))
    for spot, row in zip(xy, near, strict=True):
        off = np.hypot(*(centers - spot).T)
        assert (row == -1) == bool((off > side).all())


def test_spots_without_a_tile_are_an_error_or_left_out_of_a_copy(drawn: Any, tmp_path: Path) -> None:
    adata = drawn["table"].copy()
    corners = grid(xy_of(adata), SIDE)
    corners = corners[corners[:, 0] > np.median(xy_of(adata)[:, 0]) - SIDE]
    code = place_code(corners + SIDE / 2)
    path = trident(tmp_path / "a.h5", code, corners, side=SIDE)
    lost = xy_of(adata)[:, 0] < corners[:, 0].min()
    before = state_of(adata)
    with pytest.raises(hd.AlignmentError, match=rf"BI-09.*{lost.sum()} of {adata.n_obs}: '{adata.obs_names[lost][0]}'"):
        hd.pp.set_embedding(adata, path)
    with pytest.raises(hd.InputError, match="copy=True"):
        hd.pp.set_embedding(adata, path, missing="drop")
    assert state_of(adata) == before
    with pytest.warns(hd.DroppedSpotsWarning, match=f"{lost.sum()} of {adata.n_obs}"):
        out = hd.pp.set_embedding(adata, path, missing="drop", copy=True)
    assert state_of(adata) == before
    assert list(out.obs_names) == list(adata.obs_names[~lost])
    np.testing.assert_allclose(out.obsm["X_resnet50"], place_code(tile_of(out, corners, SIDE)), rtol=1e-6)
    with pytest.warns(hd.DroppedSpotsWarning):
        whole = hd.pp.set_embedding(drawn, path, missing="drop", copy=True)
    assert whole["table"].n_obs == out.n_obs
    assert drawn["table"].n_obs == adata.n_obs


@pytest.mark.parametrize(("factor", "words"), [(1 / 4, "4 times smaller"), (4, "4 times larger"), (1 / 32, "32 times")])
def test_coordinates_of_another_level_are_named(adata: Any, tmp_path: Path, factor: float, words: str) -> None:
    adata.obsm["spatial"] = xy_of(adata) + 1500
    corners = grid(xy_of(adata), SIDE) * factor
    side = round(SIDE * factor)
    path = trident(tmp_path / "a.h5", place_code(corners), corners, side=side, level0_magnification=10, patch=2 * side)
    with pytest.raises(hd.ResolutionError, match=rf"BI-11.*{words} .*\(times {1 / factor:g}\)"):
        hd.pp.set_embedding(adata, path)


def test_spots_in_the_tiles_of_a_larger_image_are_refused_by_its_scale(adata: Any, tmp_path: Path) -> None:
    corners = grid(xy_of(adata), SIDE) * 2
    path = trident(tmp_path / "a.h5", place_code(corners + SIDE), corners, side=2 * SIDE)
    with pytest.raises(hd.ResolutionError, match=r"BI-11.*factor of 2\."):
        hd.pp.set_embedding(adata, path)
    hd.pp.set_embedding(adata, path, match="coordinates")
    sdata = lazyslide(place_code(corners), corners, side=2 * SIDE, model="plip")
    with pytest.raises(hd.ResolutionError, match=r"BI-11.*factor of 2\."):
        hd.pp.set_embedding(adata, sdata)


def test_micrometers_and_small_images_are_recognized(adata: Any) -> None:
    mpp = 0.11
    micrometers = xy_of(adata)
    adata.obsm["spatial"] = micrometers / mpp
    adata.uns["histodecon"]["slides"]["toy_1"]["mpp"] = mpp
    adata.uns["spatial"]["toy_1"]["scalefactors"]["tissue_hires_scalef"] = 0.07
    for centers, words in (
        (micrometers, r"they fit as µm \(times 9.09"),
        (micrometers / mpp * 0.07, "the hires image"),
    ):
        tiles = ad.AnnData(place_code(centers), obsm={"spatial": centers})
        share = np.ptp(centers[:, 0]) / np.ptp(micrometers[:, 0])  # µm in a unit of these coordinates
        with pytest.raises(hd.ResolutionError, match=f"BI-11.*{words}"):
            hd.pp.set_embedding(adata, tiles, encoder="own", match="coordinates", tile_um=112 * share * mpp)


def test_exchanged_coordinates_are_named(tmp_path: Path) -> None:
    adata = hd.datasets.toy_slide(n_rows=4, n_cols=10)["table"].copy()
    adata.obsm["spatial"] = xy_of(adata) + np.array([5000, 0])
    corners = grid(xy_of(adata), SIDE)
    path = trident(tmp_path / "a.h5", place_code(corners), corners[:, ::-1], side=SIDE)
    with pytest.raises(hd.GeometryError, match=r"BI-10.*exchanged"):
        hd.pp.set_embedding(adata, path)


def test_no_factor_is_named_for_a_slide_that_is_tiled_in_part(adata: Any, tmp_path: Path) -> None:
    corners = grid(xy_of(adata), SIDE)
    some = corners[corners[:, 0] < np.quantile(xy_of(adata)[:, 0], 0.1)]
    with pytest.raises(hd.AlignmentError, match="BI-09"):
        hd.pp.set_embedding(adata, trident(tmp_path / "a.h5", place_code(some), some, side=SIDE))


# Barcodes


@pytest.mark.parametrize("column", [True, False])
def test_hest(adata: Any, tmp_path: Path, column: bool) -> None:
    order = np.random.default_rng(0).permutation(adata.n_obs)
    corners = xy_of(adata) - 112 // 2
    path = hest(tmp_path / "a.h5", vectors(adata)[order], adata.obs_names[order], corners[order], column=column)
    hd.pp.set_embedding(adata, path, encoder="own")
    np.testing.assert_array_equal(adata.obsm["X_own"], vectors(adata))
    found = record(adata, "X_own")
    assert found["tool"] == "HEST"
    assert found["matched"] == {"toy_1": "barcode"}
    assert "mpp" not in found
    hd.pp.set_embedding(adata, path, encoder="own", match="coordinates", tile_um=112, key_added="X_places")
    np.testing.assert_array_equal(adata.obsm["X_places"], vectors(adata))


def test_a_slide_of_the_same_barcodes_is_another_slide(adata: Any, tmp_path: Path) -> None:
    corners = xy_of(adata) - 56
    other = hest(tmp_path / "other.h5", vectors(adata), adata.obs_names, corners + np.array([170, -90]))
    turned = hest(tmp_path / "turned.h5", vectors(adata), adata.obs_names, corners[::-1])
    for path in (other, turned):
        with pytest.raises(hd.GeometryError, match=r"BI-11.*share their barcodes"):
            hd.pp.set_embedding(adata, path, encoder="own")
        hd.pp.set_embedding(adata, path, encoder="own", match="barcode")
        np.testing.assert_array_equal(adata.obsm["X_own"], vectors(adata))


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".csv.gz", ".parquet"])
def test_files_of_a_table(adata: Any, tmp_path: Path, suffix: str) -> None:
    table = frame_of(adata).add_prefix("dim_").sample(frac=1, random_state=0)
    path = tmp_path / f"emb{suffix}"
    if suffix == ".parquet":
        table.rename_axis("barcode").reset_index().to_parquet(path)
    else:
        table.to_csv(path, sep="\t" if "tsv" in suffix else ",")
    hd.pp.set_embedding(adata, str(path), encoder="own")
    np.testing.assert_allclose(adata.obsm["X_own"], vectors(adata), rtol=1e-6)


def test_barcodes_that_look_like_numbers(adata: Any, tmp_path: Path) -> None:
    adata.obs_names = [f"00{i}" for i in range(adata.n_obs)]
    frame_of(adata).to_csv(tmp_path / "a.csv")
    hd.pp.set_embedding(adata, tmp_path / "a.csv", encoder="own")
    np.testing.assert_allclose(adata.obsm["X_own"], vectors(adata), rtol=1e-6)
    adata.obs_names = [str(i) for i in range(adata.n_obs)]
    hd.pp.set_embedding(adata, frame_of(adata).set_axis(range(adata.n_obs)), encoder="own")


def test_a_larger_source_and_its_order_do_not_matter(adata: Any) -> None:
    small = adata[::2].copy()
    hd.pp.set_embedding(small, frame_of(adata).iloc[::-1], encoder="own")
    np.testing.assert_array_equal(small.obsm["X_own"], vectors(adata)[::2])
    assert record(small, "X_own")["n_tiles"] == small.n_obs


def test_an_anndata_of_spots_and_its_obsm(adata: Any) -> None:
    other = ad.AnnData(obs=pd.DataFrame(index=adata.obs_names[::-1]), obsm={"emb": vectors(adata)[::-1]})
    hd.pp.set_embedding(adata, other, values_key="emb", encoder="own")
    np.testing.assert_array_equal(adata.obsm["X_own"], vectors(adata))
    with pytest.raises(hd.MissingKeyError, match=r"BI-87.*'emb'"):
        hd.pp.set_embedding(adata, other, values_key="none", encoder="own")


def test_a_key_of_this_table_gets_a_record(adata: Any) -> None:
    adata.obsm["X_own"] = pd.DataFrame(vectors(adata), index=adata.obs_names)
    hd.pp.set_embedding(adata, "X_own", encoder="own", tool="lab", tile_um=112)
    assert isinstance(adata.obsm["X_own"], np.ndarray)
    assert json.loads(record(adata, "X_own")["recipe"])["tile_um"] == 112
    assert record(adata, "X_own")["tool"] == "lab"


# Position


def test_arrays_go_by_position_only_when_that_is_said(adata: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", vectors(adata))
    before = state_of(adata)
    for source in (vectors(adata), tmp_path / "a.npy"):
        with pytest.raises(hd.AlignmentError, match=r"BI-09.*assume_aligned=True"):
            hd.pp.set_embedding(adata, source, encoder="own")
    with pytest.raises(hd.AlignmentError, match="by position"):
        hd.pp.set_embedding(adata, vectors(adata)[1:], encoder="own", assume_aligned=True)
    assert state_of(adata) == before
    for source in (vectors(adata), tmp_path / "a.npy"):
        hd.pp.set_embedding(adata, source, encoder="own", assume_aligned=True)
        np.testing.assert_array_equal(adata.obsm["X_own"], vectors(adata))
    assert record(adata, "X_own")["matched"] == {"toy_1": "position"}


@pytest.mark.parametrize("kind", ["float16", "fortran", "sparse", "dask", "readonly", "frame"])
def test_the_container_does_not_matter(adata: Any, kind: str) -> None:
    import dask.array as da
    import scipy.sparse as sp

    plain = vectors(adata).astype(np.float16).astype(np.float32)
    readonly = plain.copy()
    readonly.flags.writeable = False
    source = {
        "float16": plain.astype(np.float16),
        "fortran": np.asfortranarray(plain),
        "sparse": sp.csr_matrix(plain),
        "dask": da.from_array(plain, chunks=7),
        "readonly": readonly,
        "frame": pd.DataFrame(plain),
    }[kind]
    hd.pp.set_embedding(adata, source, encoder="own", assume_aligned=True)
    np.testing.assert_array_equal(adata.obsm["X_own"], plain)
    assert adata.obsm["X_own"].flags.writeable


# Several slides


def test_a_file_for_each_slide(two: Any, tmp_path: Path) -> None:
    adata = two.copy()
    files, expected = {}, np.empty((adata.n_obs, 8), dtype=np.float32)
    for i, slide in enumerate(adata.obs["library_id"].unique()):
        rows = np.flatnonzero(adata.obs["library_id"] == slide)
        part = adata[rows]
        corners = grid(xy_of(part), SIDE, seed=i)
        files[slide] = trident(tmp_path / f"{slide}.h5", place_code(corners + SIDE / 2) + i, corners, side=SIDE)
        expected[rows] = place_code(tile_of(part, corners, SIDE)) + i
    hd.pp.set_embedding(adata, files)
    np.testing.assert_allclose(adata.obsm["X_resnet50"], expected, rtol=1e-6)
    assert set(record(adata, "X_resnet50")["sources"]) == set(files)
    with pytest.raises(hd.InputError, match=r"BI-36.*several"):
        hd.pp.set_embedding(adata, files["toy_1"])
    with pytest.raises(hd.AlignmentError, match=r"nothing for some slides: 'toy_2'"):
        hd.pp.set_embedding(adata, {"toy_1": files["toy_1"]})
    with pytest.raises(hd.InputError, match=r"BI-104.*'toy_3'"):
        hd.pp.set_embedding(adata, files | {"toy_3": files["toy_1"]})


def test_one_table_for_all_slides(two: Any) -> None:
    adata = two.copy()
    hd.pp.set_embedding(adata, frame_of(adata).iloc[::-1], encoder="own")
    np.testing.assert_array_equal(adata.obsm["X_own"], vectors(adata))


def test_slides_of_different_recipes_are_refused(two: Any, tmp_path: Path) -> None:
    corners = {slide: grid(xy_of(two[two.obs["library_id"] == slide]), SIDE) for slide in ("toy_1", "toy_2")}

    def files(**second: Any) -> dict[str, Path]:
        kinds = {"toy_1": {}, "toy_2": second}
        width = {slide: how.pop("width", 6) for slide, how in kinds.items()}
        return {
            slide: trident(
                tmp_path / f"{slide}.h5", place_code(corners[slide], width[slide]), corners[slide], side=SIDE, **how
            )
            for slide, how in kinds.items()
        }

    with pytest.raises(hd.InputError, match=r"BI-45.*different ways"):
        hd.pp.set_embedding(two.copy(), files(patch=128))
    with pytest.raises(hd.InputError, match=r"BI-51.*different encoders"):
        hd.pp.set_embedding(two.copy(), files(encoder="other"))
    with pytest.raises(hd.InputError, match=r"BI-44.*equally wide"):
        hd.pp.set_embedding(two.copy(), files(width=7))


# The record


def test_a_registered_encoder_brings_its_terms(adata: Any, tmp_path: Path) -> None:
    corners = grid(xy_of(adata), SIDE)
    wide = np.random.default_rng(0).normal(size=(len(corners), 1024)).astype(np.float32)
    hd.pp.set_embedding(adata, trident(tmp_path / "a.h5", wide, corners, side=SIDE, encoder="uni_v1"))
    card = hd.encoders.get_encoder_card("uni")
    found = record(adata, "X_uni")
    assert (found["encoder"], found["license"], found["commercial"]) == ("uni", card.license, card.commercial)
    hd.pp.set_embedding(adata, frame_of(adata), encoder="own")
    assert (record(adata, "X_own")["license"], record(adata, "X_own")["commercial"]) == ("unknown", False)


def test_names_and_widths_that_contradict_are_refused(adata: Any, tmp_path: Path) -> None:
    corners = grid(xy_of(adata), SIDE)
    path = trident(tmp_path / "a.h5", place_code(corners), corners, side=SIDE, encoder="virchow2")
    before = state_of(adata)
    with pytest.raises(hd.InputError, match=r"BI-44.*8 columns.*2560.*virchow2_8"):
        hd.pp.set_embedding(adata, path)
    with pytest.raises(hd.InputError, match=r"BI-45.*'uni'.*'virchow2'"):
        hd.pp.set_embedding(adata, path, encoder="uni")
    with pytest.raises(hd.InputError, match=r"BI-45.*tool="):
        hd.pp.set_embedding(adata, path, encoder="own", tool="HEST")
    with pytest.raises(hd.ResolutionError, match=r"BI-16.*tile_um=500"):
        hd.pp.set_embedding(adata, path, encoder="own", tile_um=500)
    assert state_of(adata) == before
    hd.pp.set_embedding(adata, path, encoder="virchow2_8", tile_um=SIDE)
    assert record(adata, "X_virchow2_8")["license"] == "unknown"


def test_the_fingerprint_covers_the_recipe_and_not_the_slide(adata: Any, two: Any, tmp_path: Path) -> None:
    corners = grid(xy_of(adata), SIDE)

    def print_of(**how: Any) -> str:
        table = adata.copy()
        options = {key: how.pop(key) for key in ("tool",) if key in how}
        path = trident(tmp_path / "a.h5", place_code(corners, how.pop("width", 6)), corners, **{"side": SIDE} | how)
        hd.pp.set_embedding(table, path, key_added="X", **options)
        return record(table, "X")["fingerprint"]

    base = print_of()
    assert base.startswith("imported-")
    assert base == print_of(tool="TRIDENT") == print_of(name="other")
    changed = [
        print_of(encoder="plip"),
        print_of(patch=224),
        print_of(target_magnification=18),
        print_of(width=7),
    ]
    assert len({base, *changed}) == 5
    part = two[two.obs["library_id"] == "toy_2"].copy()  # scanned at twice the magnification
    part.obsm["spatial"] = 2 * xy_of(part)
    other = grid(xy_of(part), 2 * SIDE)
    path = trident(tmp_path / "b.h5", place_code(other), other, side=2 * SIDE)
    hd.pp.set_embedding(part, path, key_added="X", mpp=0.5)
    assert record(part, "X")["fingerprint"] == base


def test_a_model_of_imported_embeddings_predicts_on_imported_ones_alone(tmp_path: Path) -> None:
    sdata = hd.datasets.toy_slide(n_patients=2, n_rows=6, n_cols=6)
    hd.pp.tile_spots(sdata)
    hd.pp.embed_tiles(sdata, "color_stats", show_progress_bar=False)
    adata = sdata["table"]
    hd.tl.set_targets(adata, "true_abundance")
    first, second = (adata[adata.obs["patient"] == patient].copy() for patient in ("P1", "P2"))
    for part in (first, second):
        path = hest(tmp_path / "e.h5", part.obsm["X_color_stats"], part.obs_names, xy_of(part) - 56)
        hd.pp.set_embedding(part, path, encoder="color_stats", key_added="X_given")
    model = hd.tl.train_regressor(first, use_rep="X_given", learner="ridge", groupby=None)
    own = hd.tl.train_regressor(first, use_rep="X_color_stats", learner="ridge", groupby=None)
    model.save(tmp_path / "model.safetensors")
    hd.tl.predict_abundance(second, tmp_path / "model.safetensors")
    given = second.obsm["predicted_abundance"].to_numpy()
    hd.tl.predict_abundance(second, own)
    np.testing.assert_array_equal(given, second.obsm["predicted_abundance"].to_numpy())
    assert model.encoders_[0].fingerprint.startswith("imported-")
    assert model.encoders_[0].license == "BSD-3-Clause"
    for one, rep in ((model, "X_color_stats"), (own, "X_given")):
        with pytest.raises(hd.ModelMismatchError, match=r"BI-45.*imported-"):
            hd.tl.predict_abundance(second, one, use_rep=rep)


def test_a_model_refuses_tiles_of_another_scale(adata: Any, two: Any, tmp_path: Path) -> None:
    corners = grid(xy_of(adata), SIDE)
    hd.pp.set_embedding(adata, trident(tmp_path / "a.h5", place_code(corners), corners, side=SIDE))
    hd.tl.set_targets(adata, "true_abundance")
    model = hd.tl.train_regressor(adata, use_rep="X_resnet50", learner="ridge", groupby=None)
    part = two[two.obs["library_id"] == "toy_2"].copy()
    other = grid(xy_of(part), 160)
    hd.pp.set_embedding(part, trident(tmp_path / "b.h5", place_code(other), other, side=160))
    with pytest.raises(hd.ModelMismatchError, match="BI-16"):
        hd.tl.predict_abundance(part, model)


@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
def test_it_survives_a_round_trip(adata: Any, tmp_path: Path, suffix: str) -> None:
    corners = grid(xy_of(adata), SIDE)
    hd.pp.set_embedding(adata, trident(tmp_path / "a.h5", place_code(corners), corners, side=SIDE))
    getattr(adata, f"write_{suffix}")(tmp_path / f"t.{suffix}")
    back = getattr(ad, f"read_{suffix}")(tmp_path / f"t.{suffix}")
    assert state_of(back, loose=True) == state_of(adata, loose=True)
    values, known = read_embedding(back, "X_resnet50")
    np.testing.assert_array_equal(values, adata.obsm["X_resnet50"])
    assert known["fingerprint"] == record(adata, "X_resnet50")["fingerprint"]
    hd.pp.set_embedding(back, tmp_path / "a.h5")


def test_what_was_imported_may_be_replaced_and_nothing_else(drawn: Any) -> None:
    adata = drawn["table"].copy()
    hd.pp.set_embedding(adata, frame_of(adata), encoder="own")
    hd.pp.set_embedding(adata, frame_of(adata, seed=1), encoder="own")
    np.testing.assert_array_equal(adata.obsm["X_own"], vectors(adata, seed=1))
    adata.obsm["X_foreign"] = vectors(adata)
    with pytest.raises(hd.InputError, match=r"BI-53.*not written by this function"):
        hd.pp.set_embedding(adata, frame_of(adata), encoder="foreign")
    adata.uns["histodecon"]["embeddings"]["X_foreign"] = {"encoder": "a", "fingerprint": "0af3", "width": 6}
    with pytest.raises(hd.InputError, match=r"BI-53.*was embedded here"):
        hd.pp.set_embedding(adata, frame_of(adata, seed=2), encoder="foreign")
    hd.pp.set_embedding(adata, frame_of(adata, seed=2), encoder="foreign", overwrite=True)
    assert record(adata, "X_foreign")["verified"] is False


# Bad input


def put(value: Any, rows: int = 1) -> Any:
    def change(table: pd.DataFrame) -> pd.DataFrame:
        table.iloc[2 : 2 + rows, 1] = value
        return table

    return change


@pytest.mark.parametrize(
    ("change", "kwargs", "error", "words"),
    [
        (put(np.nan), {}, hd.InputError, "BI-42.*1 of"),
        (put(np.inf, 5), {}, hd.InputError, "BI-42.*5 of"),
        (lambda t: t * 0 + 1, {}, hd.InputError, "BI-43"),
        (lambda t: t.assign(name="x"), {}, hd.InputError, "BI-48.*'name'"),
        (lambda t: t.astype(str), {}, hd.InputError, "BI-48"),
        (lambda t: t[[]], {}, hd.InputError, "BI-48"),
        (lambda t: t.to_numpy().astype(str), {"assume_aligned": True}, hd.InputError, "BI-48"),
        (lambda t: t.to_numpy()[:, 0], {"assume_aligned": True}, hd.InputError, "BI-48"),
        (lambda t: pd.concat([t, t.iloc[:2]]), {}, hd.AlignmentError, "BI-04"),
        (lambda t: t.reset_index(drop=True), {}, hd.AlignmentError, "BI-08.*'0'.*obs_names has"),
        (lambda t: t.add_prefix("x").set_axis([f"{name}-1-1" for name in t.index]), {}, hd.AlignmentError, "BI-08"),
        (lambda t: t.iloc[3:], {}, hd.AlignmentError, "BI-09.*3 of"),
        (lambda t: t, {"encoder": None}, hd.InputError, "BI-51.*encoder="),
        (lambda t: t, {"encoder": "a/b"}, hd.InputError, "BI-67"),
        (lambda t: t, {"key_added": "a/b"}, hd.InputError, "BI-67"),
        (lambda t: t, {"match": "place"}, hd.InputError, "BI-72"),
        (lambda t: t, {"missing": "nan"}, hd.InputError, "BI-72"),
        (lambda t: t, {"tile_um": 0}, hd.InputError, "BI-72"),
        (lambda t: t, {"max_distance_um": -1.0}, hd.InputError, "BI-72"),
        (lambda t: t, {"match": "coordinates"}, hd.InputError, 'BI-09.*match="barcode"'),
        (lambda t: 3, {}, hd.InputError, "BI-48.*int"),
        (lambda t: "absent.h5", {}, hd.MissingKeyError, "BI-87.*absent.h5"),
    ],
)
def test_bad_values_answer_and_change_nothing(
    adata: Any, change: Any, kwargs: dict, error: type[Exception], words: str
) -> None:
    before = state_of(adata)
    with pytest.raises(error, match=words):
        hd.pp.set_embedding(adata, change(frame_of(adata)), **{"encoder": "own"} | kwargs)
    assert state_of(adata) == before


def test_files_that_are_something_else(adata: Any, tmp_path: Path) -> None:
    import h5py

    (tmp_path / "page.h5").write_text("<html>log in</html>")
    (tmp_path / "a.pt").write_bytes(b"PK")
    (tmp_path / "a.doc").write_bytes(b"x")
    np.save(tmp_path / "objects.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with h5py.File(tmp_path / "patches.h5", "w") as file:
        file["img"], file["coords"] = np.zeros((3, 4, 4, 3)), np.zeros((3, 2))
    with h5py.File(tmp_path / "slide.h5", "w") as file:
        file["features"], file["coords"] = np.zeros(8), np.zeros((3, 2))
    with h5py.File(tmp_path / "short.h5", "w") as file:
        file["features"], file["coords"] = np.zeros((4, 8)), np.zeros((3, 2))
    expected = {
        "page.h5": (hd.InputError, "BI-29"),
        "a.pt": (hd.UnsafeFileError, "BI-83"),
        "a.doc": (hd.InputError, "BI-29"),
        "objects.npy": (hd.InputError, "BI-29"),
        "patches.h5": (hd.InputError, "BI-29.*'coords', 'img'"),
        "slide.h5": (hd.InputError, "BI-48.*whole slide"),
        "short.h5": (hd.AlignmentError, "BI-09.*4 embeddings and 3 coordinates"),
    }
    before = state_of(adata)
    for name, (error, words) in expected.items():
        with pytest.raises(error, match=words):
            hd.pp.set_embedding(adata, tmp_path / name, encoder="own")
    assert state_of(adata) == before


def test_corners_without_a_size_ask_for_it(adata: Any, tmp_path: Path) -> None:
    corners = grid(xy_of(adata), SIDE)
    sizes = dict.fromkeys(("patch_size", "patch_size_level0", "level0_magnification", "target_magnification"))
    path = trident(tmp_path / "a.h5", place_code(corners + SIDE / 2), corners, side=SIDE, **sizes)
    with pytest.raises(hd.ResolutionError, match=r"BI-14.*tile_um=112"):
        hd.pp.set_embedding(adata, path)
    hd.pp.set_embedding(adata, path, tile_um=SIDE)
    np.testing.assert_allclose(adata.obsm["X_resnet50"], place_code(tile_of(adata, corners, SIDE)), rtol=1e-6)


def test_tables_that_cannot_be_told_apart(adata: Any) -> None:
    corners = grid(xy_of(adata), SIDE)
    sdata = lazyslide(place_code(corners), corners, side=SIDE, model="plip")
    sdata.tables["uni_tiles"] = sdata["plip_tiles"].copy()
    with pytest.raises(hd.InputError, match=r"BI-35.*values_key="):
        hd.pp.set_embedding(adata, sdata)
    with pytest.raises(hd.MissingKeyError, match=r"BI-87.*'plip_tiles'"):
        hd.pp.set_embedding(adata, sdata, values_key="other")
    hd.pp.set_embedding(adata, sdata, values_key="plip_tiles")


def test_slides_of_unknown_scale_need_no_scale_to_match(adata: Any, tmp_path: Path) -> None:
    corners = grid(xy_of(adata), SIDE)
    for column in ("array_row", "array_col"):
        del adata.obs[column]
    adata.uns = {}
    adata.obsm["spatial"] = np.random.default_rng(0).uniform(300, 700, size=(adata.n_obs, 2))
    path = trident(tmp_path / "a.h5", place_code(corners + SIDE / 2), corners, side=SIDE)
    hd.pp.set_embedding(adata, path)
    np.testing.assert_allclose(adata.obsm["X_resnet50"], place_code(tile_of(adata, corners, SIDE)), rtol=1e-6)
    assert "mpp" not in record(adata, "X_resnet50")
    with pytest.raises(hd.ResolutionError, match="BI-14"):
        hd.pp.set_embedding(adata, path, max_distance_um=60)
    hd.pp.set_embedding(adata, path, max_distance_um=200, mpp=1.0)


def test_the_example_of_the_documentation_runs(tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    page = Path(__file__).parents[2] / "docs" / "howto_import_embeddings.md"
    if not page.exists():
        pytest.skip("not a checkout")
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(), re.M | re.S)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in blocks:
        exec(block, names)
    assert len(blocks) == 3
    assert '"magnification": 20.0' in capsys.readouterr().out
    assert "predicted_abundance" in names["adata"].obsm


def test_a_table_is_not_its_own_source(drawn: Any) -> None:
    with pytest.raises(hd.MissingKeyError, match="BI-87"):
        hd.pp.set_embedding(drawn, "table", encoder="own")
