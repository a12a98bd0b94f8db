"""A worker opens an image and loads an encoder once, and drops them when another run wants others."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from tiny_networks import tiny_card

from histodecon import InputError, images
from histodecon.encoders import load_encoder
from histodecon.pp import _encode_shard
from histodecon.pp._encode_shard import Picture, close_pictures, encode_shard
from histodecon.pp._passes import Pass

N, PX = 100, 32
RNG = np.random.default_rng(0)
PIXELS = RNG.integers(60, 220, (300, 400, 3), dtype=np.uint8)
CENTERS = RNG.uniform(40, 260, (N, 2))
CENTERS = CENTERS[images.tile_order(images.open_image(PIXELS), CENTERS, PX, PX)]
NAMES = pd.Index([f"spot_{i}" for i in range(N)])
PLAN = Pass(None, np.arange(N), CENTERS, PX, PX, "bicubic", (), ())


@pytest.fixture(autouse=True)
def _nothing_is_held(monkeypatch):
    monkeypatch.setattr(_encode_shard, "_encoders", {})
    monkeypatch.setattr(_encode_shard, "_pictures", [])


def picture(key: str = "run-0") -> Picture:
    return Picture(key, images.open_image(PIXELS).digest(), "memory")


def test_rows_are_those_of_the_encoder(tmp_path) -> None:
    encoders = [load_encoder(tiny_card(loader, tmp_path), device="cpu") for loader in ("timm", "torch")]
    pickled = [pickle.dumps(one) for one in encoders]
    values, told = encode_shard("run", PLAN, NAMES, picture(), pickle.dumps(PIXELS), pickled, None)
    image = images.open_image(PIXELS)
    corners = images.tile_boxes(CENTERS, PX)
    tiles = np.stack([image.read(x, y, PX, PX) for x, y in corners])
    for one, rows in zip(encoders, values, strict=True):
        np.testing.assert_array_equal(rows, one.encode(tiles))
    assert told == []


def test_an_encoder_is_loaded_once_and_dropped_for_another_run(tmp_path) -> None:
    first, second = (pickle.dumps(load_encoder(tiny_card(one, tmp_path), device="cpu")) for one in ("timm", "torch"))
    loaded = _encode_shard._load("a", first)
    assert _encode_shard._load("a", first) is loaded
    assert _encode_shard._load("b", first) is loaded  # the next run may want the same
    both = _encode_shard._load("b", second)
    assert [one for _, one in _encode_shard._encoders.values()] == [loaded, both]
    assert [_encode_shard._load("c", second)] == [both]
    _encode_shard._encoders.pop(next(key for key, (_, one) in _encode_shard._encoders.items() if one is loaded))
    _encode_shard._load("d", first)
    assert len(_encode_shard._encoders) == 1


def test_an_image_stays_open_until_its_run_is_over() -> None:
    with _encode_shard._borrowed(picture(), PIXELS) as image, _encode_shard._borrowed(picture(), PIXELS) as other:
        assert image is not other  # a thread has its own
    with _encode_shard._borrowed(picture(), PIXELS) as again:
        assert again in (image, other)
    with _encode_shard._borrowed(picture("run-1"), PIXELS):
        pass
    assert [key for key, _ in _encode_shard._pictures] == ["run-1"]
    close_pictures("another")
    assert len(_encode_shard._pictures) == 1
    close_pictures("run")
    assert _encode_shard._pictures == []


def test_another_image_is_refused() -> None:
    with (
        pytest.raises(InputError, match=r"\[HD-BI-52\] A worker finds another image"),
        _encode_shard._borrowed(picture(), PIXELS[::-1]),
    ):
        pass
    assert _encode_shard._pictures == []


def test_a_function_that_the_worker_does_not_have() -> None:
    absent = b"cno_such_module\nfunction\n."
    with pytest.raises(InputError, match=r"\[HD-BI-51\].*no_such_module.*register_pickle_by_value"):
        _encode_shard._load("a", absent)
