"""What tools write, as small tables of the same shape as theirs."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest

import histodecon as hd
from histodecon.tl._target_layouts import cell2location_companions, statistics_of, tidy

SPOTS = pd.Index(["AAAC-1", "CCGT-1", "GGTA-1"])
VALUES = np.array([[0.2, 0.8], [0.5, 0.5], [1.0, 0.0]])
PLAIN = pd.DataFrame(VALUES, SPOTS, ["B cell", "T cell"])


def test_a_plain_table_stays() -> None:
    table, done = tidy(PLAIN, SPOTS)
    pd.testing.assert_frame_equal(table, PLAIN)
    assert done == []


def test_giotto_has_barcodes_in_a_column() -> None:
    table, done = tidy(PLAIN.reset_index(names="cell_ID").rename(index=lambda i: str(i + 1)), SPOTS)
    pd.testing.assert_frame_equal(table, PLAIN, check_names=False)
    assert done == ["barcodes from column cell_ID"]


def test_types_times_spots_is_turned() -> None:
    table, done = tidy(PLAIN.T, SPOTS)
    pd.testing.assert_frame_equal(table, PLAIN)
    assert done == ["transposed"]


def test_the_residual_of_spotlight_is_no_cell_type() -> None:
    table, done = tidy(PLAIN.assign(res_ss=0.3), SPOTS)
    pd.testing.assert_frame_equal(table, PLAIN)
    assert done == ["without res_ss"]


def test_spaces_around_names_go() -> None:
    assert list(tidy(PLAIN.set_axis(["B cell ", " T cell"], axis=1), SPOTS)[0].columns) == ["B cell", "T cell"]


DOUBLETS = """"","spot_class","first_type","second_type","first_type","second_type"
"AAAC-1","doublet_certain","T cell","B cell",0.8,0.2
"CCGT-1","singlet","B cell","T cell",0.7,0.3
"GGTA-1","reject","B cell","T cell",0.5,0.5
"""


def test_doublet_mode_of_rctd() -> None:
    read = pd.read_csv(io.StringIO(DOUBLETS), index_col=0)
    table, done = tidy(read, SPOTS)
    expected = pd.DataFrame([[0.2, 0.8], [1.0, 0.0]], SPOTS[:2], ["B cell", "T cell"])
    pd.testing.assert_frame_equal(table, expected)
    assert done == ["RCTD doublet mode"]
    renamed = read.rename(columns={"first_type.1": "first_type_weight", "second_type.1": "second_type_weight"})
    pd.testing.assert_frame_equal(tidy(renamed, SPOTS)[0], expected)


def test_doublet_mode_without_weights_is_refused() -> None:
    read = pd.read_csv(io.StringIO(DOUBLETS), index_col=0).drop(columns=["first_type.1", "second_type.1"])
    with pytest.raises(hd.TargetError, match=r"(?s)no weights.*weights_doublet"):
        tidy(read, SPOTS)


@pytest.mark.parametrize(
    ("prefix", "statistic"),
    [
        ("q05cell_abundance_w_sf_", "q05"),
        ("meanscell_abundance_w_sf_", "mean"),
        ("stdscell_abundance_w_sf_", "sd"),
        ("q95cell_abundance_w_sf_", "q95"),
        ("q05_spot_factors", "q05"),
        ("mean_spot_factors", "mean"),
        ("q05_cell_abundance_w_sf_q05_", "q05"),
    ],
)
def test_prefixes_of_cell2location(prefix: str, statistic: str) -> None:
    table, beside, found = statistics_of(PLAIN.add_prefix(prefix))
    pd.testing.assert_frame_equal(table, PLAIN)
    assert (beside, found) == ({}, prefix)
    both = pd.concat([PLAIN.add_prefix(prefix), PLAIN.add_prefix("q50cell_abundance_w_sf_") * 2], axis=1)
    assert set(statistics_of(both)[1]) == {statistic, "q50"}


def test_names_that_only_resemble_the_prefix_stay() -> None:
    table = PLAIN.set_axis(["q05 cells", "means"], axis=1)
    assert statistics_of(table)[0] is table


def test_several_statistics_side_by_side_are_taken_apart() -> None:
    parts = {"means": PLAIN, "stds": PLAIN / 10, "q05": PLAIN / 2, "q95": PLAIN * 2}
    wide = pd.concat([part.add_prefix(f"{name}cell_abundance_w_sf_") for name, part in parts.items()], axis=1)
    table, beside, prefix = statistics_of(wide)
    pd.testing.assert_frame_equal(table, PLAIN / 2)
    assert prefix == "q05cell_abundance_w_sf_"
    assert set(beside) == {"mean", "sd", "q05", "q95"}
    pd.testing.assert_frame_equal(beside["sd"], PLAIN / 10)


def test_other_columns_beside_cell2location_are_refused() -> None:
    table = PLAIN.add_prefix("q05cell_abundance_w_sf_").assign(total_counts=3.0)
    with pytest.raises(hd.TargetError, match=r"(?s)BI-63.*total_counts"):
        statistics_of(table)


def test_keys_of_cell2location_know_each_other() -> None:
    assert cell2location_companions("q05_cell_abundance_w_sf")["sd"] == "stds_cell_abundance_w_sf"
    assert cell2location_companions("cell_abundance") == {}
