"""Every error id is explained in the documentation, and nothing is explained that is never raised."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

import histodecon as hd

ROOT = Path(__file__).parents[2]
SRC = Path(hd.__file__).parent
if not (ROOT / "docs").exists():
    pytest.skip("not a checkout", allow_module_level=True)
EXPLAINED = tomllib.loads((ROOT / "docs" / "error_ids.toml").read_text())


@pytest.fixture(scope="module")
def scanner() -> ModuleType:
    spec = importlib.util.spec_from_file_location("error_ids", ROOT / "docs" / "extensions" / "error_ids.py")
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules["error_ids"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_raised_ids_are_the_explained_ids(scanner: ModuleType) -> None:
    assert scanner.mentioned_ids(SRC) == set(EXPLAINED)


def test_the_page_finds_every_id_with_its_class(scanner: ModuleType) -> None:
    found = scanner.collect_error_ids(SRC)
    assert set(found) == scanner.mentioned_ids(SRC)
    for code, used in found.items():
        assert used.classes, code
        assert used.classes <= set(hd.__all__), code


@pytest.mark.parametrize("code", EXPLAINED)
def test_explanations_are_sentences(code: str) -> None:
    entry = EXPLAINED[code]
    assert set(entry) == {"title", "text"}
    assert re.fullmatch(r"[A-Z].*[^.]", entry["title"])
    assert entry["text"].strip().endswith((".", "`."))
