"""Weight files are looked at before they are opened; nothing in them runs."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from histodecon import IntegrityError, MissingKeyError, ModelMismatchError, UnsafeFileError
from histodecon.encoders._weights import read_state, sha256_of

STATE = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(4, dtype=torch.int64)}


class Bomb:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


def same(state) -> bool:
    return set(state) == set(STATE) and all(torch.equal(state[key], STATE[key]) for key in STATE)


@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: {"state_dict": s, "epoch": 3}, lambda s: {"model": s}])
def test_torch_files_of_tensors(tmp_path, wrap):
    torch.save(wrap(STATE), tmp_path / "w.bin")
    state, sha = read_state(tmp_path / "w.bin")
    assert same(state)
    assert sha == hashlib.sha256((tmp_path / "w.bin").read_bytes()).hexdigest()


def test_safetensors_and_its_digest(tmp_path):
    save_file(STATE, tmp_path / "w.safetensors")
    sha = sha256_of(tmp_path / "w.safetensors")
    assert same(read_state(tmp_path / "w.safetensors", sha256=sha)[0])
    with pytest.raises(ModelMismatchError, match="BI-85"):
        read_state(tmp_path / "w.safetensors", sha256="0" * 64)


@pytest.mark.parametrize("legacy", [True, False])
def test_pickles_do_not_run(tmp_path, legacy):
    marker = tmp_path / "ran"
    torch.save({"a": Bomb(marker)}, tmp_path / "w.pth", _use_new_zipfile_serialization=not legacy)
    with pytest.raises(UnsafeFileError, match="BI-83"):
        read_state(tmp_path / "w.pth")
    assert not marker.exists()


def test_a_bare_pickle_does_not_run(tmp_path):
    marker = tmp_path / "ran"
    (tmp_path / "w.bin").write_bytes(pickle.dumps(Bomb(marker)))
    with pytest.raises((UnsafeFileError, IntegrityError)):
        read_state(tmp_path / "w.bin")
    assert not marker.exists()


def test_the_digest_is_compared_before_opening(tmp_path):
    torch.save({"a": Bomb(tmp_path / "ran")}, tmp_path / "w.pth")
    with pytest.raises(ModelMismatchError, match="BI-85"):
        read_state(tmp_path / "w.pth", sha256="0" * 64)


@pytest.mark.parametrize("suffix", [".pkl", ".joblib", ".npz", ".h5", ""])
def test_other_names_are_refused(tmp_path, suffix):
    path = tmp_path / f"w{suffix}"
    path.write_bytes(b"anything")
    with pytest.raises(UnsafeFileError, match="BI-83"):
        read_state(path)


@pytest.mark.parametrize("suffix", [".safetensors", ".bin"])
@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "Git LFS pointer"),
        (b"\n<!DOCTYPE html><html></html>", "web page"),
        (b"\x00" * 100, "BI-79"),
        (b"garbage that is no weights at all, and long enough", "BI-79"),
    ],
)
def test_files_that_are_no_weights(tmp_path, suffix, content, match):
    path = tmp_path / f"w{suffix}"
    path.write_bytes(content)
    with pytest.raises(IntegrityError, match=match):
        read_state(path)


@pytest.mark.parametrize("suffix", [".safetensors", ".bin"])
def test_cut_off_files(tmp_path, suffix):
    path = tmp_path / f"w{suffix}"
    save_file(STATE, path) if suffix == ".safetensors" else torch.save(STATE, path)
    whole = path.read_bytes()
    for size in range(1, len(whole) - 1, 7):
        path.write_bytes(whole[:size])
        with pytest.raises(IntegrityError, match=r"BI-79|BI-84"):
            read_state(path)
    path.write_bytes(whole[:-3])
    if suffix == ".safetensors":
        with pytest.raises(IntegrityError, match=f"{len(whole) - 3} bytes where {len(whole)} are declared"):
            read_state(path)


def test_numbers_that_are_not_finite(tmp_path):
    save_file({**STATE, "c": torch.tensor([1.0, float("nan")])}, tmp_path / "w.safetensors")
    with pytest.raises(IntegrityError, match=r"BI-82.*1 of 3 tensors: c"):
        read_state(tmp_path / "w.safetensors")


def test_files_that_are_absent_or_hold_something_else(tmp_path):
    with pytest.raises(MissingKeyError, match="no weight file"):
        read_state(tmp_path / "absent.safetensors")
    torch.save([1, 2, 3], tmp_path / "w.bin")
    with pytest.raises(IntegrityError, match="BI-84"):
        read_state(tmp_path / "w.bin")
