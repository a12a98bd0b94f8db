"""Bad input answers in words, with a code and a cure, and the AnnData stays as it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests_support import state_of

import histodecon as hd

REP = "X_color_stats"


@pytest.fixture(scope="module")
def done() -> Any:
    """A toy cohort at the end of the journey."""
    sdata = hd.datasets.toy_slide(n_patients=2)
    hd.pp.tile_spots(sdata)
    hd.pp.embed_tiles(sdata, "color_stats", show_progress_bar=False)
    adata = sdata.tables["table"]
    hd.tl.set_targets(adata, "true_abundance")
    hd.tl.train_regressor(adata, use_rep=REP, learner="ridge")
    hd.tl.predict_abundance(adata)
    hd.tl.colocalization(adata)
    return adata


def without(adata: Any, slot: str, key: str) -> Any:
    del getattr(adata, slot)[key]
    return adata


def empty(adata: Any) -> Any:
    return adata[:0].copy()


def one_patient(adata: Any) -> Any:
    adata.obs["patient"] = "A"
    return adata


def nan_target(adata: Any) -> Any:
    adata.obsm["cell_abundance"].iloc[3, 1] = np.nan
    return adata


def nan_embedding(adata: Any) -> Any:
    adata.obsm[REP][5, 0] = np.nan
    return adata


def twice(adata: Any) -> Any:
    adata.obs_names = ["same", "same", *adata.obs_names[2:]]
    return adata


def strangers(adata: Any) -> pd.DataFrame:
    return adata.obsm["true_abundance"].set_axis([f"other_{i}" for i in range(adata.n_obs)])


def with_value(adata: Any, value: float) -> pd.DataFrame:
    table = adata.obsm["true_abundance"].astype(float).copy()
    table.iloc[2, 0] = value
    return table


def train(adata: Any, **kwargs: Any) -> Any:
    return hd.tl.train_regressor(adata, **{"use_rep": REP, "learner": "ridge", **kwargs})


def cross_validate(adata: Any, **kwargs: Any) -> Any:
    return hd.tl.cross_validate(adata, **{"use_rep": REP, "learner": "ridge", **kwargs})


def same(adata: Any) -> Any:
    return adata


CASES: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any], type[Exception], str]] = {
    # missing keys
    "tile without coordinates": (
        lambda a: without(a, "obsm", "spatial"),
        hd.pp.tile_spots,
        hd.MissingKeyError,
        "spatial",
    ),
    "tile without image": (lambda a: without(a, "uns", "spatial"), hd.pp.tile_spots, hd.MissingKeyError, "image="),
    "embed before tile": (
        lambda a: without(a, "uns", "histodecon"),
        lambda a: hd.pp.embed_tiles(a, "color_stats"),
        hd.MissingKeyError,
        "tile_spots",
    ),
    "embed with unknown encoder": (same, lambda a: hd.pp.embed_tiles(a, "color_stat"), hd.InputError, "color_stats"),
    "targets from an absent key": (
        same,
        lambda a: hd.tl.set_targets(a, "no_such_key"),
        hd.MissingKeyError,
        "no_such_key",
    ),
    "train before embed": (lambda a: without(a, "obsm", REP), train, hd.MissingKeyError, "embed_tiles"),
    "train before targets": (lambda a: without(a, "obsm", "cell_abundance"), train, hd.MissingKeyError, "set_targets"),
    "train unknown learner": (same, lambda a: train(a, learner="rigde"), hd.InputError, "ridge"),
    "predict without model": (
        lambda a: without(a, "uns", "histodecon"),
        hd.tl.predict_abundance,
        hd.MissingKeyError,
        "train_regressor",
    ),
    "predict before embed": (lambda a: without(a, "obsm", REP), hd.tl.predict_abundance, hd.MissingKeyError, REP),
    "cross-validate without groups": (
        lambda a: without(a, "obs", "patient"),
        cross_validate,
        hd.MissingKeyError,
        "patient",
    ),
    "evaluate without prediction": (
        lambda a: without(a, "obsm", "predicted_abundance"),
        hd.tl.evaluate,
        hd.MissingKeyError,
        "predict_abundance",
    ),
    "colocalization without table": (
        lambda a: without(a, "obsm", "predicted_abundance"),
        hd.tl.colocalization,
        hd.MissingKeyError,
        "predict_abundance",
    ),
    "colocalization without coordinates": (
        lambda a: without(a, "obsm", "spatial"),
        hd.tl.colocalization,
        hd.MissingKeyError,
        "spatial",
    ),
    # unknown cell type
    "unknown cell type in a plot": (
        same,
        lambda a: hd.pl.abundance(a, ["B-cell"], library_id="toy_1", show=False),
        hd.InputError,
        "B-cells",
    ),
    # spots that match no barcode
    "targets of other spots": (same, lambda a: hd.tl.set_targets(a, strangers(a)), hd.AlignmentError, "other_0"),
    "barcodes that stand twice": (twice, lambda a: hd.tl.set_targets(a, with_value(a, 1.0)), hd.AlignmentError, "same"),
    # NaN and negative
    "NaN in targets": (same, lambda a: hd.tl.set_targets(a, with_value(a, np.nan)), hd.TargetError, "BI-60"),
    "infinite target": (same, lambda a: hd.tl.set_targets(a, with_value(a, np.inf)), hd.TargetError, "BI-60"),
    "negative target": (same, lambda a: hd.tl.set_targets(a, with_value(a, -1.0)), hd.TargetError, "BI-59"),
    "train on a table with a hole": (nan_target, train, hd.TargetError, "BI-60"),
    "train on a broken embedding": (nan_embedding, train, hd.InputError, "BI-42"),
    "predict from a broken embedding": (nan_embedding, hd.tl.predict_abundance, hd.InputError, "BI-42"),
    # one patient
    "one patient in cross-validation": (one_patient, cross_validate, hd.InputError, "BI-68"),
    # empty table
    "tile an empty table": (empty, hd.pp.tile_spots, hd.InputError, "BI-31"),
    "embed an empty table": (empty, lambda a: hd.pp.embed_tiles(a, "color_stats"), hd.InputError, "BI-31"),
    "targets for an empty table": (empty, lambda a: hd.tl.set_targets(a, "true_abundance"), hd.InputError, "BI-31"),
    "train on an empty table": (empty, train, hd.InputError, "BI-31"),
    "predict for an empty table": (empty, hd.tl.predict_abundance, hd.InputError, "BI-31"),
    "cross-validate an empty table": (empty, cross_validate, hd.InputError, "BI-31"),
    "evaluate an empty table": (empty, hd.tl.evaluate, hd.InputError, "BI-31"),
    "colocalization of an empty table": (empty, hd.tl.colocalization, hd.InputError, "BI-31"),
    # not a table at all
    "an array instead of AnnData": (lambda a: a, lambda a: hd.tl.evaluate(np.zeros((3, 3))), hd.InputError, "AnnData"),
    "length scale of nothing": (same, lambda a: hd.tl.colocalization(a, length_um=0.0), hd.InputError, "BI-95"),
}


@pytest.mark.parametrize("name", CASES)
def test_it_answers_in_words_and_changes_nothing(done: Any, name: str) -> None:
    prepare, call, error, words = CASES[name]
    adata = prepare(done.copy())
    before = state_of(adata)
    with pytest.raises(error) as caught:
        call(adata)
    message = str(caught.value)
    assert words in message
    assert "[HD-" in message
    assert "To fix it:" in message or "problems:" in message
    assert state_of(adata) == before


def test_a_spot_without_target_is_masked_and_said(done: Any) -> None:
    adata = done.copy()
    partial = adata.obsm["true_abundance"].iloc[5:]
    with pytest.warns(hd.DroppedSpotsWarning, match="5 of"):
        hd.tl.set_targets(adata, partial)
    assert adata.obsm["cell_abundance"].iloc[:5].isna().all().all()
    model = train(adata)
    hd.tl.predict_abundance(adata, model)
    assert np.isfinite(adata.obsm["predicted_abundance"].to_numpy()).all()


def test_columns_are_matched_by_name_when_their_order_differs(done: Any) -> None:
    adata = done.copy()
    expected = hd.tl.evaluate(adata)
    turned = done.copy()
    turned.obsm["cell_abundance"] = turned.obsm["cell_abundance"].iloc[:, ::-1]
    pd.testing.assert_frame_equal(
        hd.tl.evaluate(turned).sort_index().select_dtypes("number"),
        expected.sort_index().select_dtypes("number"),
        check_like=True,
    )
