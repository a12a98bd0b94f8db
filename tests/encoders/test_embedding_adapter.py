"""An adapter with its scales: what it refuses, what it keeps, what it leaves alone."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from planted_stain import planted
from scipy.sparse import csr_matrix

import histodecon as hd
from histodecon.encoders import EmbeddingAdapter

QUICK = {"max_epochs": 3, "n_held_in": 2, "bottleneck": 8, "hidden": 16, "min_gain": 0.0, "learning_rate": 0.02}


@pytest.fixture(scope="module")
def fitted() -> EmbeddingAdapter:
    X, _, counts, patients = planted(1.0, n_patients=4, n_spots=30)
    source = {"encoder": "uni", "fingerprint": "abc"}
    params = {"max_epochs": 40, "n_held_in": 2, "bottleneck": 16, "hidden": 32, "learning_rate": 0.01, "min_gain": 0.0}
    names = [f"gene{i}" for i in range(counts.shape[1])]
    adapter = EmbeddingAdapter("seal", params=params, n_genes=50, device="cpu")
    return adapter.fit(X, csr_matrix(counts), groups=patients, gene_names=names, source=source)


def test_what_it_remembers(fitted: EmbeddingAdapter) -> None:
    X, *_ = planted(1.0, n_patients=4, n_spots=30)
    assert fitted.groups_ == ["P1", "P2", "P3", "P4"]
    assert len(fitted.genes_) == 50
    assert set(fitted.genes_) <= {f"gene{i}" for i in range(60)}
    np.testing.assert_allclose(fitted.center_, X.mean(axis=0), atol=1e-5)
    assert not fitted.is_identity_
    moved = fitted.transform(X)
    assert moved.dtype == np.float32
    assert np.abs(moved - X).max() > 0.01
    np.testing.assert_array_equal(fitted.transform(X[5:9]), moved[5:9])  # rows do not depend on each other


def test_only_rows_of_fit_are_looked_at() -> None:
    X, _, counts, _ = planted(1.0, n_patients=2, n_spots=20)
    kept = np.arange(40) < 20
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", hd.FallbackWarning)
        one = EmbeddingAdapter(params=QUICK, device="cpu").fit(X[kept], counts[kept])
        X[~kept] += 100
        other = EmbeddingAdapter(params=QUICK, device="cpu").fit(X[kept], counts[kept])
    assert one.sha256_ == other.sha256_


def test_an_identity_gives_back_the_same_bits_and_says_so() -> None:
    X, _, counts, patients = planted(0.0, n_patients=3, n_spots=20)
    adapter = EmbeddingAdapter(params={**QUICK, "min_gain": 1.0}, device="cpu")
    with pytest.warns(hd.FallbackWarning, match="stays as it is"):
        adapter.fit(X, counts, groups=patients)
    assert adapter.is_identity_
    np.testing.assert_array_equal(adapter.transform(X), X)


def test_a_column_that_does_not_vary_is_no_trouble() -> None:
    X, _, counts, patients = planted(1.0, n_patients=3, n_spots=20)
    X[:, 3] = 7.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", hd.FallbackWarning)
        adapter = EmbeddingAdapter(params=QUICK, device="cpu").fit(X, counts, groups=patients)
    assert np.isfinite(adapter.transform(X)).all()


def _X(**changes: object) -> dict:
    rng = np.random.default_rng(0)
    return {"X": rng.normal(size=(20, 4)), "counts": rng.poisson(2.0, size=(20, 6)), **changes}


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (_X(X=np.full((20, 4), np.nan)), "BI-42"),
        (_X(X=np.zeros(20)), "BI-42"),
        (_X(counts=np.ones((19, 6))), "BI-09"),
        (_X(groups=np.zeros(3)), "BI-09"),
        (_X(counts=np.zeros((20, 6))), "BI-87"),
        ({"X": np.zeros((5, 4)), "counts": np.ones((5, 6))}, "BI-31"),
    ],
)
def test_what_is_refused(given: dict, code: str) -> None:
    with pytest.raises(hd.InputError, match=code):
        EmbeddingAdapter(params=QUICK, device="cpu").fit(given.pop("X"), given.pop("counts"), **given)


def test_options_and_use_that_are_refused(fitted: EmbeddingAdapter) -> None:
    with pytest.raises(hd.InputError, match="did you mean `seal`"):
        EmbeddingAdapter("seel").fit(**_X())
    for n_genes in (1, 2.5, True):
        with pytest.raises(hd.InputError, match="n_genes"):
            EmbeddingAdapter(n_genes=n_genes).fit(**_X())
    with pytest.raises(hd.InputError, match="not fitted"):
        EmbeddingAdapter().transform(np.zeros((2, 3)))
    with pytest.raises(hd.ModelMismatchError, match="BI-44"):
        fitted.transform(np.zeros((2, 3)))
