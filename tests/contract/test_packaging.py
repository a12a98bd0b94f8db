"""What is published says the same everywhere: pyproject, the conda recipe, the entry for scverse, README."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[2]
if not (ROOT / "recipe").exists():
    pytest.skip("not a checkout", allow_module_level=True)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
RECIPE = yaml.safe_load((ROOT / "recipe" / "recipe.yaml").read_text())
ON_CONDA_FORGE = {"huggingface-hub": "huggingface_hub", "matplotlib": "matplotlib-base", "torch": "pytorch"}
README = (ROOT / "README.md").read_text()


def filled(text: str) -> str:
    return re.sub(r"\$\{\{ (\w+) \}\}", lambda found: str(RECIPE["context"].get(found[1], found[0])), text)


def bounds(lines: list[str]) -> dict[str, SpecifierSet]:
    parts = [filled(line).partition(" ") for line in lines]
    return {name: SpecifierSet(spec) for name, _, spec in parts}


def test_the_recipe_needs_what_the_wheel_needs() -> None:
    asked = [Requirement(line) for line in PROJECT["dependencies"]]
    expected = {ON_CONDA_FORGE.get(one.name, one.name): one.specifier for one in asked}
    expected["python"] = SpecifierSet(PROJECT["requires-python"])
    assert bounds(RECIPE["requirements"]["run"]) == expected


def test_the_recipe_is_of_this_version() -> None:
    assert RECIPE["context"]["version"] == PROJECT["version"]
    assert RECIPE["context"]["name"] == PROJECT["name"]
    assert RECIPE["build"]["noarch"] == "python"
    assert RECIPE["about"]["license"] == PROJECT["license"]
    assert RECIPE["about"]["summary"] == PROJECT["description"]
    assert (ROOT / RECIPE["about"]["license_file"]).exists()
    name, _, target = RECIPE["build"]["python"]["entry_points"][0].partition(" = ")
    assert PROJECT["scripts"] == {name: target}


def test_the_extra_all_is_all() -> None:
    extras = PROJECT["optional-dependencies"]
    (everything,) = (Requirement(line) for line in extras["all"])
    assert everything.name == PROJECT["name"]
    assert everything.extras == set(extras) - {"all"}


def entry() -> dict[str, Any]:
    page = (ROOT / "docs" / "ecosystem.md").read_text()
    return yaml.safe_load(re.search(r"```yaml\n(.*?)```", page, re.DOTALL)[1])


def test_the_entry_for_scverse_is_whole() -> None:
    """Fields of its schema that must be there, and those of recent entries."""
    found = entry()
    must = {"name", "description", "project_home", "documentation_home", "install", "license", "tags", "contact"}
    assert must <= set(found)
    assert set(found) <= must | {
        "tutorials_home",
        "publications",
        "test_command",
        "version",
        "category",
        "language",
        "primary_category",
    }
    assert found["name"] == found["install"]["pypi"] == PROJECT["name"]
    assert found["license"] == PROJECT["license"]
    assert len(set(found["tags"])) == len(found["tags"]) > 0
    assert found["version"] == PROJECT["version"]
    assert found["test_command"].startswith("make test")


@pytest.mark.parametrize("page", ["docs/index.md"])
def test_the_ten_lines_are_the_same_everywhere(page: str) -> None:
    first = re.search(r"```python\n.*?```", README, re.DOTALL)[0]
    assert first in (ROOT / page).read_text()


def test_the_ten_lines_run_as_they_stand(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "readme_blocks.py", "python"], capture_output=True, text=True, check=True
    )
    assert len([line for line in done.stdout.splitlines() if line.strip()]) == 10
    path = tmp_path / "ten_lines.py"
    path.write_text(done.stdout)
    run = subprocess.run([sys.executable, path], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-2000:]
    assert (tmp_path / "abundance.png").stat().st_size > 50_000


def test_the_script_installs_what_readme_says() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "readme_blocks.py", "bash"], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == f"pip install {PROJECT['name']}"
