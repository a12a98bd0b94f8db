"""Mutation score: small faults are planted one at a time, and the tests must notice.

    python benchmarks/mutation.py --n 300 --seed 0 --out docs/results/mutation.json
    python benchmarks/mutation.py --n 300 --seed 0 --out docs/results/mutation.json --again   # those that were missed

Faults: another comparison, another operator, a number that is one larger, a turned condition, `and` for `or`, a sign or a `not` left
out, a statement left out (what is raised, returned or changed in place). Texts, types and what a message says are left alone. Every
fault is tried in a process of its own, forked from one that has imported numpy, scipy and torch and nothing of histodecon: first the
tests of the same file, then the others of its room. Faults that no test can notice, such as blocks one row larger, count as missed.
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib.machinery
import json
import os
import random
import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
SRC = ROOT / "src" / "histodecon"
STATS = sorted(path.relative_to(SRC).as_posix() for path in (SRC / "stats").glob("_*.py") if path.stem != "__init__")
CHECKS = ["_core/_tables.py", "_core/_embeddings.py", "_core/_row_digests.py", "_core/_results.py", "models/_checks.py"]
TARGETS = {"stats": STATS, "models/_losses": ["models/_losses.py"], "checks": CHECKS}
ROOMS = {
    "stats": ["tests/stats"],
    "models": [f"tests/models/test_{name}.py" for name in ("losses", "regressor", "training", "scikit_learn")],
    "_core": [
        *(f"tests/_core/test_{name}.py" for name in ("tables", "embeddings", "row_digests", "results")),
        "tests/tl/test_set_targets.py",
        "tests/io/test_verify.py",
    ],
}
OWN = {"models/_checks.py": ["tests/models/test_regressor.py"], "stats/_sums.py": ["tests/stats/test_sums.py"]}
MEMORY = 12 << 30
COMPARISONS = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
OPERATORS = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult,
    ast.Pow: ast.Mult, ast.MatMult: ast.Mult, ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr, ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}  # fmt: skip
OMITTED = (ast.Raise, ast.AugAssign, ast.Expr)


def places(tree: ast.AST, *, quiet: bool = False) -> Iterator[ast.AST]:
    """Nodes that take part in what is computed, in one order; not types, not texts."""
    for field, value in ast.iter_fields(tree):
        if field in {"annotation", "returns"} or isinstance(tree, ast.JoinedStr):
            continue
        for node in value if isinstance(value, list) else [value]:
            if not isinstance(node, ast.AST) or _is_text(node) or _is_for_types(node):
                continue
            said = (
                quiet
                or isinstance(node, ast.Raise)
                or (isinstance(node, ast.Call) and "warn" in ast.unparse(node.func))
            )
            if not quiet:
                yield node
            yield from places(node, quiet=said)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def faults_of(node: ast.AST) -> list[str]:
    """Which faults can be planted here."""
    if isinstance(node, ast.Compare):
        return [f"compare {i}" for i, one in enumerate(node.ops) if type(one) in COMPARISONS]
    if isinstance(node, ast.BinOp | ast.AugAssign) and type(node.op) in OPERATORS:
        return ["operator", "omit"] if isinstance(node, ast.AugAssign) else ["operator"]
    if isinstance(node, ast.BoolOp):
        return ["and/or"]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub | ast.Invert):
        return ["sign"]
    if isinstance(node, ast.Constant) and isinstance(node.value, bool | int | float):
        return ["constant"]
    if isinstance(node, ast.If | ast.IfExp | ast.While):
        return ["condition"]
    if isinstance(node, ast.Return) and node.value is not None and not _is_none(node.value):
        return ["return"]
    return ["omit"] if isinstance(node, OMITTED) else []


def _is_none(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def plant(tree: ast.Module, at: int, fault: str) -> tuple[ast.Module, str, str]:
    """A copy with one fault, its line and column, and what it looked like before and after."""
    tree = copy.deepcopy(tree)
    node = list(places(tree))[at]
    before = ast.unparse(node).splitlines()[0]
    new: ast.AST = node
    if fault.startswith("compare"):
        i = int(fault.split()[1])
        node.ops[i] = COMPARISONS[type(node.ops[i])]()
    elif fault == "operator":
        node.op = OPERATORS[type(node.op)]()
    elif fault == "and/or":
        node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
    elif fault == "sign":
        new = node.operand
    elif fault == "constant":
        node.value = (not node.value) if isinstance(node.value, bool) else node.value + 1
    elif fault == "condition":
        node.test = ast.UnaryOp(ast.Not(), node.test)
    elif fault == "return":
        node.value = ast.Constant(None)
    else:
        new = ast.Pass()
    if new is not node:
        tree = _Swap(node, new).visit(tree)
    where = f"{node.lineno}:{node.col_offset}"
    return ast.fix_missing_locations(tree), where, f"{before}  ->  {ast.unparse(new).splitlines()[0]}"


class _Swap(ast.NodeTransformer):
    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> ast.AST:
        return ast.copy_location(self.new, node) if node is self.old else self.generic_visit(node)


def run(path: Path, tree: ast.Module | None, tests: list[str], limit: float) -> str:
    """Run tests in a child that finds the tree where the file should be: "passed", "failed" or "time"."""
    child = os.fork()
    if child:
        status = os.waitpid(child, 0)[1]
        if os.WIFSIGNALED(status):
            return "time" if os.WTERMSIG(status) == signal.SIGALRM else "failed"
        return {0: "passed", 5: "no tests"}.get(os.WEXITSTATUS(status), "failed")
    try:
        signal.setitimer(signal.ITIMER_REAL, limit)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        os._exit(_pytest(path, tree, tests))
    except BaseException:  # noqa: BLE001 a child never comes back
        os._exit(3)


def _pytest(path: Path, tree: ast.Module | None, tests: list[str]) -> int:
    import hypothesis
    import pytest

    hypothesis.settings.register_profile("mutation", derandomize=True, database=None, deadline=None)
    hypothesis.settings.load_profile("mutation")
    get_code = importlib.machinery.SourceFileLoader.get_code

    def planted(self: importlib.machinery.SourceFileLoader, name: str) -> object:
        here = tree is not None and Path(self.path).resolve() == path
        return compile(tree, str(path), "exec") if here else get_code(self, name)

    importlib.machinery.SourceFileLoader.get_code = planted
    return int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "--no-header", *tests]))


def warm() -> None:
    """Import what takes long and is not ours."""
    import anndata  # noqa: F401
    import hypothesis.strategies  # noqa: F401
    import pandas  # noqa: F401
    import pytest  # noqa: F401
    import scipy.optimize
    import scipy.sparse.linalg
    import scipy.spatial.distance
    import scipy.special
    import scipy.stats  # noqa: F401
    import sklearn.linear_model  # noqa: F401
    import torch

    torch.set_num_threads(1)


def tests_of(module: str) -> list[list[str]]:
    """Test files in the order in which they are asked: its own, then its room's."""
    room, name = module.split("/")
    own = OWN.get(module, [f"tests/{room}/test_{name.removeprefix('_')}"])
    own = [one for one in own if (ROOT / one).exists()]
    files: list[str] = []
    for one in ROOMS[room]:
        path = ROOT / one
        files += (
            [path.relative_to(ROOT).as_posix()]
            if path.is_file()
            else sorted(found.relative_to(ROOT).as_posix() for found in path.glob("test_*.py"))
        )
    return [stage for stage in (own, [one for one in files if one not in own]) if stage]


