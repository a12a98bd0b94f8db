"""What the documentation tells people to type parses, and shells complete what they begin."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from histodecon.cli._main import app


def typed_in_the_documentation() -> list[str]:
    """Every command of docs/cli.md, of the shell, of Snakemake and of Nextflow."""
    page = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()
    page = re.sub(r'"\n\s*"', "", page).replace("{REPS}", "--use-rep X_uni")
    page = "\n".join(re.findall(r"```\w+\n(.*?)```", page, re.DOTALL))
    found = re.findall(r"histodecon ([a-z]+(?:-[a-z]+)?\b[^&\n\"#]*)", page)
    return sorted({re.sub(r"\$?\{[^}]*\}", "word", one).strip() for one in found})


@pytest.mark.parametrize("typed", typed_in_the_documentation())
def test_commands_of_the_documentation_parse(typed: str) -> None:
    name, *arguments = shlex.split(typed)
    command = typer.main.get_command(app).commands[name]
    command.make_context(name, arguments)  # reads arguments and options, and runs nothing


@pytest.mark.parametrize(
    ("words", "expected"), [("histodecon pre", "predict"), ("histodecon embed --pre", "--precision")]
)
def test_shells_complete(words: str, expected: str) -> None:
    about = {"_HISTODECON_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
    code = "from histodecon.cli import main; main([])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | about)
    assert run.stdout.split() == [expected]
