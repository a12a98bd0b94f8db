"""Every bad input and every fault of the catalog has an answer that is explained and tested."""

from __future__ import annotations

import ast
import re
import tomllib
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
if not (ROOT / "docs").exists():
    pytest.skip("not a checkout", allow_module_level=True)
TOLD = tomllib.loads((ROOT / "docs" / "error_ids.toml").read_text())
ANSWERED = tomllib.loads((ROOT / "docs" / "answered.toml").read_text())
CATALOG = [f"BI-{i:02d}" for i in range(1, 109)] + [f"FI-{i:02d}" for i in range(1, 41)]
ID = re.compile(r"\b(BI|FI)-?(\d{2,3})\b", re.IGNORECASE)
SHORT = re.compile(r"(?:^|_)(bi|fi)(\d{2,3})(?=_|$)")


def ids_in(text: str) -> set[str]:
    return {f"{kind.upper()}-{number}" for kind, number in ID.findall(text)}


@cache
def named_tests() -> dict[str, set[str]]:
    """Tests that name an id: in their name, docstring, body, parameters, or in a comment beside them."""
    found: dict[str, set[str]] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        text = path.read_text()
        lines, tree = text.splitlines(), ast.parse(text)
        shared = {
            target.id: ids_in(ast.get_source_segment(text, node) or "")
            for node in tree.body
            if isinstance(node, ast.Assign | ast.AnnAssign)
            for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
            if isinstance(target, ast.Name)
        }
        for node in ast.walk(tree):
            if not (isinstance(node, ast.FunctionDef) and node.name.startswith("test_")):
                continue
            first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
            own = "\n".join(lines[first - 1 : node.end_lineno])
            named = ids_in(own) | {f"{kind.upper()}-{number}" for kind, number in SHORT.findall(node.name)}
            for used in ast.walk(node):
                if isinstance(used, ast.Name):
                    named |= shared.get(used.id, set())
            for code in named:
                found.setdefault(code, set()).add(f"{path.relative_to(ROOT).as_posix()}::{node.name}")
    for code, entry in ANSWERED.items():
        found.setdefault(code, set()).update(entry.get("tests", []))
    return found


@pytest.mark.parametrize("code", CATALOG)
def test_it_is_explained(code: str) -> None:
    assert (code in TOLD) != (code in ANSWERED), "told with a message, or answered without one"


@pytest.mark.parametrize("code", sorted({*CATALOG, *TOLD, *ANSWERED}))
def test_it_is_tested(code: str) -> None:
    assert named_tests().get(code), "no test names it"


def test_nothing_else_is_answered() -> None:
    assert set(ANSWERED) <= set(CATALOG)
    known = {*CATALOG, *TOLD}
    assert {code for code in named_tests() if code not in known} == set()


@pytest.mark.parametrize("code", ANSWERED)
def test_answers_are_sentences_and_their_tests_exist(code: str) -> None:
    entry = ANSWERED[code]
    assert set(entry) <= {"text", "tests"}
    assert re.fullmatch(r"[A-Z`].*\.", entry["text"], re.DOTALL)
    for test in entry.get("tests", []):
        path, _, name = test.partition("::")
        assert re.search(rf"^def {name}\(", (ROOT / path).read_text(), re.M), test


def test_the_check_can_fail() -> None:
    assert ids_in("[HD-BI-45] and FI-03") == {"BI-45", "FI-03"}
    assert SHORT.findall("test_bi31_bi39_no_spot") == [("bi", "31"), ("bi", "39")]
    assert "BI-" + "999" not in named_tests()
