"""Find every error id in the source, the classes it is raised as and where."""

import ast
import re
from dataclasses import dataclass, field
from pathlib import Path

ID = re.compile(r"(BI|FI)-(\d+)")


@dataclass
class Used:
    """Where one id is raised."""

    classes: set[str] = field(default_factory=set)
    places: set[str] = field(default_factory=set)


def _called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _errors_made(node: ast.AST) -> set[str]:
    names = {_called(inner) for inner in ast.walk(node) if isinstance(inner, ast.Call)}
    return {name for name in names if name.endswith("Error")}


def _ids_in_arguments(call: ast.Call) -> set[str]:
    values = [*call.args, *(keyword.value for keyword in call.keywords)]
    strings = [inner.value for value in values for inner in _own_constants(value)]
    return {text for text in strings if isinstance(text, str) and ID.fullmatch(text)}


def _own_constants(value: ast.expr) -> list[ast.Constant]:
    """Constants of an argument, also the branches of `a if b else c`, but not those of a nested call."""
    if isinstance(value, ast.Constant):
        return [value]
    if isinstance(value, ast.IfExp):
        return _own_constants(value.body) + _own_constants(value.orelse)
    return []


def collect_error_ids(source: Path) -> dict[str, Used]:
    """From id to its uses, in order of the ids.

    An id is an argument of an error class, or of a function of the same file that makes the error.
    """
    found: dict[str, Used] = {}
    for path in sorted(source.rglob("*.py")):
        place = ".".join(path.relative_to(source).with_suffix("").parts)
        tree = ast.parse(path.read_text())
        makers = {node.name: _errors_made(node) for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        for call in ast.walk(tree):
            if not isinstance(call, ast.Call):
                continue
            name = _called(call)
            for code in _ids_in_arguments(call):
                used = found.setdefault(code, Used())
                used.places.add(place)
                used.classes |= {name} if name.endswith("Error") else makers.get(name, set())
    return {code: found[code] for code in sorted(found, key=_order)}


def mentioned_ids(source: Path) -> set[str]:
    """Every string in the source that is an id, however it is used."""
    return {
        node.value
        for path in source.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and ID.fullmatch(node.value)
    }


def _order(code: str) -> tuple[str, int]:
    match = ID.fullmatch(code)
    return match[1], int(match[2])
