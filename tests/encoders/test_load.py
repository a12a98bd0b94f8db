"""An encoder is loaded however it is named, where and in what it is asked to compute."""

from __future__ import annotations

import dataclasses
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_networks import DIM, LOADERS, PX, tiny_card

import histodecon as hd
from histodecon import InputError, ModelMismatchError
from histodecon.encoders import load_encoder
from histodecon.encoders._batches import CPU, FUNCTION


@pytest.mark.parametrize("loader", LOADERS)
def test_weights_from_a_file_or_a_folder(loader, tmp_path):
    card = tiny_card(loader, tmp_path)
    own = load_encoder(card, device="cpu")
    folder = tmp_path / "downloaded"
    folder.mkdir()
    shutil.copy(card.weights_file, folder / "model.safetensors")
    for weights in (folder / "model.safetensors", folder, str(folder)):
        assert load_encoder(card, weights=weights, device="cpu").fingerprint == own.fingerprint
    assert (own.batch_size, own.device, own.dtype, own.dim) == (CPU, "cpu", "float32", DIM)
    assert f"tiny_{loader}" in repr(own)
    assert "float32 on cpu" in repr(own)


def test_a_device_that_is_asked_for_is_not_left(tmp_path, monkeypatch):
    """FI-17, FI-19: "auto" may go on on the CPU, a name may not."""
    card = tiny_card("torch", tmp_path)
    assert load_encoder(card)._allow_cpu
    assert not load_encoder(card, device="cpu")._allow_cpu
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    if not torch.backends.cuda.is_built():
        with pytest.raises(InputError, match=r"FI-19.*cuda"):
            load_encoder(card, device="cuda")


def test_functions_have_no_weights_and_no_precision(tmp_path):
    encoder = load_encoder("color_stats", precision="float32")
    assert (encoder.batch_size, encoder.network, encoder.dtype) == (FUNCTION, None, "float32")
    with pytest.raises(InputError, match="BI-85"):
        load_encoder("color_stats", weights=tmp_path)
    with pytest.raises(InputError, match=r"BI-51.*precision='float16'"):
        load_encoder(lambda tiles: tiles.mean(axis=(1, 2)), precision="float16")


def test_a_precision_that_is_not_allowed_is_said_before_weights_are_read(tmp_path, monkeypatch):
    card = tiny_card("timm", tmp_path, safe_dtypes=())
    monkeypatch.setattr("histodecon.encoders._network.read_state", lambda *_, **__: pytest.fail("weights were read"))
    with pytest.raises(InputError, match=r'BI-51.*safe_dtypes=\("bfloat16",\)'):
        load_encoder(card, precision="bfloat16")


def test_precision_is_part_of_what_embed_tiles_records(tmp_path):
    sdata = hd.datasets.toy_slide(n_rows=6, n_cols=6)
    hd.pp.tile_spots(sdata)
    card, keys = tiny_card("timm", tmp_path), {"float32": "X_full", "bfloat16": "X_half"}
    for precision, key in keys.items():
        hd.pp.embed_tiles(
            sdata, card, precision=precision, key_added=key, device="cpu", cache_dir=False, show_progress_bar=False
        )
    adata = sdata["table"]
    records = adata.uns["histodecon"]["embeddings"]
    for precision, key in keys.items():
        assert f'"dtype": "{precision}"' in records[key]["recipe"]
        assert records[key]["dtype"] == precision
        assert adata.obsm[key].dtype == np.float32
    assert records["X_full"]["fingerprint"] != records["X_half"]["fingerprint"]


def test_the_center_of_larger_tiles_is_embedded(tmp_path):
    """A card with ``resize_px`` gets tiles of that size, and resamples them once."""
    sdata = hd.datasets.toy_slide(n_rows=4, n_cols=4)
    hd.pp.tile_spots(sdata)
    encoder = load_encoder(tiny_card("timm", tmp_path, resize_px=40), device="cpu")
    seen = []
    encoder.encode = lambda tiles, **_: (
        seen.append(tiles.shape[1:]) or np.random.default_rng(0).random((len(tiles), DIM))
    )
    hd.pp.embed_tiles(sdata, encoder, cache_dir=False, show_progress_bar=False)
    assert set(seen) == {(40, 40, 3)}
    assert (encoder.input_px, encoder.resize_px) == (PX, 40)


def test_an_encoder_is_returned_as_it_is(tmp_path):
    encoder = load_encoder(tiny_card("torch", tmp_path))
    assert load_encoder(encoder) is encoder
    with pytest.raises(InputError, match=r"BI-51.*A list is not an encoder"):
        load_encoder([encoder])


@pytest.mark.parametrize("loader", ["timm", "torch"])
def test_a_network_is_pickled_as_the_way_it_was_loaded(tmp_path, monkeypatch, loader):
    card = tiny_card(loader, tmp_path)
    monkeypatch.chdir(tmp_path)
    local = Path(card.weights_file).relative_to(tmp_path)  # means something in this folder only
    encoder = load_encoder(dataclasses.replace(card, weights_file=None), weights=local, device="cpu")
    content = pickle.dumps(encoder)
    assert len(content) < 4000  # not the weights
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    again = pickle.loads(content)
    tiles = np.random.default_rng(0).integers(0, 256, (5, PX, PX, 3), dtype=np.uint8)
    np.testing.assert_array_equal(again.encode(tiles), encoder.encode(tiles))
    assert again.card == encoder.card


def test_a_pickled_network_keeps_to_its_precision_and_to_its_weights(tmp_path):
    card = tiny_card("timm", tmp_path, safe_dtypes=("bfloat16",))
    content = pickle.dumps(load_encoder(card, device="cpu", precision="bfloat16"))
    assert pickle.loads(content).dtype == "bfloat16"
    path = Path(card.weights_file)
    changed = bytearray(path.read_bytes())
    changed[-1] ^= 1
    path.write_bytes(changed)
    with pytest.raises(ModelMismatchError, match="BI-85"):
        pickle.loads(content)


def test_functions_are_pickled_with_their_cards():
    encoder = load_encoder("color_stats")
    again = pickle.loads(pickle.dumps(encoder))
    assert again.card == encoder.card
    tiles = np.full((2, 224, 224, 3), 200, dtype=np.uint8)
    np.testing.assert_array_equal(again.encode(tiles), encoder.encode(tiles))
