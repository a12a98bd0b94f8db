"""The file of an adapter: same numbers, no code, nothing damaged is read."""

from __future__ import annotations

import json
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from encoders.test_embedding_adapter import fitted  # noqa: F401 a fixture
from hypothesis import given, settings
from hypothesis import strategies as st
from planted_stain import planted

import histodecon as hd
from histodecon._core._safetensors import pack, payload_digest, read_header, read_tensors
from histodecon.encoders import EmbeddingAdapter


def test_round_trip_to_the_last_bit(fitted: EmbeddingAdapter, tmp_path: Path) -> None:  # noqa: F811
    X, *_ = planted(1.0, n_patients=4, n_spots=30)
    path = fitted.save(tmp_path / "adapter.safetensors")
    read = EmbeddingAdapter.load(path)
    np.testing.assert_array_equal(read.transform(X), fitted.transform(X))
    assert read.to_bytes() == fitted.to_bytes() == path.read_bytes()
    assert (read.sha256_, read.genes_, read.groups_) == (fitted.sha256_, fitted.genes_, fitted.groups_)
    assert read.source_ == fitted.source_


def test_names_and_files_that_are_refused(fitted: EmbeddingAdapter, tmp_path: Path) -> None:  # noqa: F811
    with pytest.raises(hd.InputError, match="BI-83"):
        fitted.save(tmp_path / "adapter.npz")
    with pytest.raises(hd.StoreError, match="FI-06"):
        EmbeddingAdapter.load(tmp_path / "absent.safetensors")
    with pytest.raises(hd.InputError, match="not fitted"):
        EmbeddingAdapter().to_bytes()
    for content in (b"PK\x03\x04rest", b"\x80\x04\x95\x10\x00\x00"):
        with pytest.raises(hd.UnsafeFileError):
            EmbeddingAdapter.from_bytes(content)
    model = hd.models.AbundanceRegressor("mean").fit(np.eye(3), np.ones((3, 2)), cell_types=["a", "b"])
    with pytest.raises(hd.IntegrityError, match="does not hold an adapter"):
        EmbeddingAdapter.from_bytes(model.to_bytes())


def _changed(content: bytes, **metadata: str) -> bytes:
    """The file with other metadata and a digest that fits."""
    old, entries, start = read_header(content, "file")
    expected = {key: (entry["dtype"], tuple(entry["shape"])) for key, entry in entries.items()}
    tensors = read_tensors(content, entries, start, expected, "file")
    new = {**old, **metadata}
    new["payload_sha256"] = payload_digest(new, tensors)
    return pack(tensors, new)


def test_headers_that_lie_are_refused(fitted: EmbeddingAdapter) -> None:  # noqa: F811
    content = fitted.to_bytes()
    facts = json.loads(read_header(content, "file")[0]["facts"])
    lies = [
        {"width": "7"},
        {"width": "many"},
        {"method": "unknown"},
        {"facts": "[]"},
        {"facts": "{"},
        {"facts": json.dumps({**facts, "params": {"bottleneck": 10**9}})},
        {"facts": json.dumps({**facts, "history": {}})},
        {"facts": json.dumps({**facts, "source": {}})},
        {"format_version": "x"},
    ]
    for lie in lies:
        with pytest.raises(hd.IntegrityError):
            EmbeddingAdapter.from_bytes(_changed(content, **lie))
    with pytest.raises(hd.ModelVersionError, match="newer"):
        EmbeddingAdapter.from_bytes(_changed(content, format_version="2"))
    assert EmbeddingAdapter.from_bytes(_changed(content)).to_bytes() == content


@cache
def small() -> bytes:
    X, _, counts, patients = planted(1.0, n_patients=2, n_spots=20)
    adapter = EmbeddingAdapter(params={"max_epochs": 2, "bottleneck": 2, "min_gain": 0.0}, n_genes=4, device="cpu")
    with warnings.catch_warnings(action="ignore"):
        return adapter.fit(X, counts, groups=patients).to_bytes()


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_no_damage_is_read(data: st.DataObject) -> None:
    content = bytearray(small())
    at = data.draw(st.integers(0, len(content) - 1))
    cut = data.draw(st.booleans())
    if cut:
        del content[at:]
    else:
        content[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(hd.HistodeconError):
        EmbeddingAdapter.from_bytes(bytes(content))
