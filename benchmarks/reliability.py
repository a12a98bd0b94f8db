"""How many bad inputs and faults are tried, and what becomes of them: runs the tests that name an id and writes docs/reliability.md.

    python benchmarks/reliability.py                                          # as the tests run it, some ten minutes
    python benchmarks/reliability.py --kills 200 --flips 2000 --fuzz 20000    # the long run
    python benchmarks/mutation.py --n 400 --out docs/results/mutation.json    # faults planted in the code, an hour

Every number of the page is counted from the outcome of a test of this run, save the mutation score, which is read from its file.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
FAULTS = "tests/faults"
TITLES = {"stats": "`stats/`", "models/_losses": "`models/_losses.py`", "checks": "checks of `_core` and `models`"}
STORES = f"{FAULTS}/test_write.py"
FUZZED = ("tests/_core/test_shards_fuzzed.py", "tests/models/test_model_file_fuzzed.py", "tests/io/test_seals_kept.py")
MUTATION = sorted((ROOT / "docs" / "results").glob("mutation*.json"))
PACKAGES = ("histodecon", "anndata", "zarr", "h5py", "numpy", "torch")


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests that are wanted; this module is a plugin of the process that runs them."""
    wanted = set(os.environ["HISTODECON_ONLY"].split())
    items[:] = [one for one in items if without_class(one.nodeid) in wanted or one.nodeid.startswith((FAULTS, *FUZZED))]


def without_class(nodeid: str) -> str:
    """File and function of a test: how the catalog names it."""
    path, *_, name = nodeid.partition("[")[0].split("::")
    return f"{path}::{name}"


def run(tests: set[str], options: argparse.Namespace) -> list[ET.Element]:
    """Outcome of every case of these tests, of all faults and fuzzers; by pytest in a process of its own, whose workers start as usual."""
    told = {f"HISTODECON_{name.upper()}": str(getattr(options, name)) for name in ("kills", "flips", "fuzz")}
    told |= {"HISTODECON_ONLY": " ".join(sorted(tests)), "HF_HUB_OFFLINE": "1"}
    told["PYTHONPATH"] = os.pathsep.join([*filter(None, [os.environ.get("PYTHONPATH")]), str(ROOT / "benchmarks")])
    files = sorted({*FUZZED, *(test.partition("::")[0] for test in tests if not test.startswith(FAULTS))})
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "outcomes.xml")
        options_of_pytest = ["-q", "-p", "no:cacheprovider", "-p", Path(__file__).stem, f"--junitxml={out}"]
        command = [sys.executable, "-m", "pytest", *options_of_pytest, *files, FAULTS]
        code = subprocess.run(command, cwd=ROOT, env={**os.environ, **told}).returncode
        if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            sys.exit(f"The tests were not run to their end ({code}); nothing is written.")
        return list(ET.parse(out).getroot().iter("testcase"))


def test_of(case: ET.Element) -> str:
    parts = case.get("classname").split(".")
    module = parts[:-1] if parts[-1][:1].isupper() else parts
    return f"{'/'.join(module)}.py::{case.get('name').partition('[')[0]}"


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


def outcomes(tests: set[str], states: dict[str, list[str]]) -> Counter[str]:
    return Counter(state for test in tests for state in states.get(test, []))


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
            found = outcomes(set().union(*(by_id[code] for code in ids)), states)
            rows.append(
                f"| {title}: {answer} | {len(ids)} | {found.total()} | {found['passed']} | {failed(found)} | {found['skipped']} |"
            )
    found = outcomes(set().union(*(by_id[code] for code in catalog)), states)
    untried = [code for code in catalog if not any("passed" in states.get(test, ()) for test in by_id[code])]
    return [
        f"**{found.total()} cases of {len(catalog)} ids were tried: {found['passed']} ended as promised, {failed(found)} did not, "
        f"{found['skipped']} were skipped on this machine.** A wrong answer in silence is a case that does not end as promised.",
        "",
        *rows,
        "",
        "A test may name several ids and then counts in several rows; the sentence above counts it once.",
        f"Ids without a test that passed in this run, for want of optional packages or data: {', '.join(untried) or 'none'}.",
    ]


def failed(found: Counter[str]) -> int:
    return found["failure"] + found["error"]


def faults_table(cases: list[ET.Element]) -> list[str]:
    counted: dict[str, Counter[str]] = {}
    redone: dict[str, float] = {}
    for case in cases:
        facts = properties(case)
        if "fault" in facts:
            row = counted.setdefault(facts["fault"], Counter())
            row.update({name: int(facts.get(name, 0)) for name in ("n", "lost", "silent_elsewhere", "harmless")})
            row["failed"] += state_of(case) != "passed"
            if "redone" in facts:
                redone[facts["fault"]] = float(facts["redone"]) / max(int(facts["n"]), 1)
    rows = ["| fault | tried | lost, or wrong in silence | |", "|---|---|---|---|"]
    for name, row in counted.items():
        lost = "**test failed**" if row["failed"] else str(row["lost"])
        more = [f"{redone[name]:.2f} shards redone a kill"] if name in redone else []
        if "bit" in name:
            more += [f"{row['n'] - row['harmless']} noticed, {row['harmless']} changed nothing that is read"]
        more += [f"{row['silent_elsewhere']} are read by anndata without a word"] if row["silent_elsewhere"] else []
        rows.append(f"| {name} | {row['n']} | {lost} | {'; '.join(more)} |")
    others = [
        one for case in cases if state_of(case) != "passed" and test_of(case).startswith(FAULTS) for one in [case]
    ]
    named = ", ".join(sorted({test_of(one).partition("::")[2] for one in others})) or "none"
    return [
        *rows,
        "",
        "Lost means that neither the old nor the new content can be read. Processes are killed at random times between their start and "
        "the end of the writing, those of the plain writers from a tenth of that time on; a process that was through counts as no kill. "
        "Models, and tensors with `torch.save`, are written again and again until the kill.",
        f"Tests of `{FAULTS}` that did not pass: {named}.",
    ]


