"""A model in the hands of a stranger: what does not fit it is refused in words, and the slide stays as it was."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import anndata as ad
import numpy as np
import pytest
import safetensors.numpy
from loopback_hub import REPO
from tests_support import state_of
from toy_embeddings import cohort, truth_table

import histodecon as hd
from histodecon._core import read_table, uns_branch
from histodecon._core._safetensors import pack, payload_digest, read_header
from histodecon.models import AbundanceRegressor

BOTH = ["X_first", "X_second"]
RECIPE = {"dtype": "float32", "field_of_view": "112um", "weights_sha256": "a" * 64}


def slide() -> ad.AnnData:
    """A slide whose embeddings tell their recipe, one of them cut in pixels."""
    adata = cohort()
    records = uns_branch(adata, "embeddings")
    for key in BOTH:
        records[key]["recipe"] = json.dumps(RECIPE)
    records["X_second"]["mpp"] = {"s": 0.5}
    return adata


@pytest.fixture(scope="module")
def model() -> AbundanceRegressor:
    adata = slide()
    hd.tl.set_targets(adata, truth_table(adata))
    return hd.tl.train_regressor(adata, use_rep=BOTH, learner="ridge")


@pytest.fixture(scope="module")
def content(model: AbundanceRegressor) -> bytes:
    return model.to_bytes()


def record_of(adata: ad.AnnData, key: str) -> dict:
    return uns_branch(adata, "embeddings")[key]


def other_weights(adata: ad.AnnData) -> None:
    record_of(adata, "X_first").update(fingerprint="other", recipe=json.dumps(RECIPE | {"weights_sha256": "b" * 64}))


def other_field(adata: ad.AnnData) -> None:
    record_of(adata, "X_first").update(fingerprint="other", recipe=json.dumps(RECIPE | {"field_of_view": "224um"}))


def other_scale(adata: ad.AnnData) -> None:
    record_of(adata, "X_second")["mpp"] = {"s": 0.5, "t": 0.56}


def no_scale(adata: ad.AnnData) -> None:
    del record_of(adata, "X_second")["mpp"]


def narrowed(adata: ad.AnnData) -> None:
    adata.obsm["X_first"] = np.ascontiguousarray(adata.obsm["X_first"][:, :2])


def absent(adata: ad.AnnData) -> None:
    del adata.obsm["X_first"]


def forgotten(adata: ad.AnnData) -> None:
    del adata.uns["histodecon"]


def same(adata: ad.AnnData) -> None:
    """Leaves it as it is."""


@pytest.mark.parametrize(
    ("change", "use_rep", "error", "words"),
    [
        (same, "X_first", hd.ModelMismatchError, r"BI-44.*model reads .* = first\(.*\) \+ second\("),
        (other_weights, None, hd.ModelMismatchError, "BI-45.*weights_sha256 bbbb.* instead of aaaa"),  # BI-85
        (other_field, None, hd.ModelMismatchError, "BI-45.*field_of_view 224um instead of 112um"),
        (same, BOTH[::-1], hd.ModelMismatchError, "BI-46.*another order"),
        (other_scale, None, hd.ModelMismatchError, "BI-16.*0.5 to 0.56.*trained at 0.5"),
        (no_scale, None, hd.ModelMismatchError, "BI-16.*not recorded"),
        (absent, None, hd.MissingKeyError, "BI-87.*X_first.*X_second.*embed_tiles"),
        (forgotten, None, hd.MissingKeyError, "BI-88.*X_first.*uns_merge"),
        (narrowed, None, hd.IntegrityError, r"BI-89.*2 columns.*concat"),
    ],
)
def test_what_does_not_fit_is_refused(model, change, use_rep, error: type[Exception], words: str) -> None:
    adata = slide()
    change(adata)
    before = state_of(adata)
    with pytest.raises(error, match=f"(?s){words}"):
        hd.tl.predict_abundance(adata, model, use_rep=use_rep)
    assert state_of(adata) == before


def test_pixels_of_nearly_the_same_size_pass(model) -> None:
    adata = slide()
    record_of(adata, "X_second")["mpp"] = {"s": 0.46, "t": 0.54}
    hd.tl.predict_abundance(adata, model)


def newer(content: bytes) -> bytes:
    metadata = read_header(content, "model")[0] | {"format_version": "2.0"}
    tensors = safetensors.numpy.load(content)
    metadata["payload_sha256"] = payload_digest(metadata, tensors)
    return pack(tensors, metadata)


def flipped(content: bytes) -> bytes:
    return content[:-3] + bytes([content[-3] ^ 64]) + content[-2:]


def not_a_number(content: bytes) -> bytes:
    metadata, tensors = read_header(content, "model")[0], safetensors.numpy.load(content)
    tensors["learner.intercept"] = tensors["learner.intercept"] * np.nan
    metadata["payload_sha256"] = payload_digest(metadata, tensors)
    return pack(tensors, metadata)


def turned(content: bytes) -> bytes:
    metadata, tensors = read_header(content, "model")[0], safetensors.numpy.load(content)
    tensors["learner.coefficients"] = np.ascontiguousarray(tensors["learner.coefficients"].reshape(3, -1))
    metadata["payload_sha256"] = payload_digest(metadata, tensors)
    return pack(tensors, metadata)


def many_tensors(content: bytes) -> bytes:
    header = {f"t{i}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for i in range(10_002)}
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text


@pytest.mark.parametrize(
    ("damage", "error", "words"),
    [
        (newer, hd.ModelVersionError, "BI-77.*format 2.0.*reads 1.x.*pip install -U"),
        (lambda c: c[:-100], hd.IntegrityError, "BI-79.*another size.*get the file again"),
        (lambda c: b"<html>" + c, hd.IntegrityError, "BI-79.*web page"),
        (flipped, hd.IntegrityError, "BI-79.*sha256 differs"),  # BI-80
        (turned, hd.IntegrityError, "BI-79.*coefficients.*should be"),  # BI-81
        (not_a_number, hd.IntegrityError, "BI-82.*intercept"),
        (lambda c: pickle.dumps({"model": c}), hd.UnsafeFileError, "BI-83.*can run code"),
        (many_tensors, hd.IntegrityError, "BI-79.*not a table of tensors"),  # BI-86
        (lambda c: (2_000_000).to_bytes(8, "little") + b" " * 2_000_000, hd.IntegrityError, "BI-79"),  # BI-86
    ],
)
def test_damaged_and_foreign_files_are_refused(content, damage, error, words: str, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(damage(content))
    adata = slide()
    before = state_of(adata)
    with pytest.raises(error, match=f"(?s){words}"):
        hd.tl.predict_abundance(adata, path)
    assert state_of(adata) == before


def test_order_of_types_and_barcodes_is_not_position(model) -> None:
    """BI-64: names decide; another order is silently right, another name is refused."""
    table = truth_table(slide())
    adata = slide()[::-1].copy()
    hd.tl.set_targets(adata, table[table.columns[::-1]])
    hd.tl.predict_abundance(adata, model)
    found, truth = read_table(adata, "predicted_abundance"), read_table(adata, "cell_abundance")
    for name in truth.columns:
        assert np.corrcoef(found[name], truth[name])[0, 1] > 0.9
    renamed = table.rename(columns={table.columns[0]: "another"})
    hd.tl.set_targets(adata, renamed)
    with pytest.raises(hd.AlignmentError, match=r"(?s)BI-64.*another"):
        hd.tl.evaluate(adata)


def test_an_edit_after_writing_is_told_and_a_subset_is_not(model, recwarn) -> None:
    """BI-90: rows are known by barcode."""
    adata = slide()
    hd.tl.predict_abundance(adata[5:40][::-1].copy(), model)
    assert not [one for one in recwarn if "BI-90" in str(one.message)]
    adata.obsm["X_first"][3] += 1
    with pytest.warns(hd.HistodeconWarning, match=r"BI-90.*1 of"):
        hd.tl.predict_abundance(adata, model)


def test_slides_unlike_those_of_training_are_told(model) -> None:
    """BI-91."""
    adata = slide()
    for key in BOTH:
        adata.obsm[key] = np.asarray(adata.obsm[key]) + 50
    with pytest.warns(hd.HistodeconWarning, match="BI-91"):
        hd.tl.predict_abundance(adata, model)
    assert adata.obs["out_of_distribution"].all()


def test_by_its_name_on_the_hub(hub, model) -> None:
    hub.files, hub.visible = {}, None
    commit = model.push_to_hub(REPO)
    adata, stranger = slide(), slide()
    hd.tl.predict_abundance(adata, model)
    hd.tl.predict_abundance(stranger, f"{REPO}@{commit}")
    np.testing.assert_array_equal(
        stranger.obsm["predicted_abundance"].to_numpy(), adata.obsm["predicted_abundance"].to_numpy()
    )
    before = state_of(stranger)
    with pytest.raises(hd.HubError, match="FI-28"):
        hd.tl.predict_abundance(stranger, "lab/absent")
    assert state_of(stranger) == before


def test_a_model_knows_what_it_learned_from(model) -> None:
    facts = model.training_
    assert len(facts["data_sha256"]) == 64
    adata = slide()
    hd.tl.set_targets(adata, truth_table(adata))
    assert hd.tl.train_regressor(adata, use_rep=BOTH, learner="mean").training_["data_sha256"] == facts["data_sha256"]
    hd.tl.set_targets(adata, truth_table(adata) * 2)
    assert hd.tl.train_regressor(adata, use_rep=BOTH, learner="mean").training_["data_sha256"] != facts["data_sha256"]
