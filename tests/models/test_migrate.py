"""Older files become new ones, bit-equal in what they predict; newer ones are left alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

import histodecon as hd
from histodecon._core._safetensors import pack, payload_digest, read_header
from histodecon.models import AbundanceRegressor, migrate
from histodecon.models._model_header import FORMAT_VERSION

GOLDEN = Path(__file__).parent / "golden"
OLD = "ridge_1_0.safetensors"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return Path(shutil.copy(GOLDEN / OLD, tmp_path))


def version_of(path: Path) -> str:
    return read_header(path.read_bytes(), path.name)[0]["format_version"]


@pytest.mark.parametrize("learner", ["mean", "ridge", "mlp"])
def test_an_older_file_is_written_anew(learner: str, tmp_path: Path) -> None:
    old = GOLDEN / f"{learner}_1_0.safetensors"
    new = migrate(old, to=tmp_path / "new.safetensors")
    assert (version_of(old), version_of(new)) == ("1.0", FORMAT_VERSION)
    X = np.array(json.loads((GOLDEN / "answers_1_0.json").read_text())["X"], dtype=np.float32)
    before, after = AbundanceRegressor.load(old), AbundanceRegressor.load(new)
    np.testing.assert_array_equal(after.predict(X), before.predict(X))
    assert after.encoders_ == before.encoders_
    assert after.training_ == before.training_


def test_in_place_and_once(old: Path) -> None:
    assert migrate(str(old)) == old
    assert version_of(old) == FORMAT_VERSION
    content, changed = old.read_bytes(), old.stat().st_mtime_ns
    assert migrate(old) == old
    assert (old.read_bytes(), old.stat().st_mtime_ns) == (content, changed)
    assert list(old.parent.iterdir()) == [old]


def test_a_new_file_elsewhere(old: Path) -> None:
    migrate(old)
    other = migrate(old, to=old.with_name("other.safetensors"))
    assert other.read_bytes() == old.read_bytes()


@pytest.mark.parametrize(("version", "requires"), [("2.0", "[]"), ("1.99", "[]"), ("1.1", '["more"]')])
def test_a_newer_file_is_left_alone(old: Path, version: str, requires: str) -> None:
    """BI-77."""
    content = old.read_bytes()
    metadata = read_header(content, "model")[0] | {"format_version": version, "requires": requires}
    tensors = safetensors.numpy.load(content)
    metadata["payload_sha256"] = payload_digest(metadata, tensors)
    newer = pack(tensors, metadata)
    old.write_bytes(newer)
    with pytest.raises(hd.ModelVersionError, match=r"BI-77.*pip install -U histodecon"):
        migrate(old)
    assert old.read_bytes() == newer


def test_a_damaged_file_is_left_alone(old: Path) -> None:
    damaged = old.read_bytes()[:-1] + b"\x01"
    old.write_bytes(damaged)
    with pytest.raises(hd.IntegrityError, match="sha256"):
        migrate(old)
    assert old.read_bytes() == damaged


def test_what_is_no_model_file(tmp_path: Path) -> None:
    with pytest.raises(hd.StoreError, match="FI-06"):
        migrate(tmp_path / "absent.safetensors")
    pickled = tmp_path / "model.safetensors"
    pickled.write_bytes(b"\x80\x04" + b"x" * 20)
    with pytest.raises(hd.UnsafeFileError, match="BI-83"):
        migrate(pickled)
    with pytest.raises(hd.InputError, match="safetensors"):
        migrate(GOLDEN / OLD, to=tmp_path / "model.pkl")
