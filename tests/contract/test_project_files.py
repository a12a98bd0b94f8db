"""The files around the code agree with each other and with the code, and hold nothing of the machine they were made on."""

from __future__ import annotations

import re
import subprocess
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

import histodecon as hd

ROOT = Path(__file__).parents[2]
if not (ROOT / "Makefile").exists():
    pytest.skip("not a checkout", allow_module_level=True)
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
BINARY = {".png", ".jpg", ".h5ad", ".zip", ".npz", ".safetensors", ".gz", ".tif"}


def tracked() -> list[Path]:
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]


def lines_with(pattern: str) -> list[str]:
    compiled = re.compile(pattern)
    return [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in tracked()
        if path.suffix not in BINARY and path != Path(__file__)
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if compiled.search(line)
    ]


def targets() -> dict[str, list[str]]:
    """Targets of the Makefile and what they need."""
    rules = re.findall(r"^([a-z]+):(?! export)(.*)$", (ROOT / "Makefile").read_text(), re.M)
    return {name: needs.split() for name, needs in rules}


def test_no_path_of_a_machine() -> None:
    assert lines_with(r"""(^|[\s"'`=(:])/(home|root|Users|work|opt|mnt|tmp)/""") == []


def test_no_registry_address() -> None:
    hosts = ("pypi" + r"\.org", "pythonhosted" + r"\.org", "npmjs" + r"\.org", r"download\.pytorch")
    assert lines_with(rf"https?://\S*/simple\b|index-url|{'|'.join(hosts)}") == []


def test_no_large_file() -> None:
    large = {str(path.relative_to(ROOT)): path.stat().st_size for path in tracked() if path.stat().st_size > 400_000}
    assert large == {}


def test_one_version() -> None:
    assert hd.__version__ == version("histodecon") == PYPROJECT["project"]["version"]
    changelog = (ROOT / "CHANGELOG.md").read_text()
    heading = "Unreleased" if "dev" in hd.__version__ else hd.__version__
    assert re.search(rf"^## .*{re.escape(heading)}", changelog, re.M)


def test_python_versions_agree() -> None:
    floor = PYPROJECT["project"]["requires-python"].removeprefix(">=")
    stated = re.findall(r"Python :: (3\.\d+)", "\n".join(PYPROJECT["project"]["classifiers"]))
    assert stated[0] == floor == PYPROJECT["tool"]["mypy"]["python_version"]
    workflow = (ROOT / ".github/workflows/test.yaml").read_text()
    assert re.findall(r'"(3\.\d+)"', re.search(r"python: \[(.*)\]", workflow)[0]) == stated


@pytest.mark.parametrize(
    "page", ["README.md", "CONTRIBUTING.md", "docs/installation.md", ".github/workflows/test.yaml"]
)
def test_make_commands_that_are_named_exist(page: str) -> None:
    named = set(re.findall(r"(?:^|run: |`)make ((?:[a-z]+ ?)+)", (ROOT / page).read_text(), re.M))
    assert named
    assert {target for words in named for target in words.split()} <= set(targets())


def test_make_test_is_the_whole() -> None:
    assert targets()["test"] == ["lint", "types", "docs", "unit"]  # pytest last: its summary closes the output
    assert re.search(r"for target in install demo test;", (ROOT / ".ci/run").read_text())


def test_make_help_names_every_target() -> None:
    helped = set(re.findall(r'@echo "make (\w+)', (ROOT / "Makefile").read_text()))
    assert helped == set(targets()) - {"help"}


def test_the_linter_is_one() -> None:
    pinned = re.search(r"^ruff==(\S+)$", (ROOT / "constraints.txt").read_text(), re.M)[1]
    assert f"ruff-pre-commit\n    rev: v{pinned}\n" in (ROOT / ".pre-commit-config.yaml").read_text()


def test_links_between_files_lead_somewhere() -> None:
    for page in [*ROOT.glob("*.md"), *(ROOT / "tutorials").glob("*.md")]:
        for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_readme_code_is_python() -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert blocks
    for block in blocks:
        compile(block, "README.md", "exec")
