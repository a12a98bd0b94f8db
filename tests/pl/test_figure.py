"""Names as text, near names, and who shows and closes a figure."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import pytest

from histodecon import InputError
from histodecon.pl._figure import choose, finish, plain


def test_long_names_lose_their_middle_and_keep_their_length() -> None:
    assert plain("short", 10) == "short"
    cut = plain("Cancer associated fibroblast, inflammatory", 20)
    assert len(cut) == 20
    assert cut.startswith("Cancer")
    assert cut.endswith("matory")


def test_dollars_are_dollars() -> None:
    figure = plt.figure()
    text = figure.text(0, 0, plain("a$b$ c_d"))
    figure.canvas.draw()
    assert text.get_text() == r"a\$b\$ c_d"
    plt.close(figure)


def test_near_names_are_offered() -> None:
    known = ["T-cells", "B-cells", "Macrophage"]
    assert choose(None, known, "cell type") == known
    assert choose("B-cells", known, "cell type") == ["B-cells"]
    with pytest.raises(InputError, match="'Tcells': did you mean 'T-cells'"):
        choose(["Tcells"], known, "cell type")
    with pytest.raises(InputError, match="known: 'T-cells', 'B-cells', 'Macrophage'"):
        choose(["xyz"], known, "cell type")


def test_shown_when_asked_or_when_interactive_and_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shown = []
    monkeypatch.setattr(plt, "show", lambda: shown.append(True))
    figure = plt.figure()
    assert finish(figure, show=None, save=None) is False
    monkeypatch.setattr(plt, "isinteractive", lambda: True)
    assert finish(figure, show=None, save=None) is True
    assert finish(figure, show=None, save=None, owns=False) is False
    assert finish(figure, show=True, save=tmp_path / "a.png") is True
    assert len(shown) == 2
    assert finish(figure, show=None, save=tmp_path / "a.png") is False
    assert not plt.fignum_exists(figure.number), "saved and not shown: closed"
