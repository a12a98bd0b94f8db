"""Tiles in µm are the same tissue everywhere; tiles in pixels only at one scale, and that is kept track of."""

from __future__ import annotations

import warnings

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests_support import state_of

import histodecon as hd
from histodecon import InputError, ModelMismatchError, ResolutionError, ResolutionWarning
from histodecon.pp._tile_size import TileSize, stated_size

STAIN = np.array([170, 90, 160])


@given(
    um=st.floats(5, 500), px=st.integers(1, 2000), mpp=st.floats(0.1, 4), own=st.sampled_from([None, 0.25, 0.5, 0.917])
)
def test_what_was_asked_for_is_read_back(um: float, px: int, mpp: float, own: float | None) -> None:
    in_um, in_px = TileSize(um).record(mpp), TileSize(um, px, own).record(mpp)
    assert stated_size(in_um) == f"{um:.6g} um"
    assert abs(in_um["size_px"] * mpp - um) <= max(mpp / 2 + 1e-9, mpp - um)
    assert stated_size(in_px) == f"{px} px"
    assert in_px["size_um"] == pytest.approx(px * (own or mpp))
    assert in_px["size_px"] == px if own is None else abs(in_px["size_px"] * mpp - px * own) <= mpp
    assert "tile_mpp" not in in_um


def test_records_of_before_are_read() -> None:
    assert stated_size({"size_px": 224, "size_um": 154.0, "size_unit": "px", "mpp": 0.687}) == "224 px"
    assert stated_size({"size_px": 163, "size_um": 112.0, "mpp": 0.687}) == "112 um"


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ((0.0,), InputError, "size_um"),
        ((112.0, 0), InputError, "size_px"),
        ((112.0, 2.5), InputError, "size_px"),
        ((112.0, None, 0.5), ResolutionError, "BI-16.*size_px.*was not given"),
        ((112.0, 224, -1.0), ResolutionError, "BI-16.*tile_mpp"),
        ((112.0, 224, np.nan), ResolutionError, "BI-16.*tile_mpp"),
        ((112.0, 224, "0.5"), ResolutionError, "BI-16.*tile_mpp"),
    ],
)
def test_sizes_that_cannot_be(arguments: tuple, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        TileSize(*arguments)


def cohort(mpp: dict[str, float], side: int = 40, n: int = 60) -> tuple[ad.AnnData, dict[str, np.ndarray]]:
    """Slides on which the same tissue was scanned at other µm per pixel: stripes of 8 µm whose color is the target."""
    tables, pictures = [], {}
    rng = np.random.default_rng(0)
    for library, scale in mpp.items():
        extent = round(1200 / scale)
        um = (np.arange(extent) + 0.5) * scale
        stripe = (np.sin(um / 60) * 40).astype(int)
        pictures[library] = np.clip(STAIN + np.stack([stripe, -stripe, stripe // 2], axis=-1)[None], 0, 255).astype(
            np.uint8
        ) * np.ones((extent, 1, 1), dtype=np.uint8)
        xy = rng.uniform(100, 1100, (n, 2)) / scale
        one = ad.AnnData(np.zeros((n, 1), np.float32))
        one.obs_names = [f"{library}_{i}" for i in range(n)]
        one.obs["library_id"] = library
        one.obsm["spatial"] = xy
        value = 5 + 4 * np.sin(xy[:, 0] * scale / 60)
        one.obsm["cell_abundance"] = pd.DataFrame({"T": value, "B": 10 - value}, index=one.obs_names)
        tables.append(one)
    return ad.concat(tables), pictures


def mean_color(tiles: np.ndarray) -> np.ndarray:
    values = tiles.reshape(len(tiles), -1, 3).astype(np.float32)
    return np.concatenate([values.mean(axis=1), values.std(axis=1)], axis=1)


mean_color.input_px = 20  # type: ignore[attr-defined]


def embedded(mpp: dict[str, float], **sizes: object) -> ad.AnnData:
    adata, pictures = cohort(mpp)
    hd.pp.tile_spots(adata, image=pictures, mpp=mpp, **sizes)
    hd.pp.embed_tiles(adata, mean_color, image=pictures, show_progress_bar=False)
    return adata


@pytest.fixture(scope="module")
def model() -> hd.models.AbundanceRegressor:
    adata = embedded({"A": 0.5}, size_px=40)
    hd.tl.set_targets(adata, "cell_abundance", key_added="measured")
    return hd.tl.train_regressor(adata, use_rep="X_mean_color", targets="measured", learner="ridge")


def test_a_model_of_pixel_tiles_refuses_a_slide_of_another_scale(model: hd.models.AbundanceRegressor, tmp_path) -> None:
    """BI-16: 40 px are 20 µm at 0.5 µm per pixel and 40 µm at 1.0."""
    assert model.encoders_[0].mpp == (0.5, 0.5)
    model.save(tmp_path / "m.safetensors")
    other = embedded({"B": 1.0}, size_px=40)
    before = state_of(other)
    for one in (model, tmp_path / "m.safetensors"):
        with pytest.raises(ModelMismatchError, match=r"BI-16.*1 to 1 µm per pixel.*trained at 0\.5.*tile_mpp=0\.5"):
            hd.tl.predict_abundance(other, one)
    assert state_of(other) == before
    near = embedded({"B": 0.54}, size_px=40)
    hd.tl.predict_abundance(near, model)


def test_tile_mpp_resamples_to_the_scale_of_the_model(model: hd.models.AbundanceRegressor) -> None:
    other = embedded({"B": 1.0}, size_px=40, tile_mpp=0.5)
    record = other.uns["histodecon"]["tiles"]["B"]
    assert (record["size_px"], record["size_um"], record["tile_mpp"], record["mpp"]) == (20, 20.0, 0.5, 1.0)
    hd.tl.predict_abundance(other, model)
    found, truth = other.obsm["predicted_abundance"]["T"], other.obsm["cell_abundance"]["T"]
    assert np.corrcoef(found, truth)[0, 1] > 0.9


def test_a_lost_scale_is_said_and_micron_tiles_have_none(model: hd.models.AbundanceRegressor) -> None:
    adata = embedded({"A": 0.5}, size_px=40)
    del adata.uns["histodecon"]["embeddings"]["X_mean_color"]["mpp"]
    with pytest.raises(ModelMismatchError, match=r"BI-16.*not recorded"):
        hd.tl.predict_abundance(adata, model)
    assert "mpp" not in embedded({"A": 0.5}, size_um=20).uns["histodecon"]["embeddings"]["X_mean_color"]


def test_slides_of_several_scales_are_told_in_pixels_only() -> None:
    both = {"A": 0.5, "B": 1.0}
    with pytest.warns(ResolutionWarning, match=r"BI-16.*40 px.*'A': 0\.5, 'B': 1.*size_um=112"):
        adata = embedded(both, size_px=40)
    assert adata.uns["histodecon"]["embeddings"]["X_mean_color"]["mpp"] == both
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResolutionWarning)
        embedded(both, size_um=20)
        embedded(both, size_px=40, tile_mpp=0.5)


def test_a_grid_can_be_laid_for_a_model_of_pixel_tiles() -> None:
    toy = hd.datasets.toy_slide(n_rows=6, n_cols=6)
    slide = hd.io.read_slide(toy["toy_1_image"], library_id="biopsy", mpp=1.0)
    hd.pp.tile_grid(slide, size_px=224, tile_mpp=0.5)
    record = slide["table"].uns["histodecon"]["tiles"]["biopsy"]
    assert (record["size_px"], record["size_um"], record["size_unit"], record["tile_mpp"]) == (112, 112.0, "px", 0.5)
