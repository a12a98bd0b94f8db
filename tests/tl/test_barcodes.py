"""One spot, many spellings: matched where it is safe, refused where it is not."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import histodecon as hd
from histodecon.tl._barcodes import match_barcodes

SPOTS = pd.Index(["AAAC-1", "CCGT-1", "GGTA-1"])
IDS = pd.Index(["10x13", "10x14", "2x30"])


@pytest.mark.parametrize(
    ("spots", "names", "library", "how"),
    [
        (SPOTS, ["AAAC-1", "CCGT-1", "GGTA-1"], None, ""),
        (SPOTS, ["AAAC", "CCGT", "GGTA"], None, "number"),
        (SPOTS, ["AAAC-2", "CCGT-2", "GGTA-2"], None, "number"),
        (SPOTS, ["AAAC.1", "CCGT.1", "GGTA.1"], None, "dots"),
        (SPOTS, ["s1_AAAC-1", "s1_CCGT-1", "s1_GGTA-1"], "s1", "slide"),
        (SPOTS + "-s1", ["AAAC-1", "CCGT-1", "GGTA-1"], "s1", "slide"),
        (SPOTS + "-s1", ["AAAC.1", "CCGT.1", "GGTA.1"], "s1", "dots"),
        (IDS, ["10.0x13.0", "10.0x14.0", "2.0x30.0"], None, "spot id"),
        (IDS, ["X10x13", "X10x14", "X2x30"], None, "spot id"),
        (IDS, ["10_13", "10_14", "2_30"], None, "spot id"),
        (IDS + "-B4", ["10x13", "10x14", "2x30"], "B4", "slide"),
        (pd.Index(["1", "2", "3"]), [1, 2, 3], None, ""),
    ],
)
def test_spellings(spots: pd.Index, names: list, library: str | None, how: str) -> None:
    order = [2, 0, 1]
    found, label = match_barcodes([names[i] for i in order], spots, library=library)
    assert list(found) == [spots[i] for i in order]
    assert label == how


def test_rows_of_other_spots_keep_their_names() -> None:
    found, _ = match_barcodes(["AAAC", "TTTT"], SPOTS)
    assert list(found) == ["AAAC-1", "TTTT"]


def test_exact_names_win_over_other_spellings() -> None:
    found, how = match_barcodes(["AAAC-1", "CCGT"], SPOTS)
    assert list(found) == ["AAAC-1", "CCGT"]
    assert how == ""


def test_a_number_that_tells_slides_apart_is_not_dropped() -> None:
    spots = pd.Index(["AAAC-1", "AAAC-2", "CCGT-1"])
    with pytest.raises(hd.AlignmentError, match=r"(?s)BI-08.*\{library_id: table\}"):
        match_barcodes(["AAAC", "CCGT"], spots)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["AAAC-1", "AAAC-1"], "BI-04"),
        (["x", "y"], "BI-08.*'x', 'y'.*'AAAC-1'"),
    ],
)
def test_refusals(names: list[str], words: str) -> None:
    with pytest.raises(hd.AlignmentError, match=words):
        match_barcodes(names, SPOTS)


def test_swapped_ids_are_told_although_some_agree() -> None:
    spots = pd.Index([f"{x}x{y}" for x in range(10, 20) for y in range(12, 26)])
    swapped = ["x".join(reversed(name.split("x"))) for name in spots]
    assert set(swapped) & set(spots)
    with pytest.raises(hd.AlignmentError, match=r"(?s)BI-07.*swapped"):
        match_barcodes(swapped, spots)
    match_barcodes(list(spots[:20]), spots)  # few rows are no sign of it


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(61, 99)), min_size=1, max_size=20, unique=True), st.randoms())
def test_ids_are_found_in_any_order_and_form(places: list[tuple[int, int]], random) -> None:
    spots = pd.Index([f"{x}x{y}" for x, y in places])
    shuffled = random.sample(places, len(places))
    found, _ = match_barcodes([f"{x}.0x{y}.0" for x, y in shuffled], spots)
    assert list(found) == [f"{x}x{y}" for x, y in shuffled]
