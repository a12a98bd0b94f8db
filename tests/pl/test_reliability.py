"""The card as a picture."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

import histodecon as hd
from histodecon.models import ReliabilityCard
from histodecon.pl._reliability import COLORS


@pytest.fixture
def card() -> ReliabilityCard:
    cc = np.array([[0.1, 0.8, np.nan, 0.3], [0.0, 0.7, np.nan, 0.5], [0.1, 0.75, np.nan, -0.4]])
    coverage = np.array([0.9, 0.88, 0.91, 0.7])
    names = ["poor", "good $x$", "flat", "mixed"]
    return ReliabilityCard(cc, coverage, np.ones(4), np.full(3, 50.0), cell_types=names)


def test_types_are_sorted_and_verdicts_colored(card) -> None:
    ax = hd.pl.reliability(card, show=False)
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert labels == [r"good \$x\$", "mixed", "poor", "flat"]
    marks = {line.get_ydata()[0]: line for line in ax.lines if line.get_markersize() == 7 and len(line.get_ydata())}
    assert marks[0].get_color() == COLORS["trust"]
    assert marks[0].get_xdata()[0] == pytest.approx(0.75)
    assert marks[2].get_color() == COLORS["do not use"]
    assert 3 not in marks
    texts = [text.get_text() for text in ax.texts]
    assert " undefined" in texts
    assert {"90%", "88%", "91%", "70%"} <= set(texts)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["trust (1)", "caution (0)", "do not use (3)"]
    ax.figure.canvas.draw()


def test_a_model_and_some_types(card, tmp_path) -> None:
    path = tmp_path / "card.png"
    ax = hd.pl.reliability(SimpleNamespace(reliability_=card), cell_types=["flat"], save=path, show=False)
    assert path.stat().st_size > 1000
    assert len(ax.get_yticks()) == 1


def test_what_is_no_card_is_refused(card) -> None:
    with pytest.raises(hd.MissingKeyError, match=r"BI-91.*calibrate=True"):
        hd.pl.reliability(SimpleNamespace(reliability_=None))
    with pytest.raises(hd.InputError, match=r"BI-104.*str"):
        hd.pl.reliability("model.safetensors")
    with pytest.raises(hd.InputError, match=r"BI-104.*good"):
        hd.pl.reliability(card, cell_types="godo $x$")
