"""The house: who may import whom, and where a function lives."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

import histodecon

SRC = Path(histodecon.__file__).parent
FILES = sorted(SRC.rglob("*.py"))

MAY_IMPORT = {
    "_core": set(),
    "stats": set(),
    "images": {"_core"},
    "encoders": {"_core"},
    "models": {"_core"},
    "io": {"_core", "images"},
    "datasets": {"_core", "io"},
    "pp": {"_core", "images", "encoders"},
    "tl": {"_core", "models", "stats"},
    "get": {"_core"},
    "pl": {"_core", "images", "get", "stats"},
}
MAY_IMPORT["cli"] = set(MAY_IMPORT)  # the journey for shells: it calls every room and holds no science
PURE = {"images", "encoders", "models", "stats"}
CONTAINERS = {"anndata", "scanpy", "squidpy", "spatialdata", "spatialdata_io"}
ONE_FUNCTION_A_FILE = {"pp", "tl", "pl", "io", "datasets", "get"}
# private helpers of a thin room: no public function of the room lives there
MAX_LINES = 300


def room_of(path: Path) -> str:
    relative = path.relative_to(SRC)
    return relative.parts[0] if len(relative.parts) > 1 else ""


def imported_modules(tree: ast.AST, *, runtime_only: bool) -> list[str]:
    """Names of all modules imported anywhere in a file, `if TYPE_CHECKING:` left out when asked."""
    found = []
    for node in ast.walk(tree):
        if runtime_only and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            found.append(node.module or "")
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SRC)))
def test_rooms_import_only_their_neighbours(path: Path) -> None:
    room = room_of(path)
    if room == "":
        return
    assert room in MAY_IMPORT, f"a room that the house does not know: {room}"
    modules = imported_modules(ast.parse(path.read_text()), runtime_only=False)
    rooms = {name.split(".")[1] for name in modules if name.startswith("histodecon.")} & set(MAY_IMPORT)
    assert rooms <= MAY_IMPORT[room] | {room}


@pytest.mark.parametrize("path", [p for p in FILES if room_of(p) in PURE], ids=lambda p: str(p.relative_to(SRC)))
def test_pure_rooms_never_heard_of_anndata(path: Path) -> None:
    modules = imported_modules(ast.parse(path.read_text()), runtime_only=False)
    assert not {name.partition(".")[0] for name in modules} & CONTAINERS


@pytest.mark.parametrize("room", sorted(ONE_FUNCTION_A_FILE))
def test_a_file_is_named_after_its_public_function(room: str) -> None:
    public = getattr(histodecon, room).__all__
    assert public
    for name in public:
        path = SRC / room / f"_{name}.py"
        assert path.exists(), f"{room}.{name} must live in {path.name}"
        defined = [node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)]
        assert name in defined


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SRC)))
def test_files_stay_small(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MAX_LINES


def test_every_public_name_exists() -> None:
    for room in MAY_IMPORT:
        if room == "_core":
            continue
        module = importlib.import_module(f"histodecon.{room}")
        assert len(set(module.__all__)) == len(module.__all__), room
        for name in module.__all__:
            assert getattr(module, name) is not None