def fuzz_table(cases: list[ET.Element]) -> list[str]:
    rows = ["| what was changed at random | files | other than a right answer or an error of ours |", "|---|---|---|"]
    for case in cases:
        facts = properties(case)
        if "fuzz" in facts or (test_of(case).startswith(FUZZED) and state_of(case) != "passed"):
            name = facts.get("fuzz", test_of(case).partition("::")[2])
            rows.append(
                f"| {name} | {facts.get('n', '?')} | {'0' if state_of(case) == 'passed' else '**test failed**'} |"
            )
    return rows


def mutation_table(paths: list[Path]) -> list[str]:
    """Every sample of planted faults, one after the other."""
    if not paths:
        return ["Not measured yet: `python benchmarks/mutation.py --out docs/results/mutation.json`."]
    lines = [
        "The tool is `benchmarks/mutation.py`, a script of this repository: it forks warm processes, which mutmut and cosmic-ray do not. "
        "Faults that change no result, such as blocks one row larger, count as missed.",
        "",
    ]
    first = total = 0
    for path in paths:
        found = json.loads(path.read_text())
        groups = found["groups"]
        tried, noticed = (sum(group[name] for group in groups.values()) for name in ("tried", "noticed"))
        first += found.get("noticed_at_first", noticed)
        total += tried
        later = found.get("noticed_at_first")
        lines += [
            f"Of {found['n_possible']} places where a small fault can be planted, {tried} were drawn at random (seed {found['seed']}) and "
            f"tried, each in a process of its own; the tests noticed {noticed} (**{noticed / tried:.0%}**)."
            + (
                f" At first {later} were noticed; tests were written for some of the others, and these were tried again."
                if later
                else ""
            ),
            "",
            "| code | faults tried | noticed | share |",
            "|---|---|---|---|",
            *(
                f"| {TITLES[name]} | {group['tried']} | {group['noticed']} | {group['noticed'] / max(group['tried'], 1):.0%} |"
                for name, group in groups.items()
            ),
            "",
            "Missed: " + "; ".join(f"`{one}`" for one in found["missed"]) + ".",
            "",
        ]
    if len(paths) > 1:
        lines.append(
            f"All samples together, each as it was at first: {first} of {total} noticed, **{first / total:.0%}**."
        )
    return lines


def page(sections: dict[str, list[str]], options: argparse.Namespace, minutes: float) -> str:
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    command = f"python benchmarks/reliability.py --kills {options.kills} --flips {options.flips} --fuzz {options.fuzz}"
    head = [
        "# Reliability",
        "",
        "How many bad inputs were tried and how many were answered wrongly in silence; how many kills, full disks and flipped bits were "
        "survived and what was lost. The page is written by `make reliability` from the outcomes of the tests; what each id means is "
        "told under [Errors](errors.md).",
        "",
        f"Made by `{command}` in {minutes:.0f} minutes: Python {platform.python_version()}, {versions}.",
        "",
    ]
    body = [line for title, rows in sections.items() for line in (f"## {title}", "", *rows, "")]
    return "\n".join(head + body)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20, help="kills of each writer")
    parser.add_argument("--flips", type=int, default=100, help="bits flipped in each format")
    parser.add_argument("--fuzz", type=int, default=500, help="files handed to each reader")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "reliability.md")
    options = parser.parse_args()
    ids = load(ROOT / "tests" / "contract" / "test_ids.py")
    scanner = load(ROOT / "docs" / "extensions" / "error_ids.py")
    deviations = load(ROOT / "benchmarks" / "deviations.py")
    classes = {code: used.classes for code, used in scanner.collect_error_ids(ROOT / "src" / "histodecon").items()}
    by_id = {code: ids.named_tests().get(code, set()) for code in ids.CATALOG}
    start = time.monotonic()
    cases = run(set().union(*by_id.values()), options)
    sections = {
        "Bad inputs and faults of the catalog": inputs_table(ids.CATALOG, by_id, classes, cases),
        "Kills, full disks, flipped bits": faults_table(cases),
        "Fuzzed files": fuzz_table(cases),
        "Numbers beside slow ways": [
            "`python benchmarks/deviations.py`, over many drawn inputs:",
            "",
            *deviations.rows(),
        ],
        "Faults planted in the code": mutation_table(MUTATION),
    }
    text = page(sections, options, (time.monotonic() - start) / 60)
    options.out.write_text(text.rstrip() + "\n")
    print(text)
    if any(state_of(case) in ("failure", "error") for case in cases):
        sys.exit(1)


if __name__ == "__main__":
    main()
