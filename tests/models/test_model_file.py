"""One file: bit-equal after a round trip, readable by the safetensors package, refused whenever a byte is wrong."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st
from learner_material import SMALL, needs

import histodecon as hd
from histodecon._core._safetensors import MAX_HEADER_BYTES, pack, read_header
from histodecon.models import TRANSFORMS, AbundanceRegressor, EncoderRecord, get_learner, list_learners
from histodecon.models._model_file import dump
from histodecon.models._model_header import FORMAT_VERSION

GOLDEN = Path(__file__).parent / "golden"
LEARNERS = list(list_learners().index)
TYPES = ["T cell", "CAFs MSC/iCAF-like", "αβ CD4+"]


def predicted(model: AbundanceRegressor, X: np.ndarray) -> np.ndarray:
    return model.predict(X, **needs(model.learner_, len(X), TYPES, predicting=True))


def fitted(learner: str = "ridge", transform: str = "none") -> AbundanceRegressor:
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(40, 5)).astype(np.float32), rng.gamma(2, size=(40, 3))
    records = [EncoderRecord("X_a", "a", 2, "f" * 64, "MIT", commercial=True), EncoderRecord("X_b", "b", 3)]
    params = SMALL.get(learner)
    regressor = AbundanceRegressor(learner, params=params, transform=transform, device="cpu", random_state=7)
    told = needs(learner, 40, TYPES)
    return regressor.fit(X, Y, groups=np.arange(40) % 2, encoders=records, cell_types=TYPES, **told)


@pytest.fixture(scope="module")
def content() -> bytes:
    return fitted().to_bytes()


X_NEW = np.random.default_rng(5).normal(size=(11, 5)).astype(np.float32)


@pytest.mark.parametrize("learner", LEARNERS)
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_saved_and_loaded_predicts_the_same_bits(learner: str, transform: str, tmp_path) -> None:
    regressor = fitted(learner, "none" if get_learner(learner).cls.absolute else transform)
    path = regressor.save(tmp_path / "model.safetensors")
    again = AbundanceRegressor.load(path)
    np.testing.assert_array_equal(predicted(again, X_NEW), predicted(regressor, X_NEW))
    assert again.cell_types_ == tuple(TYPES)
    assert again.encoders_ == regressor.encoders_
    assert again.kind_ == regressor.kind_
    assert json.dumps(again.history_, sort_keys=True) == json.dumps(regressor.history_, sort_keys=True)
    assert again.training_ == regressor.training_
    assert again.to_bytes() == path.read_bytes() == regressor.to_bytes()


def test_the_safetensors_package_reads_it(content: bytes) -> None:
    tensors = safetensors.numpy.load(content)
    assert tensors["learner.coefficients"].shape == (5, 3)
    metadata = read_header(content, "model")[0]
    assert metadata["format"] == "histodecon-model"
    assert metadata["format_version"] == FORMAT_VERSION
    assert [record["name"] for record in json.loads(metadata["encoders"])] == ["a", "b"]
    assert json.loads(metadata["commercial"]) is False


def test_the_file_is_replaced_whole_or_not_at_all(tmp_path) -> None:
    path = tmp_path / "model.safetensors"
    fitted().save(path)
    before = path.read_bytes()
    with pytest.raises(hd.StoreError):
        fitted().save(tmp_path / "absent" / "model.safetensors")
    assert path.read_bytes() == before
    assert [item.name for item in tmp_path.iterdir()] == ["model.safetensors"]
    with pytest.raises(hd.InputError, match="safetensors"):
        fitted().save(tmp_path / "model.pkl")


def test_every_truncation_is_refused(content: bytes) -> None:
    for length in [*range(0, len(content), 37), len(content) - 1]:
        with pytest.raises(hd.IntegrityError):
            AbundanceRegressor.from_bytes(content[:length])
    with pytest.raises(hd.IntegrityError):
        AbundanceRegressor.from_bytes(content + b"\0")


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_every_flipped_bit_is_refused(content: bytes, data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(content) - 1))
    bit = data.draw(st.integers(0, 7))
    damaged = bytearray(content)
    damaged[position] ^= 1 << bit
    try:
        again = AbundanceRegressor.from_bytes(bytes(damaged))
    except hd.ModelError:
        return
    # what is left is JSON that reads the same, such as one kind of white space for another
    assert again.to_bytes() == content


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_garbage_is_refused_in_our_own_words(garbage: bytes) -> None:
    with pytest.raises(hd.ModelError):
        AbundanceRegressor.from_bytes(garbage)


def edited(content: bytes, **changes: str) -> bytes:
    """The same file with other metadata and a digest that fits it again."""
    metadata = read_header(content, "model")[0] | changes
    tensors = safetensors.numpy.load(content)
    from histodecon._core._safetensors import payload_digest

    metadata["payload_sha256"] = payload_digest(metadata, tensors)
    return pack(tensors, metadata)


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"format_version": "2.0"}, hd.ModelVersionError, "BI-77"),
        ({"requires": '["conformal"]'}, hd.ModelVersionError, "conformal"),
        ({"format_version": ""}, hd.IntegrityError, "no format version"),
        ({"format": "other"}, hd.IntegrityError, "not a histodecon model"),
        ({"requires": '{"parts": 1}'}, hd.IntegrityError, "not a list"),
        ({"requires": "[[1]]"}, hd.ModelVersionError, "BI-77"),
        ({"learner": "forest"}, hd.ModelVersionError, r"BI-77.*forest.*knows.*ridge.*registers"),
        ({"commercial": "true"}, hd.IntegrityError, "commercial"),
        ({"params": '{"strength": -1}'}, hd.IntegrityError, "strength"),
        ({"params": "[1"}, hd.IntegrityError, "cannot be read"),
        ({"cell_types": "[]"}, hd.IntegrityError, "cell types"),
        ({"cell_types": '["a", "a", "b"]'}, hd.IntegrityError, "cell types"),
        ({"cell_types": '["a", "b"]'}, hd.IntegrityError, "declared model"),
        ({"kind": "share"}, hd.IntegrityError, "kind"),
        ({"encoders": "[]"}, hd.IntegrityError, "no width"),
        ({"encoders": '[{"key": "X", "width": -1}]'}, hd.IntegrityError, "no width"),
        ({"encoders": '[{"width": 1}]'}, hd.IntegrityError, "cannot be read"),
        ({"encoders": '[{"key": "X", "width": 5000}]'}, hd.IntegrityError, "declared model"),
        ({"random_state": "{}"}, hd.IntegrityError, "random_state"),
        ({"learner": "mlp", "params": "{}"}, hd.IntegrityError, "declared model"),
    ],
)
def test_a_file_that_contradicts_itself_is_refused(
    content: bytes, changes: dict[str, str], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        AbundanceRegressor.from_bytes(edited(content, **changes))


def test_unknown_entries_of_the_same_format_are_ignored(content: bytes) -> None:
    again = AbundanceRegressor.from_bytes(edited(content, format_version="1.7", note="from the future"))
    assert again.cell_types_ == tuple(TYPES)


def test_a_shape_turned_round_is_refused(content: bytes) -> None:
    turned = content.replace(b'"shape":[5,3]', b'"shape":[3,5]')
    assert turned != content
    with pytest.raises(hd.IntegrityError, match="coefficients"):
        AbundanceRegressor.from_bytes(turned)


def test_values_that_are_not_finite_are_neither_read_nor_written(content: bytes) -> None:
    regressor = fitted()
    regressor.learner_.coefficients_[0, 0] = np.nan
    with pytest.raises(hd.IntegrityError, match="BI-82"):
        dump(regressor)
    tensors = safetensors.numpy.load(content)
    tensors["learner.coefficients"][0, 0] = np.nan
    metadata = read_header(content, "model")[0]
    from histodecon._core._safetensors import payload_digest

    metadata["payload_sha256"] = payload_digest(metadata, tensors)
    with pytest.raises(hd.IntegrityError, match="BI-82"):
        AbundanceRegressor.from_bytes(pack(tensors, metadata))


class Bomb:
    def __reduce__(self) -> tuple:
        return pytest.fail, ("a model file ran code",)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_pickles_never_run(protocol: int, tmp_path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(pickle.dumps(Bomb(), protocol=protocol))
    with pytest.raises(hd.UnsafeFileError, match="BI-83"):
        AbundanceRegressor.load(path)


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin", ".pkl", ".joblib", ".ckpt"])
def test_formats_that_can_run_code_are_refused_by_name(suffix: str, content: bytes, tmp_path) -> None:
    path = tmp_path / f"model{suffix}"
    path.write_bytes(content)
    with pytest.raises(hd.UnsafeFileError, match="BI-83"):
        AbundanceRegressor.load(path)


@pytest.mark.parametrize(
    ("beginning", "words"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "LFS pointer"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"", "empty"),
        ((MAX_HEADER_BYTES + 1).to_bytes(8, "little") + b"{}", "not a safetensors file"),
        ((2).to_bytes(8, "little") + b"[]", "table of tensors"),
        ((10_000).to_bytes(8, "little") + b"{}", "cut off"),
        ((60_000).to_bytes(8, "little") + b"[" * 60_000, "cannot be read"),
    ],
)
def test_what_is_no_model_is_called_what_it_is(beginning: bytes, words: str) -> None:
    with pytest.raises(hd.IntegrityError, match=words):
        AbundanceRegressor.from_bytes(beginning)


def test_an_absent_file(tmp_path) -> None:
    with pytest.raises(hd.StoreError, match=r"model\.safetensors"):
        AbundanceRegressor.load(tmp_path / "model.safetensors")


@pytest.mark.parametrize("learner", ["mean", "ridge", "mlp"])
def test_files_of_format_1_0_are_read_for_good(learner: str) -> None:
    """Written once by the first version; never to be written again."""
    answers = json.loads((GOLDEN / "answers_1_0.json").read_text())
    again = AbundanceRegressor.load(GOLDEN / f"{learner}_1_0.safetensors")
    assert again.cell_types_ == ("T cell", "CAFs MSC/iCAF-like", "αβ")
    found = again.predict(np.array(answers["X"], dtype=np.float32))
    np.testing.assert_allclose(found, answers[learner], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("learner", ["mean", "ridge", "mlp", "context", "ensemble"])
def test_files_of_format_1_1_are_read_for_good(learner: str) -> None:
    """Written once by the version that brought parts and neighbors; never to be written again."""
    answers = json.loads((GOLDEN / "answers_1_1.json").read_text())
    again = AbundanceRegressor.load(GOLDEN / f"{learner}_1_1.safetensors")
    assert again.cell_types_ == ("T cell", "CAFs MSC/iCAF-like", "αβ")
    assert [record.repo for record in again.encoders_] == ["lab/a", None]
    assert again.encoders_[1].mpp == (0.5, 0.51)
    assert "Not for commercial use, which b does not permit" in again.license_notice_
    found = predicted(again, np.array(answers["X"], dtype=np.float32))
    np.testing.assert_allclose(found, answers[learner], rtol=1e-6, atol=1e-6)


def test_parts_of_format_1_1_are_read_for_good() -> None:
    answers = json.loads((GOLDEN / "answers_1_1.json").read_text())
    X = np.array(answers["X"], dtype=np.float32)
    again = AbundanceRegressor.load(GOLDEN / "ridge_1_1.safetensors")
    np.testing.assert_allclose(again.novelty_.score(X), answers["novelty"], rtol=1e-6)
    for found, side in zip(again.calibration_.interval(again.predict(X), 0.9), ("lower", "upper"), strict=True):
        np.testing.assert_allclose(found, answers[side], rtol=1e-6, atol=1e-6)
    frame = again.reliability_.to_frame()
    assert frame["verdict"].tolist() == answers["verdicts"]
    np.testing.assert_allclose(frame["cc"], answers["cc"], rtol=1e-9)
