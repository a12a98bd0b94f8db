"""What a message or a docstring tells a user to type exists."""

from __future__ import annotations

import ast
import inspect
import pkgutil
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import histodecon as hd
from histodecon._core._keys import Key
from histodecon._core._optional import EXTRAS

ROOT = Path(__file__).parents[2]
SRC = Path(hd.__file__).parent
FILES = sorted(SRC.rglob("*.py"))
ROOMS = "|".join(hd._ROOMS)
HOLE = "HOLE"

DOTTED = re.compile(rf"\b(?:histodecon|hd)\.((?:{ROOMS})\.\w+(?:\.\w+)*)")
BACKTICKED = re.compile(r"`([^`\n]*\([^`]*\))`")
EXTRA = re.compile(r"histodecon\[(\w+)\]")
SLOT = re.compile(r"""\b(obs|obsm|uns)\[["'](\w+)["']\]""")


@cache
def texts(path: Path) -> tuple[str, ...]:
    """All strings of a file as a reader sees them; what an f-string fills in is a HOLE."""
    found = []
    tree = ast.parse(path.read_text())
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)} - {
        id(node) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)
    }
    for node in ast.walk(tree):
        if id(node) in inside:
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.append(node.value)
        elif isinstance(node, ast.JoinedStr):
            found.append("".join(p.value if isinstance(p, ast.Constant) else HOLE for p in node.values))
    return tuple(found)


def lookup(dotted: str) -> object:
    """What is named, modules that nothing has imported yet among it."""
    return pkgutil.resolve_name(f"histodecon.{dotted}")


def calls_in(text: str) -> Iterator[tuple[str, ast.Call]]:
    """Calls of our own functions that a text shows between backticks."""
    for snippet in BACKTICKED.findall(text):
        try:
            tree = ast.parse(snippet.strip("`"), mode="eval")
        except SyntaxError:
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                name = ast.unparse(node.func).removeprefix("histodecon.").removeprefix("hd.")
                if name.partition(".")[0] in hd._ROOMS:
                    yield name, node


def ids(path: Path) -> str:
    return str(path.relative_to(SRC))


@pytest.mark.parametrize("path", FILES, ids=ids)
def test_functions_that_are_named_exist(path: Path) -> None:
    for text in texts(path):
        for dotted in DOTTED.findall(text):
            if HOLE not in dotted:
                assert lookup(dotted) is not None


@pytest.mark.parametrize("path", FILES, ids=ids)
def test_calls_that_are_shown_can_be_made(path: Path) -> None:
    for text in texts(path):
        for name, call in calls_in(text):
            if HOLE in name:
                continue
            parameters = inspect.signature(lookup(name)).parameters
            takes_all = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
            unknown = [k.arg for k in call.keywords if k.arg and k.arg not in parameters and HOLE not in k.arg]
            assert takes_all or not unknown, f"{name} has no parameter {unknown}"
            room_for = [p for p in parameters.values() if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
            assert len([arg for arg in call.args if not _dots(arg)]) <= len(room_for), name


def _dots(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is Ellipsis


@pytest.mark.parametrize("path", FILES, ids=ids)
def test_extras_that_are_named_exist(path: Path) -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for text in texts(path):
        assert {name for name in EXTRA.findall(text) if HOLE not in name} <= set(declared)
    assert set(EXTRAS.values()) <= set(declared)


def known_slots(slot: str) -> set[str]:
    holder = getattr(Key, slot)
    return {value for name, value in vars(holder).items() if not name.startswith("_")}


# what other tools write, and what toy data carries beside
OTHERS = {
    "obs": {"in_tissue", "array_row", "array_col"},
    "obsm": {"true_abundance", "stereoscope"},
    "uns": {"layers"},
}


@pytest.mark.parametrize("path", FILES, ids=ids)
def test_slots_that_are_named_are_slots_of_the_house(path: Path) -> None:
    for text in texts(path):
        for slot, key in SLOT.findall(text):
            embedding = slot == "obsm" and key.startswith(Key.obsm.EMBEDDING_PREFIX)
            assert embedding or HOLE in key or key in known_slots(slot) | OTHERS[slot], f'{slot}["{key}"]'


def test_the_checks_can_fail() -> None:
    with pytest.raises(AttributeError):
        lookup("tl.no_such_function")
    name, call = next(calls_in('run `histodecon.tl.evaluate(adata, nonsense="x")` first'))
    assert name == "tl.evaluate"
    assert call.keywords[0].arg not in inspect.signature(lookup(name)).parameters
    assert SLOT.findall('obsm["nowhere"]') == [("obsm", "nowhere")]
    assert "nowhere" not in known_slots("obsm")
