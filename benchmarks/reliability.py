"""How many bad inputs and faults are tried, and what becomes of them: runs the tests that name an id and writes docs/reliability.md.

    python benchmarks/reliability.py                 # as the tests run it, minutes
    python benchmarks/reliability.py --kills 200 --flips 2000   # the long run

Every number of the page is counted from the outcome of a test of this run.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
FAULTS = "tests/faults"
STORES = f"{FAULTS}/test_write.py"
PACKAGES = ("histodecon", "anndata", "zarr", "h5py", "numpy", "torch")


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


class Only:
    """Of the files that are collected, the tests that are wanted."""

    def __init__(self, tests: set[str]) -> None:
        self.tests = tests

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [one for one in items if one.nodeid.partition("[")[0] in self.tests or one.nodeid.startswith(FAULTS)]


def run(tests: set[str], kills: int, flips: int) -> list[ET.Element]:
    """Outcome of every case of these tests and of all faults."""
    os.environ |= {"HISTODECON_KILLS": str(kills), "HISTODECON_FLIPS": str(flips), "HF_HUB_OFFLINE": "1"}
    os.chdir(ROOT)
    files = sorted({test.partition("::")[0] for test in tests if not test.startswith(FAULTS)})
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "outcomes.xml")
        pytest.main(["-q", "-p", "no:cacheprovider", f"--junitxml={out}", *files, FAULTS], plugins=[Only(tests)])
        return list(ET.parse(out).getroot().iter("testcase"))


def test_of(case: ET.Element) -> str:
    return f"{case.get('classname').replace('.', '/')}.py::{case.get('name').partition('[')[0]}"


def state_of(case: ET.Element) -> str:
    return next((kind for kind in ("failure", "error", "skipped") if case.find(kind) is not None), "passed")


def properties(case: ET.Element) -> dict[str, str]:
    return {one.get("name"): one.get("value") for one in case.iter("property")}


def answer_of(code: str, classes: dict[str, set[str]]) -> str:
    """How an id is answered: refused, told beside the right result, or right without a word."""
    kinds = classes.get(code, set())
    if not kinds:
        return "right without a word"
    return "refused in words" if any(kind.endswith("Error") for kind in kinds) else "right, with a warning"


def inputs_table(
    catalog: list[str], by_id: dict[str, set[str]], classes: dict[str, set[str]], cases: list[ET.Element]
) -> list[str]:
    states: dict[str, list[str]] = {}
    for case in cases:
        states.setdefault(test_of(case), []).append(state_of(case))
    rows = ["| kind | ids | cases tried | as promised | not as promised | skipped here |", "|---|---|---|---|---|---|"]
    for prefix, title in (("BI", "bad inputs"), ("FI", "faults")):
        for answer in ("refused in words", "right, with a warning", "right without a word"):
            ids = [code for code in catalog if code.startswith(prefix) and answer_of(code, classes) == answer]
            found = Counter(
                state for test in set().union(*(by_id[code] for code in ids)) for state in states.get(test, [])
            )
            bad = found["failure"] + found["error"]
            rows.append(
                f"| {title}: {answer} | {len(ids)} | {found.total()} | {found['passed']} | {bad} | {found['skipped']} |"
            )
    silent = [code for code in catalog if not any("passed" in states.get(test, ()) for test in by_id[code])]
    rows += ["", f"Ids of the catalog without a test that passed in this run: {', '.join(silent) or 'none'}."]
    return rows


def faults_table(cases: list[ET.Element]) -> list[str]:
    counted: dict[str, Counter[str]] = {}
    for case in cases:
        facts = properties(case)
        if "fault" in facts:
            row = counted.setdefault(facts["fault"], Counter())
            row.update(
                {"n": int(facts["n"]), "lost": int(facts["lost"]), "silent": int(facts.get("silent_elsewhere", 0))}
            )
            row["failed"] += state_of(case) != "passed"
    rows = [
        "| fault | tried | old and new lost, or wrong in silence | the reader of the format says nothing |",
        "|---|---|---|---|",
    ]
    for name, row in counted.items():
        lost = "**test failed**" if row["failed"] else str(row["lost"])
        rows.append(f"| {name} | {row['n']} | {lost} | {row['silent'] if 'bit' in name else ''} |")
    return rows


def shards_table(cases: list[ET.Element]) -> list[str]:
    rows = ["| what | cases | passed |", "|---|---|---|"]
    names = {
        f"{FAULTS}/test_kills.py": "embedding: killed, interrupted, damaged, shared",
        f"{FAULTS}/test_two_writers.py": "two processes and one model file",
        STORES: "stores: killed, full disk, flipped bits, two writers",
    }
    for path, title in names.items():
        states = [state_of(case) for case in cases if test_of(case).startswith(path)]
        rows.append(f"| {title} | {len(states)} | {states.count('passed')} |")
    return rows


def page(sections: dict[str, list[str]], kills: int, flips: int) -> str:
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    head = [
        "# Reliability",
        "",
        "How many bad inputs were tried and how many were answered wrongly in silence; how many kills, full disks and flipped bits were "
        "survived and what was lost. The page is written by `make reliability` from the outcomes of the tests; what each id means is "
        "told under [Errors](errors.md).",
        "",
        f"Made with {kills} kills and {flips} flipped bits for each format: Python {platform.python_version()}, {versions}.",
        "",
    ]
    body = [line for title, rows in sections.items() for line in (f"## {title}", "", *rows, "")]
    return "\n".join(head + body)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=6, help="kills of each writer")
    parser.add_argument("--flips", type=int, default=40, help="bits flipped in each format")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "reliability.md")
    options = parser.parse_args()
    ids = load(ROOT / "tests" / "contract" / "test_ids.py")
    scanner = load(ROOT / "docs" / "extensions" / "error_ids.py")
    classes = {code: used.classes for code, used in scanner.collect_error_ids(ROOT / "src" / "histodecon").items()}
    by_id = {code: ids.named_tests().get(code, set()) for code in ids.CATALOG}
    cases = run(set().union(*by_id.values()), options.kills, options.flips)
    sections = {
        "Bad inputs and faults of the catalog": inputs_table(ids.CATALOG, by_id, classes, cases),
        "Stores: kills, full disks, flipped bits": faults_table(cases),
        "Long runs": shards_table(cases),
    }
    text = page(sections, options.kills, options.flips)
    options.out.write_text(text)
    print(text)
    if any(state_of(case) in ("failure", "error") for case in cases):
        sys.exit(1)


if __name__ == "__main__":
    main()
