"""Every row holds the embedding of its own tile, with its recipe beside it; on an error nothing is written."""

from __future__ import annotations

import json

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from tests_support import hash_of, state_of

import histodecon as hd
from histodecon import InputError, MissingKeyError, images

WIDTH, HEIGHT, SIZE = 400, 300, 16


def speaking_image(offset: int = 0) -> np.ndarray:
    """Red encodes x and green y, two pixels a gray level; blue the slide. Stained enough to be tissue everywhere."""
    y, x = np.indices((HEIGHT, WIDTH))
    return np.stack([x // 2, y // 2, np.full_like(x, 200 + offset)], axis=2).astype(np.uint8)


def mean_color(tiles: np.ndarray) -> np.ndarray:
    return tiles.mean(axis=(1, 2))


mean_color.input_px = SIZE


def table(libraries=("A",), n: int = 40, seed: int = 0) -> tuple[ad.AnnData, dict[str, np.ndarray]]:
    """Spots at random places, rows of the slides mixed, tiled to 16 px."""
    rng = np.random.default_rng(seed)
    names = np.repeat(libraries, n)
    order = rng.permutation(len(names))
    obs = pd.DataFrame({"library_id": names[order]}, index=[f"s{i}" for i in order])
    adata = ad.AnnData(np.zeros((len(names), 1), dtype=np.float32), obs=obs)
    adata.obsm["spatial"] = rng.uniform([20, 20], [WIDTH - 20, HEIGHT - 20], (len(names), 2))
    pictures = {library: speaking_image(20 * i) for i, library in enumerate(libraries)}
    hd.pp.tile_spots(adata, size_px=SIZE, mpp=0.5, image=pictures)
    return adata, pictures


def expected(adata: ad.AnnData, pictures: dict[str, np.ndarray]) -> np.ndarray:
    """Slow: cut and average each tile by hand, found by the barcode's own row."""
    out = []
    for name in adata.obs_names:
        x, y = np.floor(adata[name].obsm["spatial"][0] - SIZE / 2 + 0.5).astype(int)
        picture = pictures[adata.obs.loc[name, "library_id"]]
        out.append(picture[y : y + SIZE, x : x + SIZE].reshape(-1, 3).mean(axis=0))
    return np.array(out)


def record(adata: ad.AnnData, key: str = "X_mean_color") -> dict:
    return adata.uns["histodecon"]["embeddings"][key]


def same_record(one: ad.AnnData, other: ad.AnnData, key: str) -> bool:
    return hash_of(record(one, key)) == hash_of(record(other, key))


def embed(adata, encoder=mean_color, **kwargs):
    return hd.pp.embed_tiles(adata, encoder, show_progress_bar=False, **kwargs)


def unchanged(adata: ad.AnnData, error: type[Exception], match: str, encoder=mean_color, **kwargs) -> None:
    before = state_of(adata)
    with pytest.raises(error, match=match):
        embed(adata, encoder, **kwargs)
    assert state_of(adata) == before


@pytest.mark.parametrize("libraries", [("A",), ("A", "B/1", "C")])
@pytest.mark.parametrize("batch_size", [None, 1, 7, 1000])
def test_every_barcode_gets_its_own_tile(libraries, batch_size):
    adata, pictures = table(libraries)
    embed(adata, image=pictures, batch_size=batch_size)
    values = adata.obsm["X_mean_color"]
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, expected(adata, pictures), rtol=1e-6)
    np.testing.assert_allclose(values[:, :2] * 2, adata.obsm["spatial"], atol=2)


def test_a_shuffled_table_keeps_its_barcodes():
    adata, pictures = table(("A", "B"))
    embed(adata, image=pictures)
    shuffled = adata[np.random.default_rng(1).permutation(adata.n_obs)].copy()
    del shuffled.obsm["X_mean_color"]
    embed(shuffled, image=pictures)
    frames = [pd.DataFrame(one.obsm["X_mean_color"], one.obs_names) for one in (adata, shuffled)]
    pd.testing.assert_frame_equal(frames[0], frames[1].loc[adata.obs_names])
    assert record(shuffled)["sources"] == record(adata)["sources"]


def test_spatialdata_and_anndata_with_an_image_agree(tmp_path):
    sdata = hd.datasets.toy_slide(n_patients=2, n_rows=5, n_cols=5)
    hd.pp.tile_spots(sdata)
    embed(sdata, "color_stats")
    table = sdata["table"]
    pixels = {f"toy_{i}": np.moveaxis(sdata.images[f"toy_{i}_image"].to_numpy(), 0, 2) for i in (1, 2)}
    import tifffile

    tifffile.imwrite(tmp_path / "b.tif", pixels["toy_2"], photometric="rgb", tile=(256, 256))
    alone = table.copy()
    del alone.obsm["X_color_stats"], alone.uns["histodecon"]["embeddings"]
    embed(alone, "color_stats", image={"toy_1": pixels["toy_1"], "toy_2": tmp_path / "b.tif"})
    np.testing.assert_array_equal(alone.obsm["X_color_stats"], table.obsm["X_color_stats"])
    assert same_record(alone, table, "X_color_stats")
    done = embed(sdata, mean_color, copy=True)
    assert "X_mean_color" in done["table"].obsm
    assert "X_mean_color" not in table.obsm


def test_the_record():
    adata, pictures = table(("A", "B/1"))
    embed(adata, image=pictures)
    found = record(adata)
    assert found["encoder"] == "mean_color"
    assert found["width"] == 3
    assert found["dtype"] == "float32"
    assert found["commercial"] is False
    assert found["version"] == hd.__version__
    assert set(found["sources"]) == {"A", "B_1"}
    assert json.loads(found["recipe"])["field_of_view"] == "16 px"
    assert json.loads(found["recipe"])["input_px"] == SIZE


def test_the_fingerprint_is_of_encoder_and_field_of_view():
    def fingerprint(encoder=mean_color, **tiling):
        adata, pictures = table()
        hd.pp.tile_spots(adata, image=pictures, **tiling)
        embed(adata, encoder, image=pictures, key_added="X")
        return record(adata, "X")["fingerprint"], record(adata, "X")["sources"]["A"]

    def other(tiles):
        return 2 * tiles.mean(axis=(1, 2))

    own, source = fingerprint(size_um=8, mpp=0.5)
    other_scale, other_source = fingerprint(size_um=8, mpp=0.25)
    assert other_scale == own
    assert other_source != source
    assert fingerprint(size_um=10, mpp=0.5)[0] != own
    assert fingerprint(other, size_um=8, mpp=0.5)[0] != own
    native, native_source = fingerprint(size_px=16, mpp=0.5)
    assert native != own  # the same pixels here, but they would not be at another scale
    assert native_source == source
    assert fingerprint(size_px=16, mpp=0.25)[0] == native


def test_a_source_digest_tells_stale_embeddings():
    adata, pictures = table()
    embed(adata, image=pictures)
    first = record(adata)["sources"]["A"]
    adata.obsm["spatial"] = adata.obsm["spatial"] + 1
    embed(adata, image=pictures)
    second = record(adata)["sources"]["A"]
    pictures["A"][:20] = 90
    hd.pp.tile_spots(adata, size_px=SIZE, mpp=0.5, image=pictures)
    embed(adata, image=pictures)
    assert len({first, second, record(adata)["sources"]["A"]}) == 3


def test_several_encoders_in_one_go(monkeypatch):
    def brightest(tiles):
        return tiles.reshape(len(tiles), -1, 3).max(axis=1)

    def corner(tiles):
        return tiles[:, 0, 0].astype(float)

    brightest.input_px, corner.input_px = SIZE, 2 * SIZE
    adata, pictures = table(("A", "B"))
    passes = []
    monkeypatch.setattr(
        images,
        "iter_tiles",
        lambda *args, _own=images.iter_tiles, **kwargs: passes.append(args[3]) or _own(*args, **kwargs),
    )
    embed(adata, [mean_color, brightest, corner], image=pictures)
    assert passes == [SIZE, 2 * SIZE] * 2  # one pass for encoders that read the same size
    single, _ = table(("A", "B"))
    for encoder in (mean_color, brightest, corner):
        embed(single, encoder, image=pictures)
        key = f"X_{encoder.__name__}"
        np.testing.assert_array_equal(adata.obsm[key], single.obsm[key])
        assert same_record(adata, single, key)


def test_tiles_are_never_all_in_memory():
    held = []

    def widest(tiles):
        held.append(tiles.nbytes)
        return mean_color(tiles)

    widest.input_px = SIZE
    adata, pictures = table(n=300)
    embed(adata, widest, image=pictures)
    assert max(held) <= 64 * SIZE * SIZE * 3


def test_mobilenet_by_name_and_by_card(shared_data):
    path = shared_data / "weights" / "mobilenetv2_100_keras_in1k_dequant.safetensors"
    recipe = {"model_kwargs": {"pad_type": "same"}, "mean": (0.5,) * 3, "std": (0.5,) * 3}
    card = hd.encoders.timm_card(
        "mobilenetv2_100", name="mobilenetv2", weights=path, interpolation="bilinear", **recipe
    )
    sdata = hd.datasets.toy_slide(n_rows=4, n_cols=4)
    hd.pp.tile_spots(sdata)
    embed(sdata, [card, "color_stats"])
    adata = sdata["table"]
    tiles = np.empty((adata.n_obs, 224, 224, 3), dtype=np.uint8)
    image = images.open_image(sdata.images["toy_1_image"])
    for rows, cut in images.iter_tiles(image, adata.obsm["spatial"], 112, 224):
        tiles[rows] = cut
    direct = hd.encoders.load_encoder(card).encode(tiles)
    np.testing.assert_allclose(adata.obsm["X_mobilenetv2"], direct, rtol=1e-4, atol=1e-4)
    assert adata.obsm["X_color_stats"].shape == (adata.n_obs, 119)
    assert record(adata, "X_mobilenetv2")["license"] == "unknown"
    assert json.loads(record(adata, "X_mobilenetv2")["recipe"])["weights_sha256"] == card.weights_sha256
    by_name = embed(sdata, ["mobilenetv2_100"], weights={"mobilenetv2_100": path}, copy=True)["table"]
    assert record(by_name, "X_mobilenetv2_100")["fingerprint"] != record(adata, "X_mobilenetv2")["fingerprint"]


def test_the_progress_bar(capsys):
    adata, pictures = table()
    hd.pp.embed_tiles(adata, mean_color, image=pictures)
    shown = capsys.readouterr().err
    assert "Embed tiles (mean_color)" in shown
    assert "40/40" in shown
    assert "tile/s" in shown or "s/tile" in shown
    embed(adata, image=pictures)
    assert capsys.readouterr().err == ""


# bad input


def test_before_tiling():
    adata, pictures = table(("A", "B"))
    del adata.uns["histodecon"]["tiles"]["B"]
    unchanged(adata, MissingKeyError, r"1 of 2: 'B'.*histodecon.pp.tile_spots\(data\)", image=pictures)


def test_without_an_image():
    adata, _ = table(("A", "B"))
    unchanged(adata, MissingKeyError, r"(?s)2 problems.*BI-106.*image=.*BI-106.*image=")


def test_another_image_than_was_tiled():
    adata, pictures = table(("A", "B"))
    seen = []
    swapped = {"A": pictures["B"], "B": pictures["A"]}
    unchanged(
        adata,
        InputError,
        "(?s)2 problems.*BI-52.*BI-52.*tile_spots",
        lambda t: seen.append(len(t)) or mean_color(t),
        image=swapped,
    )
    assert seen == [4]  # asked once what it is, and for no tile


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite(value):
    def broken(tiles):
        out = tiles.mean(axis=(1, 2))
        return np.where(out[:, :1] < 60, value, out)

    broken.input_px = SIZE
    adata, pictures = table(("A", "B"))
    unchanged(adata, InputError, r"BI-42.*'s\d+'.*pl.tiles", broken, image=pictures)


def test_a_dead_encoder():
    adata, pictures = table()
    unchanged(adata, InputError, "BI-43.*2 of 3 columns", lambda t: mean_color(t) * [1, 0, 0], image=pictures)
    embed(adata, lambda t: mean_color(t) * [1, 1, 0], image=pictures)
    assert "X_function" in adata.obsm


def test_an_encoder_that_fails_half_way():
    calls = []

    def failing(tiles):
        calls.append(len(tiles))
        if len(calls) > 2:
            msg = "half way"
            raise KeyboardInterrupt(msg)
        return mean_color(tiles)

    failing.input_px = SIZE
    adata, pictures = table(("A", "B"))
    unchanged(adata, KeyboardInterrupt, "half way", [mean_color, failing], image=pictures)


def test_a_foreign_key_is_not_overwritten():
    adata, pictures = table()
    adata.obsm["X_mean_color"] = np.zeros((adata.n_obs, 2))
    unchanged(adata, InputError, "BI-53.*overwrite=True", image=pictures)
    embed(adata, image=pictures, overwrite=True)
    assert adata.obsm["X_mean_color"].shape[1] == 3
    embed(adata, image=pictures)  # our own


def test_slides_tiled_to_different_sizes():
    adata, pictures = table(("A", "B"))
    adata.uns["histodecon"]["tiles"]["B"] |= {"size_px": 20, "size_um": 10.0}
    unchanged(adata, InputError, r"BI-16.*\b(16|20) px.*\b(16|20) px", image=pictures)


@pytest.mark.parametrize(
    ("encoder", "kwargs", "match"),
    [
        ("color_stat", {}, "BI-51.*color_stats"),
        ([], {}, "BI-51.*No encoder"),
        (mean_color, {"batch_size": 0}, "batch_size"),
        (mean_color, {"batch_size": 2.5}, "batch_size"),
        (mean_color, {"key_added": "X/y"}, "BI-67"),
        (mean_color, {"key_added": ["X_a", "X_b"]}, "1 encoders need"),
        ([mean_color, mean_color], {}, "BI-53.*key_added"),
        (["color_stats", mean_color], {"weights": "w.safetensors"}, "BI-85.*2 encoders"),
        ("color_stats", {"weights": {"colour_stats": "w.safetensors"}}, "not named.*colour_stats"),
        ("color_stats", {"weights": "w.safetensors"}, "has no weights"),
        ("resnet18", {"weights": "absent.safetensors"}, "no weight file"),
        (7, {}, "not an encoder"),
        (mean_color, {"device": "tpu"}, None),
    ],
)
def test_arguments_that_make_no_sense(encoder, kwargs, match):
    adata, pictures = table()
    if match is None:  # a function computes where it likes
        embed(adata, encoder, image=pictures, **kwargs)
        return
    unchanged(adata, InputError, match, encoder, image=pictures, **kwargs)


def test_an_empty_table_and_twins():
    adata, pictures = table()
    unchanged(adata[:0].copy(), InputError, "BI-31", image=pictures)
    adata.obs_names = ["s", *adata.obs_names[1:-1], "s"]
    unchanged(adata, InputError, "BI-04", image=pictures)


@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
def test_what_is_written_survives_files(tmp_path, suffix):
    adata, pictures = table(("A", "B/1"))
    embed(adata, image=pictures)
    getattr(adata, f"write_{suffix}")(tmp_path / f"a.{suffix}")
    back = getattr(ad, f"read_{suffix}")(tmp_path / f"a.{suffix}")
    assert state_of(back, loose=True) == state_of(adata, loose=True)
    embed(back, image=pictures)
    np.testing.assert_array_equal(back.obsm["X_mean_color"], adata.obsm["X_mean_color"])
