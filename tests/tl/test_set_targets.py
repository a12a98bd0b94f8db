"""Targets are matched by barcode and name, whatever brings them, and nothing is written when they are not usable."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from tests_support import state_of
from toy_embeddings import TYPES, cohort, truth_table

import histodecon as hd
from histodecon._core import read_table, table_record


def test_rows_go_by_barcode_and_names_are_kept() -> None:
    adata = cohort()
    table = truth_table(adata)
    hd.tl.set_targets(adata, table.sample(frac=1, random_state=0))
    np.testing.assert_array_equal(read_table(adata, "cell_abundance").to_numpy(), table.to_numpy())
    assert list(read_table(adata, "cell_abundance").columns) == TYPES
    assert list(adata.obsm["cell_abundance"].columns) == ["B_cell", "CAFs_MSC_iCAF-like", "T_cell"]
    assert table_record(adata, "cell_abundance")["kind"] == "abundance"


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".tsv.gz"])
def test_files(suffix: str, tmp_path) -> None:
    adata = cohort()
    path = tmp_path / f"targets{suffix}"
    truth_table(adata).to_csv(path, sep="\t" if "tsv" in suffix else ",")
    hd.tl.set_targets(adata, path)
    np.testing.assert_allclose(read_table(adata, "cell_abundance").to_numpy(), adata.uns["truth"], rtol=1e-12)
    other = cohort()
    hd.tl.set_targets(other, str(path), key_added="mine")
    assert "mine" in other.obsm


def test_barcodes_that_look_like_numbers_are_read_from_a_file_as_text(tmp_path) -> None:
    adata = cohort(10)
    table = truth_table(adata)
    adata.obs_names = table.index = [f"00{i}" for i in range(10)]
    table.to_csv(tmp_path / "targets.csv")
    hd.tl.set_targets(adata, tmp_path / "targets.csv")
    assert np.isfinite(adata.obsm["cell_abundance"].to_numpy()).all()


def test_an_obsm_key_brings_its_kind_and_names() -> None:
    adata = cohort()
    hd.tl.set_targets(adata, truth_table(adata), kind="abundance")
    hd.tl.set_targets(adata, "cell_abundance", key_added="again")
    assert list(read_table(adata, "again").columns) == TYPES


def test_proportions_are_recognized() -> None:
    adata = cohort()
    table = truth_table(adata)
    hd.tl.set_targets(adata, table.div(table.sum(axis=1), axis=0))
    assert table_record(adata, "cell_abundance")["kind"] == "proportion"
    assert table_record(adata, "cell_abundance")["unit"] == "proportion"


def test_the_prefix_of_cell2location_is_taken_off() -> None:
    adata = cohort()
    for prefix in ("q05cell_abundance_w_sf_", "meanscell_abundance_w_sf_", "q05_cell_abundance_w_sf_q05_"):
        hd.tl.set_targets(adata, truth_table(adata).add_prefix(prefix))
        assert list(read_table(adata, "cell_abundance").columns) == TYPES


def test_spots_without_a_row_become_nan_and_are_counted() -> None:
    adata = cohort()
    with pytest.warns(hd.DroppedSpotsWarning, match="7 of 90"):
        hd.tl.set_targets(adata, truth_table(adata).iloc[7:])
    values = adata.obsm["cell_abundance"].to_numpy()
    assert np.isnan(values[:7]).all()
    assert np.isfinite(values[7:]).all()


def test_masked_rows_take_no_part_as_a_whole() -> None:
    adata = cohort()
    table = truth_table(adata)
    table.iloc[3, 1] = np.inf
    table.iloc[5, 0] = np.nan
    with pytest.warns(hd.DroppedSpotsWarning, match="2 of 90"):
        hd.tl.set_targets(adata, table, nan="mask")
    assert np.isnan(adata.obsm["cell_abundance"].to_numpy()[[3, 5]]).all()


def test_a_copy_leaves_the_original_alone() -> None:
    adata = cohort()
    before = state_of(adata)
    out = hd.tl.set_targets(adata, truth_table(adata), copy=True)
    assert state_of(adata) == before
    assert "cell_abundance" in out.obsm


def spoiled(change) -> pd.DataFrame:
    table = truth_table(cohort())
    return change(table)


def put(value: object):
    def change(table: pd.DataFrame) -> pd.DataFrame:
        table = table.astype(object)
        table.iloc[2, 1] = value
        return table

    return change


@pytest.mark.parametrize(
    ("change", "kwargs", "error", "words"),
    [
        (put(-0.5), {}, hd.TargetError, "BI-59"),
        (put(np.nan), {}, hd.TargetError, "BI-60"),
        (put(np.inf), {}, hd.TargetError, "BI-60"),
        (put("many"), {}, hd.TargetError, "not numbers"),
        (lambda t: t.set_axis(range(len(t))), {}, hd.AlignmentError, "BI-08"),
        (lambda t: t.set_axis([f"x{i}" for i in range(len(t))]), {}, hd.AlignmentError, "'x0'.*'0x0'"),
        (lambda t: pd.concat([t, t.iloc[:2]]), {}, hd.AlignmentError, "BI-04"),
        (lambda t: t.set_axis(["a/b", "a_b", "c"], axis=1), {}, hd.NamingError, "BI-65"),
        (lambda t: t.set_axis(["", "b", "c"], axis=1), {}, hd.NamingError, "BI-66"),
        (lambda t: t, {"kind": "proportion"}, hd.TargetError, "BI-61"),
        (lambda t: t, {"kind": "share"}, hd.InputError, "BI-72"),
        (lambda t: t, {"nan": "drop"}, hd.InputError, "BI-72"),
        (lambda t: t, {"key_added": "a/b"}, hd.NamingError, "BI-67"),
        (lambda t: "absent.csv", {}, hd.MissingKeyError, "absent.csv"),
        (lambda t: t.to_numpy(), {}, hd.InputError, "ndarray"),
        (lambda t: "X_first", {}, hd.InputError, "BI-64"),
    ],
)
def test_bad_targets_answer_and_change_nothing(change, kwargs: dict, error: type[Exception], words: str) -> None:
    adata = cohort()
    before = state_of(adata)
    with pytest.raises(error, match=words):
        hd.tl.set_targets(adata, spoiled(change), **kwargs)
    assert state_of(adata) == before


def test_two_faults_are_told_together() -> None:
    table = truth_table(cohort())
    table.iloc[0, 0], table.iloc[1, 1] = -1, np.nan
    with pytest.raises(hd.TargetError, match=r"(?s)BI-60.*BI-59"):
        hd.tl.set_targets(cohort(), table)


def test_a_file_with_one_column_says_what_separates_columns(tmp_path) -> None:
    adata = cohort()
    truth_table(adata).to_csv(tmp_path / "targets.csv", sep="\t")
    with pytest.raises(hd.TargetError, match="tabs"):
        hd.tl.set_targets(adata, tmp_path / "targets.csv")


def test_rows_go_by_position_only_when_that_is_said_and_the_lengths_agree() -> None:
    adata = cohort()
    nameless = truth_table(adata).reset_index(drop=True)
    before = state_of(adata)
    with pytest.raises(hd.AlignmentError, match="BI-08"):
        hd.tl.set_targets(adata, nameless)
    with pytest.raises(hd.AlignmentError, match="BI-09"):
        hd.tl.set_targets(adata, nameless.iloc[1:], assume_aligned=True)
    assert state_of(adata) == before
    hd.tl.set_targets(adata, nameless, assume_aligned=True)
    np.testing.assert_array_equal(read_table(adata, "cell_abundance").to_numpy(), nameless.to_numpy())
