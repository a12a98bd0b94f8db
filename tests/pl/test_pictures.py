"""Every picture looks as it did when somebody last looked at it.

Draw the baselines anew, look at each of them, and commit those that should have changed:

    HISTODECON_DRAW_BASELINES=1 python -m pytest tests/pl/test_pictures.py
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from baseline_pictures import PICTURES, draw
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import NullFormatter
from PIL import Image

import histodecon as hd

BASELINES = Path(__file__).parent / "baseline"
REDRAW = bool(os.environ.get("HISTODECON_DRAW_BASELINES"))
DPI = 30
TOLERANCE = 3.0  # root mean square over pixels of 0 to 255, after a blur of one pixel
WITHOUT_PICTURE = {"report"}  # a page; the browser looks at it


@pytest.fixture(autouse=True)
def _close() -> Iterator[None]:
    yield
    plt.close("all")


def without_words(figure: Figure) -> None:
    """Fonts differ from machine to machine; words are compared by the other tests."""
    for ax in figure.axes:
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_formatter(NullFormatter())
            axis.set_minor_formatter(NullFormatter())
    for text in figure.findobj(Text):
        text.set_text("")


def pixels(figure: Figure) -> np.ndarray:
    without_words(figure)
    figure.set_dpi(DPI)
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()  # type: ignore[attr-defined]


def picture(name: str) -> np.ndarray:
    with mpl.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mpl.rcdefaults()
        mpl.rcParams["backend"] = "agg"
        mpl.rcParams["figure.dpi"] = DPI
        return pixels(draw(name))


def difference(one: np.ndarray, other: np.ndarray) -> float:
    """Root mean square; a pixel more or less at the border is forgiven, as is an edge that moved by a part of a pixel."""
    from scipy.ndimage import uniform_filter

    if np.abs(np.subtract(one.shape, other.shape)).max() > 2:
        return np.inf
    height, width = np.minimum(one.shape, other.shape)[:2]
    change = one[:height, :width].astype(float) - other[:height, :width].astype(float)
    return float(np.sqrt(np.mean(uniform_filter(change, size=(3, 3, 1)) ** 2)))


@pytest.mark.parametrize("name", PICTURES)
def test_it_looks_as_it_did(name: str, tmp_path: Path) -> None:
    seen = picture(name)
    path = BASELINES / f"{name}.png"
    if REDRAW:
        Image.fromarray(seen).save(path, optimize=True)
    expected = np.asarray(Image.open(path).convert("RGB"))
    far = difference(seen, expected)
    if far > TOLERANCE:
        Image.fromarray(seen).save(tmp_path / f"{name}.png")
        pytest.fail(f"{name} is {far:.1f} away from {path}: see {tmp_path / f'{name}.png'}, and the head of this file")


def test_every_function_has_a_picture_and_every_picture_a_function() -> None:
    assert {name.split(".")[0] for name in PICTURES} == set(hd.pl.__all__) - WITHOUT_PICTURE
    assert {path.stem for path in BASELINES.glob("*.png")} == set(PICTURES)
    assert sum(path.stat().st_size for path in BASELINES.glob("*.png")) < 500_000


@pytest.mark.parametrize(
    ("name", "change"), [("abundance", "colors"), ("composition", "place"), ("evaluation", "bar"), ("training", "line")]
)
def test_a_changed_picture_is_noticed(name: str, change: str) -> None:
    with mpl.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mpl.rcdefaults()
        figure = draw(name)
        ax = figure.axes[0]
        if change == "colors":
            for one in ax.collections:
                one.set_cmap("viridis")
        elif change == "place":
            for one in figure.axes[1].collections:
                one.set_visible(False)
        elif change == "line":
            ax.lines[1].set_visible(False)
        else:
            ax.containers[0].patches[0].set_width(0.0)
        seen = pixels(figure)
    assert difference(seen, np.asarray(Image.open(BASELINES / f"{name}.png").convert("RGB"))) > TOLERANCE
