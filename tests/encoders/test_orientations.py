"""The mean over the eight orientations of a tile: what tissue does not tell apart, the embedding does not."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import histodecon as hd
from histodecon import InputError, ModelMismatchError
from histodecon._core import import_timm
from histodecon.encoders import EncoderCard, load_encoder
from histodecon.encoders._encoder import orientations

SIZE = 12


def corner(tiles):
    """Not symmetric at all."""
    return tiles[:, : SIZE // 3, : SIZE // 2].reshape(len(tiles), -1, 3).mean(axis=1)


corner.input_px = SIZE


def drawn(n: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, SIZE, SIZE, 3), dtype=np.uint8)


def test_there_are_eight_and_each_once():
    tile = np.arange(SIZE * SIZE * 3, dtype=np.int64).reshape(1, SIZE, SIZE, 3)
    views = list(orientations(tile))
    assert np.array_equal(views[0], tile)
    assert len({view.tobytes() for view in views}) == 8
    again = {turned.tobytes() for view in views for turned in orientations(view)}
    assert again == {view.tobytes() for view in views}  # a group


def test_the_mean_of_a_slow_loop():
    tiles = drawn()
    got = load_encoder(corner, orientations=8).encode(tiles)
    want = []
    for tile in tiles:
        views = [np.rot90(one, k) for one in (tile, tile[::-1]) for k in range(4)]
        want.append(np.mean([corner(view[None].copy())[0] for view in views], axis=0))
    np.testing.assert_allclose(got, want, rtol=1e-6)
    assert not np.allclose(got, corner(tiles))
    assert got.dtype == np.float32


@settings(max_examples=20, deadline=None)
@given(turn=st.integers(0, 7), seed=st.integers(0, 99), batch_size=st.sampled_from([1, 2, None]))
def test_orientation_does_not_matter(turn, seed, batch_size):
    encoder, tiles = load_encoder(corner, orientations=8), drawn(seed=seed)
    turned = list(orientations(tiles))[turn]
    np.testing.assert_allclose(encoder.encode(turned, batch_size=batch_size), encoder.encode(tiles), rtol=1e-6)


def test_a_network(tmp_path):
    timm = import_timm()
    from safetensors.torch import save_file

    torch.manual_seed(0)
    model = timm.create_model("test_vit", pretrained=False, num_classes=0)
    path = tmp_path / "w.safetensors"
    save_file(model.state_dict(), path)
    card = hd.encoders.timm_card("test_vit", weights=path)
    plain, mean = load_encoder(card, weights=path), load_encoder(card, weights=path, orientations=8)
    assert plain.fingerprint != mean.fingerprint
    assert (plain.card.orientations, mean.card.orientations) == (None, 8)
    tiles = np.random.default_rng(0).integers(0, 256, (2, 200, 200, 3), dtype=np.uint8)  # resampled first
    want = np.mean([plain.encode(view) for view in orientations(tiles)], axis=0)
    np.testing.assert_allclose(mean.encode(tiles), want, atol=1e-6)
    remade = pickle.loads(pickle.dumps(mean))
    assert remade.fingerprint == mean.fingerprint
    np.testing.assert_array_equal(remade.encode(tiles), mean.encode(tiles))


@pytest.mark.parametrize("wrong", [2, 0, -8, 8.5, "8"])
def test_other_numbers_answer(wrong):
    with pytest.raises(InputError, match="orientations"):
        load_encoder(corner, orientations=wrong)


def test_a_loaded_encoder_is_not_turned_in_silence():
    plain, mean = load_encoder(corner), load_encoder(corner, orientations=8)
    with pytest.raises(InputError, match="as they lie"):
        load_encoder(plain, orientations=8)
    assert load_encoder(mean, orientations=8) is mean
    assert load_encoder(mean) is mean


def test_a_card_says_how_it_is_used():
    card = EncoderCard(**{**load_encoder(hd.encoders.get_encoder_card("color_stats")).card.__dict__, "orientations": 8})
    assert load_encoder(card).fingerprint == load_encoder("color_stats", orientations=8).fingerprint


def test_a_model_refuses_embeddings_made_the_other_way():
    sdata = hd.datasets.toy_slide(n_rows=6, n_cols=6)
    hd.pp.tile_spots(sdata)
    adata = sdata["table"]
    hd.tl.set_targets(adata, "true_abundance")
    hd.pp.embed_tiles(sdata, "color_stats", orientations=8, show_progress_bar=False)
    record = adata.uns["histodecon"]["embeddings"]["X_color_stats"]
    assert json.loads(record["recipe"])["orientations"] == 8
    model = hd.tl.train_regressor(adata, use_rep="X_color_stats", learner="ridge", show_progress_bar=False)
    hd.pp.embed_tiles(sdata, "color_stats", show_progress_bar=False)
    assert "orientations" not in json.loads(adata.uns["histodecon"]["embeddings"]["X_color_stats"]["recipe"])
    with pytest.raises(ModelMismatchError):
        hd.tl.predict_abundance(adata, model)
