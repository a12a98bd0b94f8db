"""One answer from several sources, in order of trust."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from histodecon import ResolutionError, ResolutionWarning
from histodecon.images._scale import Estimate, choose_mpp, measured_mpp


def test_first_plausible_source():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert choose_mpp([(0.5, "user")], [Estimate(0.49, "fit")], slide="A") == (0.5, "user")
        read_off = [Estimate(40.0, "fit"), Estimate(0.5, "diameter"), Estimate(0.51, "file")]
        assert choose_mpp([], read_off, slide="A") == (0.5, "diameter")


def test_disagreement():
    with pytest.warns(ResolutionWarning, match=r"BI-15.*'A'.*0\.5 \(user\).*fit 0\.55") as caught:
        assert choose_mpp([(0.5, "user")], [Estimate(0.55, "fit"), Estimate(0.51, "file")], slide="A") == (0.5, "user")
    assert "file" not in str(caught[0].message)
    with pytest.raises(ResolutionError, match=r"BI-15.*factor of 5.*fit 2\.5"):
        choose_mpp([(0.5, "user")], [Estimate(2.5, "fit")], slide="A")
    with pytest.raises(ResolutionError, match="BI-15"):
        choose_mpp([(0.5, "user"), (0.05, "reader")], [], slide="A")


@pytest.mark.parametrize("value", [0.0, -1.0, 0.04, 11.0])
def test_implausible(value):
    with pytest.raises(ResolutionError, match=r"BI-15.*plausible is 0\.1 to 4"):
        choose_mpp([(value, "user")], [Estimate(0.5, "fit")], slide="A")
    with pytest.raises(ResolutionError, match=r"BI-14.*fit would give"):
        choose_mpp([], [Estimate(value, "fit")], slide="A")


def test_nothing():
    with pytest.raises(ResolutionError, match=r"BI-14.*no grid.*mpp="):
        choose_mpp([], [], slide="A")


def hexagons(pitch: float = 40.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    row, col = (index.ravel() for index in np.indices((8, 10)))
    array_col = 2 * col + row % 2
    return np.column_stack([array_col * pitch / 2, row * pitch * np.sqrt(3) / 2]), row, array_col


def squares(pitch: float = 40.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    row, col = (index.ravel() for index in np.indices((8, 10)))
    return np.column_stack([col, row]) * pitch, row, col


def told(xy: np.ndarray, row: np.ndarray | None = None, col: np.ndarray | None = None, **more) -> dict[str, float]:
    estimates = measured_mpp(xy, array_row=row, array_col=col, **more)
    assert [known.source for known in estimates] == sorted((known.source for known in estimates), key=ORDER.index)
    return {known.source: pytest.approx(known.mpp) for known in estimates}


ORDER = ["array fit", "spot pitch", "spot diameter", "image file"]


def test_sources_in_order_of_trust():
    xy, row, col = hexagons()
    assert told(xy, row, col, spot_px=26, image_mpp=2.4) == {"array fit": 2.5, "spot diameter": 2.5, "image file": 2.4}
    assert told(xy, spot_px=26) == {"spot pitch": 2.5, "spot diameter": 2.5}
    assert told(xy, np.zeros(80), np.zeros(80)) == {"spot pitch": 2.5}
    assert told(np.random.default_rng(0).uniform(0, 400, (80, 2)), spot_px=13) == {"spot diameter": 5.0}


def test_squares_are_legacy_spots_unless_their_pitch_is_known():
    xy, row, col = squares()
    assert told(xy, row, col, spot_px=26) == {"array fit": 5.0}
    (known,) = measured_mpp(xy, array_row=row, array_col=col)
    assert known.surmised
    with pytest.raises(ResolutionError, match=r"BI-14.*array fit would give 5 "):
        choose_mpp([], [known], slide="A")
    bins = measured_mpp(xy, array_row=row, array_col=col, pitch_um=16.0, spot_px=40.0, spot_um=16.0)
    assert bins == [Estimate(pytest.approx(0.4), "array fit"), Estimate(pytest.approx(0.4), "spot diameter")]


def test_a_coarse_picture_that_the_spots_confirm():
    xy, row, col = hexagons(20.0)
    read_off = measured_mpp(xy, array_row=row, array_col=col)
    assert choose_mpp([], read_off, slide="A") == (pytest.approx(5.0), "array fit")
    assert choose_mpp([(4.9, "user")], read_off, slide="A") == (4.9, "user")
    with pytest.raises(ResolutionError, match="BI-15"):
        choose_mpp([(4.9, "user")], [], slide="A")


@pytest.mark.parametrize(
    ("path", "header", "mpp", "rel"),
    [
        ("visium/squidpy_100spots_v1/spatial/tissue_positions_list.csv", None, 0.725, 0.005),
        ("visium/scanpy_100spots_v1/spatial/tissue_positions_list.csv", None, 0.725, 0.005),
        ("visium/mouse_embryo_spaceranger3/spatial/tissue_positions.csv", 0, 4.667, 0.005),
        ("her2st/spotfiles/B4_selection.tsv", 0, 0.687, 0.005),
        ("her2st/spotfiles/A1_selection.tsv", 0, 0.917, 0.005),
    ],
)
def test_real_arrays(shared_data, path, header, mpp, rel):
    table = pd.read_csv(shared_data / path, sep="\t" if path.endswith("tsv") else ",", header=header)
    if path.endswith("tsv"):
        xy, row, col = table[["pixel_x", "pixel_y"]], table["y"], table["x"]
    else:
        xy, row, col = table.iloc[:, [5, 4]], table.iloc[:, 2], table.iloc[:, 3]
    estimates = measured_mpp(xy, array_row=row, array_col=col)
    assert choose_mpp([], estimates, slide="A") == (pytest.approx(mpp, rel=rel), "array fit")
