"""The check of links and search that `make docs` ends with finds what is broken."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "check_links.py"
if not SCRIPT.exists():
    pytest.skip("not a checkout", allow_module_level=True)


@pytest.fixture
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_links", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "a").mkdir()
    (tmp_path / "index.html").write_text('<h1 id="top">T</h1><a href="a/b.html#here">b</a><a href="https://x.y">x</a>')
    (tmp_path / "a" / "b.html").write_text('<p id="here"><a href="../index.html#top">up</a><a href="#here">me</a></p>')
    return tmp_path


def test_a_whole_site(script: ModuleType, site: Path) -> None:
    assert script.broken(site) == []


@pytest.mark.parametrize("link", ["c.html", "a/b.html#gone", "#gone", "picture.png", "../outside.html"])
def test_a_broken_link_is_named(script: ModuleType, site: Path, link: str) -> None:
    (site / "index.html").write_text(f'<a href="{link}">broken</a>')
    assert f"index.html: {link}" in script.broken(site)


def test_search(script: ModuleType, site: Path) -> None:
    index = {"terms": {"coloc": 1}, "titleterms": {"mpp": 1}, "objects": {"histodecon.pp": ["tile_spots"]}}
    (site / "searchindex.js").write_text(f"Search.setIndex({json.dumps(index)})")
    assert script.unknown_to_search(site) == ["colocalization", "predict_abundance"]
