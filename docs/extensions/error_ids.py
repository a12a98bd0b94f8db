"""Find every id of an error or warning in the source, the classes it is raised as and where."""

import ast
import re
from dataclasses import dataclass, field
from pathlib import Path

ID = re.compile(r"(BI|FI)-(\d+)")
IN_TEXT = re.compile(r"\[HD-((?:BI|FI)-\d+)\]")
CLASS = re.compile(r"[A-Z]\w*(Error|Warning)")


@dataclass
class Used:
    """Where one id is raised."""

    classes: set[str] = field(default_factory=set)
    places: set[str] = field(default_factory=set)


def _called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _classes_named(node: ast.AST) -> set[str]:
    """Errors that are made and warnings that are named below a node."""
    calls = {_called(inner) for inner in ast.walk(node) if isinstance(inner, ast.Call)}
    names = {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name) and inner.id.endswith("Warning")}
    return {name for name in calls | names if CLASS.fullmatch(name)}


def _ids_of(text: object) -> set[str]:
    """Ids that a constant is, or shows as ``[HD-BI-45]``."""
    if not isinstance(text, str):
        return set()
    return {text} if ID.fullmatch(text) else set(IN_TEXT.findall(text))


def _ids_in_arguments(call: ast.Call) -> set[str]:
    values = [*call.args, *(keyword.value for keyword in call.keywords)]
    return {code for value in values for part in _parts(value) for code in _ids_of(part.value)}


def _parts(value: ast.expr) -> list[ast.Constant]:
    """Constants of an argument, also those of an f-string and of both branches of a choice, but not of a nested call."""
    if isinstance(value, ast.Constant):
        return [value]
    if isinstance(value, ast.IfExp):
        return _parts(value.body) + _parts(value.orelse)
    if isinstance(value, ast.JoinedStr):
        return [part for part in value.values if isinstance(part, ast.Constant)]
    return []


def _ids_below(node: ast.AST) -> set[str]:
    return {code for inner in ast.walk(node) if isinstance(inner, ast.Constant) for code in _ids_of(inner.value)}


def _uses(tree: ast.Module) -> list[tuple[str, set[str]]]:
    """Ids of one file with the classes of each use: from the call that has it, else from the function around it."""
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    makers = {node.name: _classes_named(node) for node in functions}
    uses = []
    for call in ast.walk(tree):
        if isinstance(call, ast.Call):
            name = _called(call)
            classes = {name} if CLASS.fullmatch(name) else makers.get(name, set()) or _classes_named(call)
            uses += [(code, classes) for code in _ids_in_arguments(call)]
    in_calls = {code for code, _ in uses}
    uses += [(code, makers[node.name]) for node in functions for code in _ids_below(node) - in_calls]
    return uses


def collect_error_ids(source: Path) -> dict[str, Used]:
    """From id to its uses, in order of the ids.

    An id is an argument of an error class, or of a function of the same file that makes the error or warning, or stands in
    the text of a warning.
    """
    found: dict[str, Used] = {}
    for path in sorted(source.rglob("*.py")):
        place = ".".join(path.relative_to(source).with_suffix("").parts)
        for code, classes in _uses(ast.parse(path.read_text())):
            used = found.setdefault(code, Used())
            used.places.add(place)
            used.classes |= classes
    return {code: found[code] for code in sorted(found, key=_order)}


def mentioned_ids(source: Path) -> set[str]:
    """Every id in the source, however it is used."""
    return {code for path in source.rglob("*.py") for code in _ids_below(ast.parse(path.read_text()))}


def _order(code: str) -> tuple[str, int]:
    match = ID.fullmatch(code)
    return match[1], int(match[2])
