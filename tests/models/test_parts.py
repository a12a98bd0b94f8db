"""Parts come back to the last bit, belong to their model, and unknown ones are left out aloud."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pytest
import safetensors.numpy

import histodecon as hd
from histodecon._core._safetensors import pack, payload_digest, read_header
from histodecon.models import (
    AbundanceRegressor,
    ConformalIntervals,
    EncoderRecord,
    NoveltyScore,
    ReliabilityCard,
    _parts,
)
from histodecon.models._parts import PARTS, PartKind, declare, parts_of

TYPES = ["T cell", "αβ"]
RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 5)).astype(np.float32)
Y = RNG.gamma(2, size=(60, 2)) + np.abs(X[:, :2])
GROUPS = np.arange(60) % 4


def fitted() -> AbundanceRegressor:
    records = [EncoderRecord("X_a", "a", 2, "f" * 64, "MIT", commercial=True), EncoderRecord("X_b", "b", 3)]
    model = AbundanceRegressor("ridge").fit(X, Y, groups=GROUPS, encoders=records, cell_types=TYPES)
    model.calibration_ = ConformalIntervals.fit(Y, model.predict(X), GROUPS)
    model.novelty_ = NoveltyScore.fit(X, groups=GROUPS, widths=[2, 3])
    model.reliability_ = ReliabilityCard.fit(Y, model.predict(X), GROUPS, cell_types=TYPES)
    return model


@pytest.fixture(scope="module")
def model() -> AbundanceRegressor:
    return fitted()


@pytest.fixture(scope="module")
def content(model: AbundanceRegressor) -> bytes:
    return model.to_bytes()


def edited(content: bytes, tensors: Mapping[str, np.ndarray] | None = None, **changes: str) -> bytes:
    """The same file with other metadata and tensors, and a digest that fits it again."""
    metadata = read_header(content, "model")[0] | changes
    tensors = safetensors.numpy.load(content) if tensors is None else tensors
    metadata["payload_sha256"] = payload_digest(metadata, dict(tensors))
    return pack(tensors, metadata)


def parts_in(content: bytes) -> dict:
    return json.loads(read_header(content, "model")[0]["parts"])


def test_parts_come_back_to_the_last_bit(model: AbundanceRegressor, content: bytes) -> None:
    again = AbundanceRegressor.from_bytes(content)
    assert set(parts_of(again)) == set(PARTS) == {"calibration", "novelty", "reliability"}
    np.testing.assert_array_equal(again.novelty_.score(X + 1), model.novelty_.score(X + 1))
    for one, other in zip(again.calibration_.interval(Y), model.calibration_.interval(Y), strict=True):
        np.testing.assert_array_equal(one, other)
    assert str(again.reliability_) == str(model.reliability_)
    assert again.to_bytes() == content


def test_a_model_without_parts_has_none_and_asks_for_nothing(model: AbundanceRegressor) -> None:
    bare = AbundanceRegressor("mean").fit(X, Y)
    metadata = read_header(bare.to_bytes(), "model")[0]
    assert json.loads(metadata["requires"]) == []
    assert json.loads(metadata["parts"]) == {}
    assert parts_of(AbundanceRegressor.from_bytes(bare.to_bytes())) == {}


def test_one_part_alone(model: AbundanceRegressor) -> None:
    bare = AbundanceRegressor("mean").fit(X, Y)
    bare.novelty_ = NoveltyScore.fit(X)
    again = AbundanceRegressor.from_bytes(bare.to_bytes())
    assert set(parts_of(again)) == {"novelty"}
    assert again.calibration_ is None


def test_readers_of_1_0_are_told_that_they_are_too_old(content: bytes) -> None:
    """They refuse whatever stands in `requires`."""
    assert json.loads(read_header(content, "model")[0]["requires"]) == ["parts"]


@dataclass
class Tiny:
    """The smallest part there is."""

    value: np.ndarray
    kind = "tiny"

    def facts(self) -> dict:
        return {"n": len(self.value)}

    def arrays(self) -> dict:
        return {"value": self.value}

    @classmethod
    def from_parts(cls, facts: Mapping, arrays: Mapping) -> Tiny:
        if arrays["value"].shape != (facts["n"],):
            msg = "not as declared"
            raise hd.IntegrityError(msg)
        return cls(arrays["value"])


def test_a_part_of_a_newer_version_is_left_out_aloud(
    model: AbundanceRegressor, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries, tensors = declare({"drift": Tiny(np.arange(3.0))})
    newer = edited(content, safetensors.numpy.load(content) | tensors, parts=json.dumps(parts_in(content) | entries))
    with pytest.warns(hd.HistodeconWarning, match=r"BI-77.*drift \(tiny\)"):
        again = AbundanceRegressor.from_bytes(newer)
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    assert set(parts_of(again)) == {"calibration", "novelty", "reliability"}
    monkeypatch.setitem(_parts.PARTS, "drift", PartKind(Tiny, lambda part, records, types: True))
    np.testing.assert_array_equal(AbundanceRegressor.from_bytes(newer).drift_.value, np.arange(3.0))


def test_a_known_part_of_a_newer_kind_is_left_out_aloud(content: bytes) -> None:
    entries = parts_in(content)
    entries["novelty"]["kind"] = "energy"
    with pytest.warns(hd.HistodeconWarning, match=r"BI-77.*novelty \(energy\)"):
        again = AbundanceRegressor.from_bytes(edited(content, parts=json.dumps(entries)))
    assert again.novelty_ is None
    assert again.calibration_ is not None


def change(entries: dict, part: str, **changes: object) -> dict:
    return entries | {part: entries[part] | changes}


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda e: [], "not a table"),
        (lambda e: e | {"novelty": 1}, "not declared"),
        (lambda e: change(e, "novelty", kind=3), "not declared"),
        (lambda e: change(e, "novelty", shapes={"limit": "x"}), "without a shape"),
        (lambda e: change(e, "novelty", shapes={"limit": [-1]}), "without a shape"),
        (lambda e: change(e, "novelty", shapes={"limit": [True]}), "without a shape"),
        (lambda e: change(e, "novelty", shapes={"limit": [1] * 5}), "without a shape"),
        (lambda e: change(e, "novelty", shapes={"limit": [1]}), "not those of the declared model"),
        (lambda e: {name: entry for name, entry in e.items() if name != "novelty"}, "not those of the declared model"),
        (lambda e: change(e, "novelty", facts={}), "novelty score.*cannot be read"),
        (lambda e: change(e, "reliability", facts={"cell_types": ["B", "αβ"], "nominal": 0.9}), "another model"),
        (lambda e: e | {"learner": e["novelty"]}, "a name that no part can have"),
        (lambda e: e | {"a.b": e["novelty"]}, "a name that no part can have"),
    ],
)
def test_parts_that_contradict_themselves_are_refused(content: bytes, edit, words: str) -> None:
    with pytest.raises(hd.IntegrityError, match=words):
        AbundanceRegressor.from_bytes(edited(content, parts=json.dumps(edit(parts_in(content)))))


@pytest.mark.parametrize(
    ("part", "foreign"),
    [
        ("calibration", ConformalIntervals.fit(Y[:, :1], Y[:, :1], GROUPS)),
        ("novelty", NoveltyScore.fit(X, widths=[3, 2])),
        ("reliability", ReliabilityCard.fit(Y, Y, GROUPS, cell_types=TYPES[::-1])),
    ],
)
def test_a_part_of_another_model_is_refused(part: str, foreign: object) -> None:
    model = fitted()
    setattr(model, f"{part}_", foreign)
    with pytest.raises(hd.IntegrityError, match=f"{part}.*another model"):
        AbundanceRegressor.from_bytes(model.to_bytes())


@pytest.mark.parametrize("error", [KeyError, OverflowError, AttributeError])
def test_whatever_a_part_raises_is_a_damaged_file(content: bytes, monkeypatch, error: type[Exception]) -> None:
    def broken(cls: type, facts: Mapping, arrays: Mapping) -> None:
        raise error

    monkeypatch.setattr(NoveltyScore, "from_parts", classmethod(broken))
    with pytest.raises(hd.IntegrityError, match=r"BI-79.*novelty"):
        AbundanceRegressor.from_bytes(content)


def test_numbers_of_a_part_are_under_the_digest(content: bytes) -> None:
    tensors = safetensors.numpy.load(content)
    tensors["calibration.errors"] = tensors["calibration.errors"] * 2
    with pytest.raises(hd.IntegrityError, match="sha256"):
        AbundanceRegressor.from_bytes(pack(tensors, read_header(content, "model")[0]))


def test_a_part_that_is_not_finite_is_not_written() -> None:
    model = fitted()
    model.calibration_.errors[0, 0] = np.nan
    with pytest.raises(hd.IntegrityError, match=r"calibration\.errors"):
        model.to_bytes()