def candidates() -> list[tuple[str, str, int, str]]:
    """Every fault that can be planted: group, module, number of the node, kind."""
    found = []
    for group, modules in TARGETS.items():
        for module in modules:
            for at, node in enumerate(places(ast.parse((SRC / module).read_text()))):
                found += [(group, module, at, fault) for fault in faults_of(node)]
    return found


def _write(options: argparse.Namespace, possible: int, counts: dict[str, Counter[str]], missed: list[str]) -> None:
    report = {"n_possible": possible, "seed": options.seed, "groups": counts, "missed": missed}
    if options.again:
        before = json.loads(options.out.read_text())
        report["noticed_at_first"] = before.get(
            "noticed_at_first", sum(group["noticed"] for group in before["groups"].values())
        )
    options.out.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=120, help="faults that are drawn; 0: all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=1e6, help="stop drawing after this time")
    parser.add_argument("--only", default="", help="modules whose name holds this")
    parser.add_argument(
        "--out", type=Path, default=None, help="a JSON file, for `benchmarks/reliability.py --mutation`"
    )
    parser.add_argument("--again", action="store_true", help="try only those that FILE of --out says were missed")
    options = parser.parse_args()
    os.chdir(ROOT)
    sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]
    everything = [one for one in candidates() if options.only in one[1]]
    drawn = random.Random(options.seed).sample(everything, min(options.n or len(everything), len(everything)))
    warm()
    limits: dict[str, float] = {}
    for room in sorted({one[1].split("/")[0] for one in drawn}):
        start = time.monotonic()
        outcome = run(SRC, None, ROOMS[room], 900)
        limits[room] = 20 + 3 * (time.monotonic() - start)
        if outcome != "passed":
            sys.exit(f"Without a fault the tests end with {outcome!r}: {ROOMS[room]}")
    known = json.loads(options.out.read_text()) if options.again else {"groups": {}, "missed": []}
    counts = {group: Counter(known["groups"].get(group, {"tried": 0, "noticed": 0})) for group in TARGETS}
    missed: list[str] = []
    end = time.monotonic() + 60 * options.minutes
    for group, module, at, fault in drawn:
        if time.monotonic() > end:
            break
        path = (SRC / module).resolve()
        tree, where, change = plant(ast.parse(path.read_text()), at, fault)
        text = f"{module}:{where}  {change}"
        if options.again and text not in known["missed"]:
            continue
        outcomes = (run(path, tree, tests, limits[module.split("/")[0]]) for tests in tests_of(module))
        noticed = any(outcome != "passed" for outcome in outcomes)
        counts[group].update(tried=int(not options.again), noticed=int(noticed))
        if not noticed:
            missed.append(text)
            print(text, flush=True)
        if options.out and not options.again:
            _write(options, len(everything), counts, missed)
    if options.out:
        _write(options, len(everything), counts, missed)
    for group, found in counts.items():
        print(f"{group}: {found['noticed']} of {found['tried']} noticed")


if __name__ == "__main__":
    main()
