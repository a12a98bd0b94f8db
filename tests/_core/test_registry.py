"""Registries in general; what each holds is tested where it lives."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

import pytest

import histodecon as hd
from histodecon._core import add_card, cards_table, closest_names, find_cards


@dataclass(frozen=True)
class Plain:
    name: str
    summary: str = "Something."


@pytest.fixture
def folder(tmp_path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    package = tmp_path / "folder_of_cards"
    package.mkdir()
    (package / "__init__.py").write_text("")
    head = "from types import SimpleNamespace as S\n"
    (package / "one.py").write_text(head + "CARD = S(name='one', summary='First.')\n")
    (package / "more.py").write_text(head + "CARDS = [S(name=n, summary='More.') for n in ('two', 'three')]\n")
    monkeypatch.syspath_prepend(tmp_path)
    import folder_of_cards

    return folder_of_cards


def test_every_file_is_found_and_what_is_there_stays(folder: ModuleType) -> None:
    mine = Plain("two")
    registry = find_cards({"two": mine}, folder)
    assert set(registry) == {"one", "two", "three"}
    assert registry["two"] is mine
    assert find_cards(registry, folder) is registry


def test_a_file_without_a_card_is_an_error(folder: ModuleType) -> None:
    from pathlib import Path

    (Path(folder.__path__[0]) / "empty.py").write_text("")
    with pytest.raises(AttributeError, match="CARD"):
        find_cards({}, folder)


def test_a_name_is_taken_once() -> None:
    registry = {"a": Plain("a")}
    assert add_card(registry, Plain("a"), what="A thing") == registry["a"]
    add_card(registry, Plain("b"), what="A thing")
    with pytest.raises(hd.InputError, match=r"BI-53.*A thing 'b' is registered already. Something"):
        add_card(registry, Plain("b", "Other."), what="A thing")


def test_closest_names_are_asked_for() -> None:
    assert closest_names("alpah", ["alpha", "beta"]) == "did you mean `alpha`?"
    assert closest_names("alpha", ["alpha1", "alpha2", "beta"], n=2) == "did you mean `alpha2`, `alpha1`?"
    assert closest_names("zzz", ["alpha"]) == ""


def test_the_table_is_sorted() -> None:
    cards = {name: Plain(name) for name in ("b", "a")}
    table = cards_table(cards, {"summary": lambda card: card.summary}, index="thing")
    assert list(table.index) == ["a", "b"]
    assert table.index.name == "thing"
